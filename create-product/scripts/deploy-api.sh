#!/usr/bin/env bash
# deploy-api.sh create    Put the methods as they stand now on the API's stage. Remembers the deployment before it.
# deploy-api.sh restore   Put the remembered deployment back.
# A function without a method has nothing to do here. API Gateway serves a snapshot of all methods: a changed one is not
# seen before somebody makes a new snapshot, and each release does, so none waits for a release that failed half-way.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

resources=$(terraform -chdir=terraform state list)
if [[ $resources != *aws_api_gateway_integration.* ]]; then exit 0; fi

api=$(aws apigateway get-rest-apis --limit 500 \
  --query "items[?name=='bbws-product-api-$ENVIRONMENT'].id | [0]" --output text)
remembered=target/package/previous-deployment

case $1 in
  create)
    aws apigateway get-stage --rest-api-id "$api" --stage-name "$ENVIRONMENT" \
      --query deploymentId --output text > "$remembered"
    aws apigateway create-deployment --rest-api-id "$api" --stage-name "$ENVIRONMENT" \
      --description "$REPOSITORY ${GITHUB_SHA:-}" --query id --output text
    ;;
  restore)
    aws apigateway update-stage --rest-api-id "$api" --stage-name "$ENVIRONMENT" \
      --patch-operations "op=replace,path=/deploymentId,value=$(cat "$remembered")" --query deploymentId --output text
    ;;
  *)
    echo "create or restore?" >&2
    exit 2
    ;;
esac
