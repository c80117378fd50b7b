#!/usr/bin/env bash
# apply.sh release    Apply the reviewed plan, try the new version, move `live` to it, try the API; back if that fails.
# apply.sh rollback   Apply the reviewed plan, which only moves `live`, and try the API.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

# Chained: where bash ignores a failure (before `||`), an unchecked plan must not be applied.
point_live_at() {
  terraform_plan "$WORK/alias.tfplan" "$1" \
    && scripts/only-the-alias.sh "$WORK/alias.tfplan" \
    && terraform -chdir=terraform apply -input=false "../$WORK/alias.tfplan"
}

back() {
  echo "::error::The release failed. Going back to version ${1:-none}."
  # A first release has no version to go back to: the API goes back to what it was without it.
  if [[ -n $1 && $(live_version) != "$1" ]]; then
    point_live_at "$1" || echo "::error::\`live\` does not point to version $1 yet: dispatch a rollback to it."
  fi
  scripts/deploy-api.sh restore
}

finish() {
  local status=$?
  trap - EXIT
  if ((status != 0)); then back "$before"; fi
  exit "$status"
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

# The new version answers. From here on it is called, and whatever fails, a step in between too, leads back.
rm -f "$WORK/made-deployment"
trap finish EXIT
if [[ -n $before && $before != "$new" ]]; then point_live_at "$new"; fi
scripts/deploy-api.sh create
scripts/smoke.sh live
echo "Version $new of $(function_name) is live; before it was ${before:-none}." >> "${GITHUB_STEP_SUMMARY:-/dev/stderr}"
