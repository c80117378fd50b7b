#!/usr/bin/env bash
# apply.sh release    Apply the reviewed plan, test the new version, move `live` to it, test the API; go back if that fails.
# apply.sh rollback   Move `live` to the version in $VERSION, and test the API.
# apply.sh restore    Put alias and stage back to what they were before. For the step after one that failed or was cancelled;
#                     does nothing when the release was proven, or never began.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

# Here and not in a variable: the step that restores is another process.
BEFORE=$WORK/live-before

# Not with Terraform: its state may be locked, by this very run when it was cancelled. The next plan sees where `live` is.
point_live_at() {
  aws lambda update-alias --function-name "$(function_name)" --name live --function-version "$1" \
    --query FunctionVersion --output text > /dev/null
}

restore() {
  if [[ ! -e $BEFORE ]]; then return; fi
  local before
  before=$(cat "$BEFORE")
  echo "::error::The release failed. Going back to version ${before:-none}." >&2
  # A first release has no version to go back to: the API goes back to its deployment without it.
  if [[ -n $before && $(live_version) != "$before" ]]; then
    point_live_at "$before" || echo "::error::\`live\` isn't at version $before: dispatch a rollback to it." >&2
  fi
  scripts/deploy-api.sh restore
  rm -f "$BEFORE"
}

finish() {
  local status=$?
  trap - EXIT INT TERM
  if ((status != 0)); then restore; fi
  exit "$status"
}

remember() {
  # A rollback downloads nothing, so nothing has made the folder.
  mkdir -p "$WORK"
  rm -f "$WORK/made-deployment"
  live_version > "$BEFORE"
  # A cancelled job gets SIGINT, then SIGTERM 7.5 s later, then SIGKILL 2.5 s later: long enough for the alias.
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

case $1 in
  release)
    terraform_init
    remember
    before=$(cat "$BEFORE")
    terraform -chdir=terraform apply -input=false "../$PLAN"
    new=$(terraform -chdir=terraform output -raw published_version)
    # A version that was just published is Pending for a moment, and an invocation of it fails meanwhile.
    aws lambda wait published-version-active --function-name "$(function_name)" --qualifier "$new"
    scripts/smoke.sh "$new"
    if [[ -n $before && $before != "$new" ]]; then point_live_at "$new"; fi
    scripts/deploy-api.sh create
    scripts/smoke.sh live
    scripts/release-record.sh write "$new"
    rm -f "$BEFORE"
    echo "Version $new of $(function_name) is live; before it was ${before:-none}." >> "${GITHUB_STEP_SUMMARY:-/dev/stderr}"
    ;;
  rollback)
    remember
    point_live_at "${VERSION:?number of the version to go back to}"
    scripts/smoke.sh live
    rm -f "$BEFORE"
    echo "\`live\` of $(function_name) is back at version $VERSION." >> "${GITHUB_STEP_SUMMARY:-/dev/stderr}"
    ;;
  restore)
    restore
    ;;
  *)
    echo "usage: apply.sh release | rollback | restore" >&2
    exit 2
    ;;
esac
