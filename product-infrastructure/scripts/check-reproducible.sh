#!/usr/bin/env bash
# check-reproducible.sh [FUNCTION]: build a function's package (get-product's unless named) twice, in two folders, and
# compare the digests. Takes two fat links, 5 to 10 minutes each; so `cargo xtask test` doesn't run it.
set -euo pipefail
cd "$(dirname "$0")/../.."

function=${1:-get-product}
[[ -x $function/scripts/package.sh ]] || { echo "$function has no scripts/package.sh" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

build() {
  mkdir -p "$1"
  # What the repository holds, and nothing built: copied alone, as on a runner.
  git ls-files -z -- "$function" | xargs -0 cp --parents -t "$1"
  (
    cd "$1/$function"
    scripts/install-tools.sh package
    GITHUB_OUTPUT=$1/digest scripts/package.sh
  ) >&2
  sed -n 's/^digest=//p' "$1/digest"
}

one=$(build "$folder/one")
two=$(build "$folder/two/with/a/longer/path")
printf '%s\n%s\n' "$one" "$two"
[[ $one == "$two" ]] || { echo "$function: the same sources made different packages" >&2; exit 1; }
echo "$function: reproducible"
