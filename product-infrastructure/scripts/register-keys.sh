#!/usr/bin/env bash
# register-keys.sh         Write each API key of ENVIRONMENT into the register: which client the key's ID belongs to.
# register-keys.sh check   Fail if a key isn't in the register, and name it. Writes nothing.
#
# The register is in the audit bucket, clients/KEY_ID.json, one object for each key. The bucket's policy and Object Lock keep what
# was written, so the register shows a client's name after its key was deleted. It holds no key: lists of API Gateway have none.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

mode=${1-write}
prefix=bbws-product-api-$ENVIRONMENT-
bucket=$(state_bucket)
bucket=${bucket/bbws-terraform-state/bbws-product-audit-logs}
mkdir -p "$WORK"
keys=$(aws apigateway get-api-keys --name-query "$prefix" --query 'items[].[id,name]' --output json)
registered=$(aws s3api list-objects-v2 --bucket "$bucket" --prefix clients/ --query 'Contents[].Key' --output json)
# A name ends with CLIENT-GENERATION, or with GENERATION alone for the default client. Which clients there can be:
# contracts/register-entry.schema.json.
missing=$(jq --null-input --raw-output --compact-output --arg prefix "$prefix" --argjson keys "$keys" --argjson registered "${registered:-null}" '
  $keys[]? | . as [$id, $name]
  | select(($registered // []) | index("clients/\($id).json") | not)
  | ($name | ltrimstr($prefix) | capture("^(?:(?<client>[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?)-)?(?<generation>[1-9][0-9]*)$"))
  | {apiKeyId: $id, client: (.client // "default"), generation: (.generation | tonumber), schemaVersion: 1}')
[[ -n $missing ]] || exit 0

while IFS= read -r entry; do
  id=$(jq --raw-output .apiKeyId <<< "$entry")
  if [[ $mode == check ]]; then
    echo "API key $id isn't in the register of keys: $entry" >&2
    continue
  fi
  printf '%s' "$entry" > "$WORK/key-entry.json"
  aws s3api put-object --bucket "$bucket" --key "clients/$id.json" --body "$WORK/key-entry.json" \
    --content-type application/json --checksum-algorithm SHA256 --if-none-match '*' > /dev/null
  echo "Registered API key $id of client $(jq --raw-output .client <<< "$entry")."
done <<< "$missing"
rm -f "$WORK/key-entry.json"
[[ $mode != check ]]
