#!/usr/bin/env bash
# Plan the commit and the package that were released last to ENVIRONMENT. Fails when the environment differs from them: someone
# changed it by hand, or an apply was cut off. Does nothing in an environment that isn't set up yet (no AWS_ROLE).
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

if [[ -z ${AWS_ROLE-} ]]; then
  echo "::notice::The GitHub environment $ENVIRONMENT-plan has no AWS_ROLE_ARN: $ENVIRONMENT isn't set up."
  exit
fi
status=0
released=$(scripts/release-record.sh read) || status=$?
case $status in
  0) ;;
  3)
    echo "Nothing to compare in $ENVIRONMENT."
    exit
    ;;
  *) exit "$status" ;;
esac
git checkout --quiet "$(sed -n 's/^commit=//p' <<< "$released")"
terraform_init
plan=$WORK/drift.tfplan
terraform -chdir=terraform plan -input=false -lock=false -no-color -out="../$plan" \
  -var-file="environments/$ENVIRONMENT.tfvars" -var "package_path=../$PACKAGE" -var "live_version=$(live_version)" \
  > "$WORK/drift.txt"
# Resources only: after every release the output `live_version` is one behind, because the alias isn't moved by Terraform.
changed=$(terraform -chdir=terraform show -json "../$plan" | jq --raw-output '
  .resource_changes[]? | select(.change.actions != ["no-op"] and .change.actions != ["read"])
  | "\(.change.actions | join("+")) \(.address)"')
if [[ -n $changed ]]; then
  cat "$WORK/drift.txt"
  echo "::error::$ENVIRONMENT differs from what was released: $(tr '\n' ' ' <<< "$changed")"
  exit 1
fi
echo "No drift in $ENVIRONMENT."
