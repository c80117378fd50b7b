#!/usr/bin/env bash
# check-account.sh ENVIRONMENT ACCOUNT_ID
#
# Check an AWS account before anything is created in it: is it the account of ENVIRONMENT, are the bucket names free or its own,
# may Lambda run enough invocations at once, is GitHub's OIDC provider there already. Reads only. Ends with 2 when something
# must be done first.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

[[ ${1:-} =~ ^(dev|sit|prod)$ && ${2:-} =~ ^[0-9]{12}$ ]] || usage
environment=$1 account=$2 findings=0

finding() {
  echo "LOOK  $1"
  findings=$((findings + 1))
}

# setting NAME FILE: a quoted value of a Terraform file.
setting() {
  sed -n "s/^$1 *= *\"\(.*\)\"\$/\1/p" "$2"
}

# The environment's region, whatever the caller's default is. Version 1 of the AWS CLI reads the second name only.
AWS_REGION=$(setting region "terraform/environments/$environment.s3.tfbackend")
export AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION

caller=$(aws sts get-caller-identity --query Account --output text)
if [[ $caller != "$account" ]]; then
  echo "These credentials belong to account $caller, expected $account." >&2
  exit 1
fi
echo "OK    account $account"

suffix=$(setting bucket_suffix "terraform/environments/$environment.tfvars")
for bucket in "$(setting bucket "terraform/environments/$environment.s3.tfbackend")" "bbws-product-audit-logs-$environment$suffix"; do
  if answer=$(aws s3api head-bucket --bucket "$bucket" --expected-bucket-owner "$account" 2>&1); then
    echo "OK    bucket $bucket exists in this account"
  elif [[ $answer == *404* ]]; then
    echo "OK    bucket name $bucket is free"
  elif [[ $answer == *403* ]]; then
    finding "bucket name $bucket belongs to another account: set bucket_suffix in environments/$environment.tfvars and bucket in environments/$environment.s3.tfbackend, in every repository"
  else
    echo "failed to look up the bucket $bucket: $answer" >&2
    exit 1
  fi
done

# Two consumers with a maximum concurrency of 10 each, and the five functions of the API.
needed=50
limit=$(aws lambda get-account-settings --query AccountLimit.ConcurrentExecutions --output text)
if ((limit < needed)); then
  finding "Lambda may run $limit invocations at once, at least $needed are needed: request 1,000 in Service Quotas, Lambda, Concurrent executions"
else
  echo "OK    Lambda may run $limit invocations at once"
fi

providers=$(aws iam list-open-id-connect-providers --query 'OpenIDConnectProviderList[].Arn' --output text)
if [[ $providers == *oidc-provider/token.actions.githubusercontent.com* ]]; then
  mine=$(aws iam list-roles --query "Roles[?RoleName=='bbws-deploy-product-infrastructure-$environment'].RoleName | [0]" --output text)
  if [[ $mine == None ]]; then
    finding "GitHub's OIDC provider exists in this account: set create_oidc_provider = false in terraform/deploy-roles/environments/$environment.tfvars"
  else
    echo "OK    the deploy roles exist"
  fi
else
  echo "OK    no OIDC provider of GitHub's in this account"
fi

if ((findings > 0)); then exit 2; fi
