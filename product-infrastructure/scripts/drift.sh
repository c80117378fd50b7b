#!/usr/bin/env bash
# drift.sh shared|api-keys: plan the commit that was applied last to ENVIRONMENT. Fails when the environment differs from it:
# someone changed it by hand, or an apply was cut off. Does nothing in an environment that isn't set up yet (no AWS_ROLE).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

folder=$(root_folder "$1")
if [[ -z ${AWS_ROLE-} ]]; then
  echo "::notice::The GitHub environment $ENVIRONMENT-plan has no AWS_ROLE_ARN: $ENVIRONMENT isn't set up."
  exit
fi
status=0
applied=$(scripts/applied-commit.sh "$1" any) || status=$?
case $status in
  0) ;;
  3)
    echo "Nothing to compare: $1 hasn't been applied to $ENVIRONMENT."
    exit
    ;;
  *) exit "$status" ;;
esac
git checkout --quiet "$(sed -n 's/^commit=//p' <<< "$applied")"
# Reads only: a plan that locked the state could make a release wait.
terraform_plan "$1" "$PLAN" -lock=false
# Addresses and actions: a plan of api-keys holds the key.
changes "$1" "$PLAN" > "$WORK/changes"
rm "$PLAN"
if [[ -s $WORK/changes ]]; then
  cat "$WORK/changes"
  echo "::error::$folder in $ENVIRONMENT differs from what was applied: $(wc -l < "$WORK/changes") resources"
  exit 1
fi
if [[ $1 == api-keys ]] && ! scripts/register-keys.sh check; then
  echo "::error::The register of keys in $ENVIRONMENT is incomplete: deploy api-keys"
  exit 1
fi
echo "No drift of $1 in $ENVIRONMENT."
