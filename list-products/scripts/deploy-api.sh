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

DEPLOYMENT_PAUSE_SECONDS=${DEPLOYMENT_PAUSE_SECONDS:-5}
api=$(api_id)
remembered=$WORK/previous-deployment
made=$WORK/made-deployment

served() {
  aws apigateway get-stage --rest-api-id "$api" --stage-name "$ENVIRONMENT" --query deploymentId --output text
}

# At least the 5 s that AWS wants between two deployments of an account, and not the same for two that wait.
pause() {
  sleep "$((DEPLOYMENT_PAUSE_SECONDS + RANDOM % 6))"
}

# One method without an integration makes every deployment of the API fail, whoever asks for it.
methods_without_integration() {
  aws apigateway get-resources --rest-api-id "$api" --embed methods --limit 500 --output json | jq --raw-output '
    .items[] | .path as $path | (.resourceMethods // {}) | to_entries[]
    | select(.value.methodIntegration == null) | "Method without integration: \(.key) \($path)"'
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
    for attempt in {1..12}; do
      if said=$(aws apigateway create-deployment --rest-api-id "$api" --stage-name "$ENVIRONMENT" \
        --description "$REPOSITORY $(commit)" --query id --output text 2>&1); then
        echo "$said" > "$made"
        if is_the_last "$said"; then
          echo "Deployment $said is on the stage $ENVIRONMENT."
          exit
        fi
        said="another repository deployed the API at the same time"
      elif [[ $said != *TooManyRequests* && $said != *"No integration defined"* ]]; then
        # Neither the rate, which is one in 5 s for the whole account, nor another repository between its method and its
        # integration: waiting won't help.
        echo "failed to create a deployment: $said" >&2
        exit 1
      fi
      echo "Attempt $attempt of 12: $said" >&2
      pause
    done
    echo "failed to put the methods of $REPOSITORY on the stage: $said" >&2
    methods_without_integration >&2
    echo "Run this release again when the other deployments have ended." >&2
    exit 1
    ;;
  restore)
    # Nothing was made if the release failed before.
    if [[ ! -s $made ]]; then exit 0; fi
    if [[ $(served) != "$(cat "$made")" ]]; then
      # Theirs holds the methods of this repository as they stand now; the one remembered would take theirs away.
      echo "::warning::Another repository has deployed the API since; its deployment stays on the stage."
      exit 0
    fi
    aws apigateway update-stage --rest-api-id "$api" --stage-name "$ENVIRONMENT" \
      --patch-operations "op=replace,path=/deploymentId,value=$(cat "$remembered")" --query deploymentId --output text
    ;;
  *)
    echo "usage: deploy-api.sh create | restore" >&2
    exit 2
    ;;
esac
