#!/usr/bin/env bash
# only-the-alias.sh PLAN: fail unless the plan changes nothing but the alias `live`.
# Plans that nobody reviews (the switch to the new version, the way back) may do no more than that.
set -euo pipefail
cd "$(dirname "$0")/.."

others=$(terraform -chdir=terraform show -json "../$1" | jq -r '
  .resource_changes[]?
  | select(.change.actions != ["no-op"] and .change.actions != ["read"])
  | select((.type == "aws_lambda_alias" and .change.actions == ["update"]) | not)
  | "\(.address): \(.change.actions | join(", "))"')
if [[ -n $others ]]; then
  printf 'This plan may only move the alias, but it also changes\n%s\n' "$others" >&2
  exit 1
fi
