#!/usr/bin/env bash
# plan.sh release            Plan the package whose SHA-256 is $DIGEST, with the alias `live` where it is: nothing is switched yet.
# plan.sh rollback           Check that version $VERSION exists, and print what a rollback does: it moves `live`, and needs no plan, no
#                            package and no state. So it works when the state is locked, the last apply was cancelled, or the
#                            package has expired.
# Leaves plan and package for whoever approves them, and prints their digests.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

action=$1
summary=${GITHUB_STEP_SUMMARY:-/dev/stdout}
case $action in
  release)
    expect_infrastructure
    if [[ $(package_digest) != "${DIGEST:?SHA-256 of the package}" ]]; then
      echo "The package in $PACKAGE is $(package_digest), expected $DIGEST." >&2
      exit 1
    fi
    version=$(live_version)
    terraform_init
    terraform_plan "$PLAN" "$version"
    plan_digest=$(sha256sum "$PLAN" | cut -d ' ' -f 1)
    {
      echo "### release: $REPOSITORY in $ENVIRONMENT"
      echo "- commit \`$(commit)\`"
      echo "- package \`$DIGEST\`"
      echo "- plan \`$plan_digest\`"
      echo "- \`live\` stays at ${version:-nothing (this is the first release)} until the new version has passed its smoke test"
      echo '```'
      terraform -chdir=terraform show -no-color "../$PLAN"
      echo '```'
    } >> "$summary"
    printf 'package_digest=%s\nplan_digest=%s\n' "$DIGEST" "$plan_digest" >> "${GITHUB_OUTPUT:-/dev/stdout}"
    ;;
  rollback)
    [[ ${VERSION:-} =~ ^[0-9]+$ ]] || { echo "A version must be a number, not '${VERSION:-}'." >&2; exit 1; }
    # Fails here, not half-way, if the version doesn't exist.
    aws lambda get-function-configuration --function-name "$(function_name)" --qualifier "$VERSION" \
      --query '[Version, LastModified, CodeSha256]' --output text
    {
      echo "### rollback: $REPOSITORY in $ENVIRONMENT"
      echo "- \`live\` moves from $(live_version) to $VERSION; nothing else changes"
    } >> "$summary"
    ;;
  *)
    echo "usage: plan.sh release | rollback" >&2
    exit 2
    ;;
esac
