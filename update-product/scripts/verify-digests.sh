#!/usr/bin/env bash
# verify-digests.sh PACKAGE_DIGEST PLAN_DIGEST: fail unless these are the package and the plan that were reviewed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh

printf '%s  %s\n%s  %s\n' "$1" "$PACKAGE" "$2" "$PLAN" | sha256sum --check --strict
