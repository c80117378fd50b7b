#!/usr/bin/env bash
# find-package.sh release    The package DIGEST, if it was built on the default branch and proven in PROVEN_IN.
# find-package.sh rollback   What was released last to ENVIRONMENT: the Terraform files of that commit are what is there.
# Prints `run_id=…` (of the run that built it) and `commit=…`; nothing for `rollback` when there is none.
# GitHub keeps a package for 90 days; after that, release to dev again.
set -euo pipefail

# Runs of pull requests and of forks can upload artifacts too: only those of this repository's default branch count.
BRANCH=$(gh api "repos/$GITHUB_REPOSITORY" --jq .default_branch)
export BRANCH
ours='.artifacts[] | select((.expired | not) and .workflow_run.head_branch == env.BRANCH
  and .workflow_run.head_repository_id == .workflow_run.repository_id)'

# artifact NAME: "run commit" of the newest of that name.
artifact() {
  gh api "repos/$GITHUB_REPOSITORY/actions/artifacts?per_page=100&name=$1" \
    --jq "[$ours] | sort_by(.created_at) | last // empty | \"\(.workflow_run.id) \(.workflow_run.head_sha)\""
}

package() {
  local found
  found=$(artifact "package-$1")
  if [[ -z $found ]]; then
    echo "Package $1 was not built on $BRANCH in the last 90 days." >&2
    return 1
  fi
  printf 'run_id=%s\ncommit=%s\n' "${found% *}" "${found#* }"
}

case $1 in
  release)
    [[ $DIGEST =~ ^[0-9a-f]{64}$ ]] || { echo "A digest is 64 lower-case hex digits, not '$DIGEST'." >&2; exit 1; }
    proven=$(artifact "proven-in-$PROVEN_IN-$DIGEST")
    if [[ -z $proven ]]; then
      echo "Package $DIGEST has not been released to $PROVEN_IN from $BRANCH in the last 90 days: that comes first." >&2
      exit 1
    fi
    package "$DIGEST"
    ;;
  rollback)
    PREFIX="proven-in-$ENVIRONMENT-"
    export PREFIX
    newest=$(gh api --paginate "repos/$GITHUB_REPOSITORY/actions/artifacts?per_page=100" \
      --jq "$ours | select(.name | startswith(env.PREFIX)) | \"\(.created_at) \(.name)\"" | sort | tail -n 1)
    if [[ -n $newest ]]; then package "${newest##*-}"; fi
    ;;
  *)
    echo "release or rollback?" >&2
    exit 2
    ;;
esac
