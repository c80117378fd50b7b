#!/usr/bin/env bash
# apply.sh shared|api-keys DIGEST   Apply what was reviewed under this digest, put the API's methods as they stand on its
#                                   stage, and try the API; the stage goes back to its former deployment if that fails.
# The resources themselves do not go back: what a table or a queue has become is corrected by a new plan, not undone by a script.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

finish() {
  local status=$?
  trap - EXIT
  if ((status != 0)); then scripts/deploy-api.sh restore; fi
  exit "$status"
}

folder=$(root_folder "$1")
if [[ $1 == api-keys ]]; then
  terraform_plan "$1" "$PLAN"
  changes "$1" "$PLAN" > target/deployment/changes
  reviewed=target/deployment/changes
else
  terraform -chdir="$folder" init -input=false -lockfile=readonly \
    -backend-config="environments/$ENVIRONMENT.s3.tfbackend"
  reviewed=$PLAN
fi
printf '%s  %s\n' "$2" "$reviewed" | sha256sum --check --strict
terraform -chdir="$folder" apply -input=false "$PWD/$PLAN"

if [[ $1 == api-keys ]]; then
  # It holds the key.
  rm "$PLAN"
  exit
fi

rm -f "$WORK/made-deployment"
trap finish EXIT
scripts/deploy-api.sh create
scripts/smoke.sh
