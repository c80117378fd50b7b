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

# record ROOT PROVEN_AT: keep in the account what was applied, first without and then with the time at which it was proven. A
# promotion takes proven commits only; the search for drift takes whatever was applied.
record() {
  jq --null-input --arg commit "$(commit)" --arg root "$1" "{\$commit, \$root, appliedAt: (now | todateiso8601), provenAt: ($2)}" \
    > "$WORK/applied.json"
  aws s3api put-object --bucket "$(state_bucket)" --key "$REPOSITORY/releases/$1.json" --body "$WORK/applied.json" > /dev/null
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
# An apply of api-keys prints addresses and IDs only; errors can quote a resource, so both stay off the log for that root.
if [[ $1 == api-keys ]]; then
  terraform -chdir="$folder" apply -input=false "$PWD/$PLAN" > "$WORK/apply.log" 2>&1 || {
    echo "failed to apply api-keys: $(grep --only-matching 'Error: .*' "$WORK/apply.log" | head -n 1)" >&2
    rm -f "$PLAN" "$WORK/apply.log"
    # A key that was created before the failure is valid.
    scripts/register-keys.sh
    exit 1
  }
  grep 'Apply complete' "$WORK/apply.log"
  rm -f "$WORK/apply.log"
  scripts/register-keys.sh
else
  terraform -chdir="$folder" apply -input=false "$PWD/$PLAN"
fi
record "$1" null

if [[ $1 == api-keys ]]; then
  # It holds the key.
  rm "$PLAN"
  record "$1" 'now | todateiso8601'
  exit
fi

rm -f "$WORK/made-deployment"
trap finish EXIT
scripts/deploy-api.sh create
scripts/smoke.sh
record "$1" 'now | todateiso8601'
# Proven: a job that is cancelled from here on restores nothing.
rm -f "$WORK/made-deployment"
