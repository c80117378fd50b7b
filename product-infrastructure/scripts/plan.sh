#!/usr/bin/env bash
# plan.sh shared|api-keys   Plan a root for whoever approves it, and say the digest of what is to be reviewed.
#
# Of the shared root the plan itself is kept and later applied. A plan of api-keys holds the key, in the clear, and an
# artifact can be read by everybody who can read the repository: of that root only the list of changes, which holds no
# value, is shown and kept; apply.sh plans again and refuses if the list has become another.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

folder=$(root_folder "$1")
terraform_plan "$1" "$PLAN"
changes "$1" "$PLAN" > target/deployment/changes
if [[ $1 == api-keys ]]; then
  rm "$PLAN"
  reviewed=target/deployment/changes
else
  reviewed=$PLAN
fi
digest=$(sha256sum "$reviewed" | cut -d ' ' -f 1)
{
  echo "### $folder in $ENVIRONMENT"
  echo "- digest \`$digest\`"
  echo '```'
  if [[ $1 == api-keys ]]; then cat target/deployment/changes; else terraform -chdir="$folder" show -no-color "$PWD/$PLAN"; fi
  echo '```'
} >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
echo "digest=$digest" >> "${GITHUB_OUTPUT:-/dev/stdout}"
