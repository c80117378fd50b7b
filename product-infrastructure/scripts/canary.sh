#!/usr/bin/env bash
# Create a product, follow the change to its end, patch, read and delete it: proves the permissions of every function and of the
# queue between them. For dev and sit. Not in prod, where it would appear in clients' lists and feeds, and its audit records stay
# for years: there, the functions' smoke tests read, and send what is refused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev or sit}"

if [[ $ENVIRONMENT == prod ]]; then
  echo "The canary writes, so it doesn't run in prod." >&2
  exit 2
fi

products="$(api_url)/v1.0/products"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
key=$(aws secretsmanager get-secret-value --secret-id "bbws/product-api/key-$ENVIRONMENT" --query SecretString --output text)
if [[ -n ${GITHUB_ACTIONS:-} ]]; then echo "::add-mask::$key"; fi
(umask 077 && printf 'header = "x-api-key: %s"\n' "$key" > "$work/key")

# call EXPECTED METHOD URL [CONTENT_TYPE BODY]
call() {
  local status arguments=(--silent --show-error --config "$work/key" --request "$2" --max-time 30 --dump-header "$work/headers"
    --output "$work/body" --write-out '%{http_code}')
  if (($# > 3)); then arguments+=(--header "content-type: $4" --data "$5"); fi
  : > "$work/body"
  status=$(curl "${arguments[@]}" "$3")
  if [[ $status != "$1" ]]; then
    echo "$2 $3 returned $status, expected $1: $(cat "$work/body")" >&2
    return 1
  fi
}

# follow PRODUCT_ID: wait until the change of the response before is applied. Its Operation-Location ends with the event ID.
follow() {
  local event
  event=$(tr -d '\r' < "$work/headers" | sed -n 's/^[Oo]peration-[Ll]ocation: *.*\/\([^/]*\)$/\1/p')
  for _ in {1..60}; do
    call 200 GET "$products/$1/changes/$event"
    if [[ $(jq .done "$work/body") == true ]]; then
      [[ $(jq --raw-output .status "$work/body") == APPLIED ]] && return
      echo "Change $event ended $(jq --compact-output '[.status, .reason]' "$work/body"), expected APPLIED." >&2
      return 1
    fi
    sleep "${CANARY_PAUSE_SECONDS:-1}"
  done
  echo "Change $event is still pending after 60 attempts." >&2
  return 1
}

call 202 POST "$products" application/json \
  "{\"name\":\"Canary\",\"price\":\"1.00\",\"currency\":\"EUR\",\"sku\":\"canary-$(date +%s)-$RANDOM\",\"category\":\"Canary\"}"
id=$(jq --raw-output .productId "$work/body")
follow "$id"
call 202 PATCH "$products/$id" application/merge-patch+json '{"price":"2.00"}'
follow "$id"
call 200 GET "$products/$id"
[[ $(jq --raw-output .price "$work/body") == 2.00 ]] || { echo "The patch isn't in the product: $(cat "$work/body")" >&2; exit 1; }
call 200 GET "$products?ids=$id"
[[ $(jq '.items | length' "$work/body") == 1 ]] || { echo "The list lacks the product: $(cat "$work/body")" >&2; exit 1; }
call 204 DELETE "$products/$id"
follow "$id"
call 404 GET "$products/$id"

# The last two are asynchronous. The audit bucket is closed to pipelines; an empty dead-letter queue and a quiet audit queue say
# that the records were written.
for queue in change-dlq audit-dlq events-dlq; do
  url=$(aws sqs get-queue-url --queue-name "bbws-product-$queue-$ENVIRONMENT" --query QueueUrl --output text)
  depth=$(aws sqs get-queue-attributes --queue-url "$url" --attribute-names ApproximateNumberOfMessages \
    --query Attributes.ApproximateNumberOfMessages --output text)
  if [[ $depth != 0 ]]; then
    echo "bbws-product-$queue-$ENVIRONMENT holds $depth messages." >&2
    exit 1
  fi
done
echo "Product $id was created, patched, listed, read and deleted."
