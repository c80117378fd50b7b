#!/usr/bin/env bash
# plan.sh release DIGEST     Plan the package of that SHA-256, with the alias `live` where it is: nothing is switched yet.
# plan.sh rollback VERSION   Plan nothing but the alias going back to VERSION.
# Leaves the plan and the package for whoever approves them, and says their digests.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

action=$1
expect_infrastructure
case $action in
  release)
    if [[ $(package_digest) != "$2" ]]; then
      echo "The package in $PACKAGE is $(package_digest), not $2." >&2
      exit 1
    fi
    version=$(live_version)
    ;;
  rollback)
    version=$2
    [[ $version =~ ^[0-9]+$ ]] || { echo "A version is a number, not '$version'." >&2; exit 1; }
    # Fails here, not half-way, if the version doesn't exist.
    aws lambda get-function-configuration --function-name "$(function_name)" --qualifier "$version" --query Version --output text
    scripts/fetch-deployed-package.sh
    ;;
  *)
    echo "release or rollback?" >&2
    exit 2
    ;;
esac

terraform_init
terraform_plan "$PLAN" "$version"
if [[ $action == rollback ]]; then scripts/only-the-alias.sh "$PLAN"; fi

plan_digest=$(sha256sum "$PLAN" | cut -d ' ' -f 1)
{
  echo "### $action: $REPOSITORY in $ENVIRONMENT"
  echo "- package \`$(package_digest)\`"
  echo "- plan \`$plan_digest\`"
  if [[ $action == release ]]; then
    echo "- \`live\` stays at ${version:-nothing (this is the first release)} until the new version has answered"
  else
    echo "- \`live\` goes back to $version"
  fi
  echo '```'
  terraform -chdir=terraform show -no-color "../$PLAN"
  echo '```'
} >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
printf 'package_digest=%s\nplan_digest=%s\n' "$(package_digest)" "$plan_digest" >> "${GITHUB_OUTPUT:-/dev/stdout}"
