# Sourced by the other scripts, from the repository's root: names that a deployment needs more than once.
# shellcheck shell=bash disable=SC2034 # Not every script uses every name.

# CreateDeployment is allowed once in 5 s per account, and every AWS API throttles now and then. The CLI's standard mode backs
# off with jitter; version 1 would use the legacy mode.
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=10

REPOSITORY=$(sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
WORK=target/package
PACKAGE=$WORK/bootstrap.zip
PLAN=$WORK/reviewed.tfplan

function_name() {
  echo "bbws-$REPOSITORY-$ENVIRONMENT"
}

package_digest() {
  sha256sum "$PACKAGE" | cut -d ' ' -f 1
}

# The version that serves now; nothing before the first release. Any other failure is one.
live_version() {
  local answer
  if answer=$(aws lambda get-alias --function-name "$(function_name)" --name live \
    --query FunctionVersion --output text 2>&1); then
    echo "$answer"
  elif [[ $answer != *ResourceNotFoundException* ]]; then
    echo "$answer" >&2
    return 1
  fi
}

# The id of the REST API, which the infrastructure owns.
api_id() {
  aws apigateway get-rest-apis --limit 500 \
    --query "items[?name=='bbws-product-api-$ENVIRONMENT'].id | [0]" --output text
}

# Where the API answers: at API Gateway's own address, unless API_URL names another (a domain of one's own, an emulator).
api_url() {
  local region=${AWS_REGION:-$(aws configure get region)}
  echo "${API_URL:-https://$(api_id).execute-api.$region.amazonaws.com/$ENVIRONMENT}"
}

# Whether the API calls this function, or something else does.
has_methods() {
  local resources
  resources=$(terraform -chdir=terraform state list) || exit 1
  [[ $resources == *aws_api_gateway_integration.* ]]
}

# The bucket of the Terraform states, which also holds the packages and the record of what is released: versioned, private,
# created before everything else, and each pipeline writes under its own repository's prefix only.
state_bucket() {
  sed -n 's/^bucket *= *"\(.*\)"$/\1/p' "terraform/environments/$ENVIRONMENT.s3.tfbackend"
}

# The commit that is checked out, which is not GITHUB_SHA in a promotion.
commit() {
  git rev-parse HEAD 2> /dev/null || echo "${GITHUB_SHA:-unknown}"
}

# Terraform itself would only say that a state was not found.
expect_infrastructure() {
  if ! aws s3api head-object --bucket "$(state_bucket)" \
    --key product-infrastructure/terraform.tfstate > /dev/null; then
    echo "Infrastructure of $ENVIRONMENT not found, or this role can't read its state. Deploy product-infrastructure to" \
      "$ENVIRONMENT first (root: shared)." >&2
    return 1
  fi
}

terraform_init() {
  terraform -chdir=terraform init -input=false -lockfile=readonly \
    -backend-config="environments/$ENVIRONMENT.s3.tfbackend" >&2
}

# terraform_plan FILE VERSION: what it takes to run the package with `live` at VERSION (empty: at what it publishes).
terraform_plan() {
  local live=()
  if [[ -n $2 ]]; then live=(-var "live_version=$2"); fi
  terraform -chdir=terraform plan -input=false -lock-timeout=5m -out="../$1" \
    -var-file="environments/$ENVIRONMENT.tfvars" -var "package_path=../$PACKAGE" "${live[@]}" >&2
}
