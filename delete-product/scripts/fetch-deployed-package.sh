#!/usr/bin/env bash
# Fetch the package that is deployed now, so that a plan for a rollback sees no new code.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

mkdir -p "$(dirname "$PACKAGE")"
url=$(aws lambda get-function --function-name "$(function_name)" --query Code.Location --output text)
expected=$(aws lambda get-function --function-name "$(function_name)" --query Configuration.CodeSha256 --output text)
# The URL is signed, hence a secret for several minutes: it goes in on standard input, not on the command line.
printf 'url = "%s"\n' "$url" | curl --silent --show-error --fail --config - --output "$PACKAGE"
actual=$(openssl dgst -sha256 -binary "$PACKAGE" | base64)
if [[ $actual != "$expected" ]]; then
  echo "The package that was fetched is not the one that is deployed." >&2
  exit 1
fi
