#!/usr/bin/env bash
# applied-commit.sh shared|api-keys        Print `commit=…`, the last commit that was applied to ENVIRONMENT and proven: its smoke
#                                          test passed. Fails when the last one that was applied isn't proven.
# applied-commit.sh shared|api-keys any    The last one that was applied, proven or not.
# Ends with 3 when nothing has been applied, with 1 when the record can't be read.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

root_folder "$1" > /dev/null
applied=$(mktemp)
trap 'rm -f "$applied"' EXIT
record=$REPOSITORY/releases/$1.json
if ! said=$(aws s3api get-object --bucket "$(state_bucket)" --key "$record" "$applied" 2>&1); then
  if [[ $said == *NoSuchKey* || $said == *NoSuchBucket* ]]; then
    echo "$1 has not been applied to $ENVIRONMENT yet: that comes first." >&2
    exit 3
  fi
  echo "failed to read s3://$(state_bucket)/$record: $(tail -n 1 <<< "$said")" >&2
  exit 1
fi
if [[ ${2-} != any && $(jq --raw-output '.provenAt // ""' "$applied") == "" ]]; then
  echo "The last apply of $1 to $ENVIRONMENT isn't proven: its smoke test failed, or the job was cancelled. Apply it to" \
    "$ENVIRONMENT again first." >&2
  exit 1
fi
jq --raw-output '"commit=\(.commit)"' "$applied"
