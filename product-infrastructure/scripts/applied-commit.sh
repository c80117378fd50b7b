#!/usr/bin/env bash
# applied-commit.sh shared|api-keys: print `commit=…`, the commit that was applied last to ENVIRONMENT. Fails when there is none.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

root_folder "$1" > /dev/null
applied=$(mktemp)
trap 'rm -f "$applied"' EXIT
if ! said=$(aws s3api get-object --bucket "$(state_bucket)" --key "$REPOSITORY/releases/$1.json" "$applied" 2>&1); then
  echo "$1 has not been applied to $ENVIRONMENT yet: that comes first. ($(tail -n 1 <<< "$said"))" >&2
  exit 1
fi
jq --raw-output '"commit=\(.commit)"' "$applied"
