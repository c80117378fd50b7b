# Sourced by the other scripts, from the repository's root: what they know of a root and its plan.
# shellcheck shell=bash disable=SC2034 # Not every script uses every name.

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

# terraform_plan ROOT FILE
terraform_plan() {
  local folder
  folder=$(root_folder "$1")
  mkdir -p "$(dirname "$2")"
  terraform -chdir="$folder" init -input=false -lockfile=readonly \
    -backend-config="environments/$ENVIRONMENT.s3.tfbackend" >&2
  terraform -chdir="$folder" plan -input=false -lock-timeout=5m -out="$PWD/$2" \
    -var-file="environments/$ENVIRONMENT.tfvars" >&2
}

# What a plan does, with no value in it: each address and its actions.
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
