#!/usr/bin/env bash
# split-repositories.sh TREE TARGET [--push]
#
# Turn the tree of eight folders into eight repositories, each with the history of its folder. TREE is a clone of the tree,
# TARGET where the repositories are: a URL or folder with NAME in the place of the repository's name, for example
# git@github.com:example/NAME.git. They must exist and be empty. Without --push, prints what would be pushed.
set -euo pipefail

usage() {
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

(($# >= 2)) || usage
tree=$1 target=$2 push=${3:-}
[[ $target == *NAME* && (-z $push || $push == --push) ]] || usage
if [[ -n $(git -C "$tree" status --porcelain) ]]; then
  echo "$tree has changes that aren't committed." >&2
  exit 1
fi

mapfile -t repositories < "$(dirname "$0")/repositories.txt"
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for repository in "${repositories[@]}"; do
  url=${target/NAME/$repository}
  if [[ -n $(git ls-remote --heads "$url") ]]; then
    echo "$repository: skipped, $url has branches already"
    failed=1
    continue
  fi
  # The folder's own history: commits that didn't touch it are left out, the others keep author, date and message. In a clone of
  # its own, with what every git has: git-subtree and git-filter-repo are packages that may be missing.
  clone=$work/$repository
  git clone --quiet --no-local --single-branch "$tree" "$clone"
  FILTER_BRANCH_SQUELCH_WARNING=1 git -C "$clone" filter-branch --prune-empty --subdirectory-filter "$repository" HEAD > "$work/log" 2>&1 || {
    cat "$work/log" >&2
    exit 1
  }
  commit=$(git -C "$clone" rev-parse HEAD)
  if [[ $(git -C "$clone" rev-parse "$commit^{tree}") != $(git -C "$tree" rev-parse "HEAD:$repository") ]]; then
    echo "$repository: the split differs from the folder" >&2
    exit 1
  fi
  if [[ $push == --push ]]; then
    git -C "$clone" push --quiet "$url" "$commit:refs/heads/main"
    echo "$repository: $(git -C "$clone" rev-list --count "$commit") commits pushed to $url"
  else
    echo "$repository: $(git -C "$clone" rev-list --count "$commit") commits would be pushed to $url"
  fi
done
if [[ $push != --push ]]; then echo "Dry run: no changes made. Re-run with --push."; fi
exit "$failed"
