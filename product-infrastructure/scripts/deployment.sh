# Sourced by the other scripts, from the repository's root: what they know of a root and its plan.
# shellcheck shell=bash disable=SC2034 # Not every script uses every name.

# CreateDeployment is allowed once in 5 s per account, and every AWS API throttles now and then. The CLI's standard mode backs
# off with jitter; version 1 would use the legacy mode.
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=10

REPOSITORY=product-infrastructure
WORK=target/deployment
PLAN=$WORK/reviewed.tfplan

# root_folder ROOT: `shared` is everything but the API key, which has a root and a state of its own.
root_folder() {
  case $1 in
    shared) echo terraform ;;
    api-keys) echo terraform/api-keys ;;
    *)
      echo "The root is shared or api-keys, not '$1'." >&2
      return 1
      ;;
  esac
}

# terraform_plan ROOT FILE [OPTION]
terraform_plan() {
  local folder
  folder=$(root_folder "$1")
  mkdir -p "$(dirname "$2")"
  terraform -chdir="$folder" init -input=false -lockfile=readonly \
    -backend-config="environments/$ENVIRONMENT.s3.tfbackend" >&2
  local output=/dev/stderr
  # A plan of api-keys prints the keys: the provider doesn't mark `usage_plan_key.value` as sensitive. Its text goes nowhere;
  # errors, which hold no value, are on standard error.
  if [[ $1 == api-keys ]]; then output=/dev/null; fi
  local variables=(-var-file="environments/$ENVIRONMENT.tfvars")
  # `catalogctl keys rotate` writes this file; before the first rotation it doesn't exist.
  local generations=environments/$ENVIRONMENT.key-generations.tfvars.json
  if [[ -f $folder/$generations ]]; then variables+=(-var-file="$generations"); fi
  terraform -chdir="$folder" plan -input=false "${3:--lock-timeout=5m}" -out="$PWD/$2" "${variables[@]}" > "$output"
}

# The commit that is checked out, which is not GITHUB_SHA in a promotion.
commit() {
  git rev-parse HEAD 2> /dev/null || echo "${GITHUB_SHA:-unknown}"
}

state_bucket() {
  sed -n 's/^bucket *= *"\(.*\)"$/\1/p' "terraform/environments/$ENVIRONMENT.s3.tfbackend"
}

# What a plan does, without any value: each address and its actions.
changes() {
  terraform -chdir="$(root_folder "$1")" show -json "$PWD/$2" | jq -r '
    .resource_changes[]? | select(.change.actions != ["no-op"] and .change.actions != ["read"])
    | "\(.change.actions | join("+")) \(.address)"' | sort
}

api_id() {
  aws apigateway get-rest-apis --limit 500 \
    --query "items[?name=='bbws-product-api-$ENVIRONMENT'].id | [0]" --output text
}

# Where the API answers: at API Gateway's own address, unless API_URL names another (a domain of one's own, an emulator).
api_url() {
  local region=${AWS_REGION:-$(aws configure get region)}
  echo "${API_URL:-https://$(api_id).execute-api.$region.amazonaws.com/$ENVIRONMENT}"
}

# `GET /v1.0/health`, if nothing else.
has_methods() {
  true
}
