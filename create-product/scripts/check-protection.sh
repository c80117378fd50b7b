#!/usr/bin/env bash
# Fail unless the GitHub environment `prod` has required reviewers. GitHub creates an environment that a workflow names and
# nobody has set up, without any rule: the plan would be applied unseen. In private repositories reviewers need GitHub Enterprise.
set -euo pipefail
: "${ENVIRONMENT:?dev, sit or prod}" "${GITHUB_REPOSITORY:?}"

if ! rules=$(gh api "repos/$GITHUB_REPOSITORY/environments/$ENVIRONMENT" --jq '[.protection_rules[].type] | join(" ")' 2>&1); then
  echo "failed to read the GitHub environment $ENVIRONMENT: $rules. Create it first (docs/deploying.md)." >&2
  exit 1
fi
if [[ $ENVIRONMENT == prod && " $rules " != *" required_reviewers "* ]]; then
  echo "The GitHub environment prod has no required reviewers (rules: ${rules:-none}): nothing would be approved before it is" \
    "applied. Add them in the repository's settings, Environments, prod. Private repositories need GitHub Enterprise for this." >&2
  exit 1
fi
echo "Protection rules of $ENVIRONMENT: ${rules:-none}."
