#!/usr/bin/env bash
# apply.sh release    Apply the reviewed plan, try the new version, move `live` to it, try the API; back if that fails.
# apply.sh rollback   Apply the reviewed plan, which only moves `live`, and try the API.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

point_live_at() {
  terraform_plan target/package/alias.tfplan "$1"
  scripts/only-the-alias.sh target/package/alias.tfplan
  terraform -chdir=terraform apply -input=false ../target/package/alias.tfplan
}

back() {
  echo "::error::The smoke test failed. Going back to version $1."
  point_live_at "$1"
  scripts/deploy-api.sh restore
}

terraform_init
before=$(live_version)
terraform -chdir=terraform apply -input=false "../$PLAN"

if [[ $1 == rollback ]]; then
  scripts/smoke.sh live
  exit
fi

new=$(terraform -chdir=terraform output -raw published_version)
scripts/smoke.sh "$new"
if [[ -n $before && $before != "$new" ]]; then point_live_at "$new"; fi
scripts/deploy-api.sh create
if ! scripts/smoke.sh live; then
  # A first release has nothing to go back to.
  if [[ -n $before && $before != "$new" ]]; then back "$before"; fi
  exit 1
fi
echo "Version $new of $(function_name) is live; before it was ${before:-none}." >> "${GITHUB_STEP_SUMMARY:-/dev/stderr}"
