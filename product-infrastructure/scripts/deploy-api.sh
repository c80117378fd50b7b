#!/usr/bin/env bash
# deploy-api.sh create    Put the methods as they stand now on the API's stage. Remembers the deployment before it.
# deploy-api.sh restore   Put the remembered deployment back, unless somebody else has deployed since.
# A repository without a method has nothing to do here. API Gateway serves a snapshot of all methods: a changed one is not
# seen before somebody makes a new snapshot, and each release does, so none waits for a release that failed half-way.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/deployment.sh
: "${ENVIRONMENT:?dev, sit or prod}"

if ! has_methods; then exit 0; fi

api=$(api_id)
remembered=$WORK/previous-deployment
made=$WORK/made-deployment

served() {
  aws apigateway get-stage --rest-api-id "$api" --stage-name "$ENVIRONMENT" --query deploymentId --output text
}

# Whether the snapshot $1 is on the stage and newer than every other. Several repositories share the stage and none knows of
# the others: of two that deploy at once, the older snapshot, which lacks the other's methods, may be the one that stays.
# Dates are full seconds; of two with the same date either may be the older.
is_the_last() {
  [[ $(served) == "$1" ]] && aws apigateway get-deployments --rest-api-id "$api" --output json \
    | jq --exit-status --arg id "$1" '(.items[] | select(.id == $id).createdDate) as $date
        | [.items[] | select(.id != $id and .createdDate >= $date)] == []' > /dev/null
}

case $1 in
  create)
    served > "$remembered"
    for attempt in 1 2 3 4 5 6 7 8; do
      aws apigateway create-deployment --rest-api-id "$api" --stage-name "$ENVIRONMENT" \
        --description "$REPOSITORY ${GITHUB_SHA:-}" --query id --output text > "$made"
      if is_the_last "$(cat "$made")"; then
        echo "Deployment $(cat "$made") is on the stage $ENVIRONMENT."
        exit
      fi
      echo "Attempt $attempt: somebody else deployed the API in the same moment." >&2
      sleep "$((1 + RANDOM % 4))"
    done
    echo "Others keep deploying the API. The methods of $REPOSITORY may not be on the stage: run this release again." >&2
    exit 1
    ;;
  restore)
    # Nothing was made if the release failed before.
    if [[ ! -s $made ]]; then exit 0; fi
    if [[ $(served) != "$(cat "$made")" ]]; then
      # Theirs holds the methods of this repository as they stand now; the one remembered would take theirs away.
      echo "::warning::Somebody else has deployed the API since; their deployment stays on the stage."
      exit 0
    fi
    aws apigateway update-stage --rest-api-id "$api" --stage-name "$ENVIRONMENT" \
      --patch-operations "op=replace,path=/deploymentId,value=$(cat "$remembered")" --query deploymentId --output text
    ;;
  *)
    echo "create or restore?" >&2
    exit 2
    ;;
esac
