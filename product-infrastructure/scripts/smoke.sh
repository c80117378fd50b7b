#!/usr/bin/env bash
# The API is up, tells a stranger no in the catalogue's own words, and knows no other routes.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

base="$(api_url)/v1.0"
body=$(mktemp)
trap 'rm -f "$body"' EXIT

# answers PATH STATUS CODE
answers() {
  local status code
  # A new deployment of the API reaches all of its servers within several seconds.
  for attempt in 1 2 3 4 5 6; do
    status=$(curl --silent --show-error --max-time 30 --output "$body" --write-out '%{http_code}' "$base$1") || status="no answer"
    code=$(jq --raw-output '.error.code // .status' "$body") || code="no JSON"
    if [[ "$status $code" == "$2 $3" ]]; then
      echo "GET $1 answers $status $code."
      return
    fi
    echo "Attempt $attempt: GET $1 answered $status $code, but $2 $3 was expected." >&2
    sleep "${SMOKE_TEST_PAUSE_SECONDS:-5}"
  done
  return 1
}

answers /health 200 ok
answers /no-such-route 404 NOT_FOUND
# Only where the functions have been deployed there is a method to refuse a stranger.
methods=$(aws apigateway get-resources --rest-api-id "$(api_id)" --limit 500 \
  --query "items[?path=='/v1.0/products'].resourceMethods | [0]" --output json)
if [[ $methods == *GET* ]]; then answers /products 403 FORBIDDEN; fi
