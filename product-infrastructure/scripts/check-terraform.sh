#!/usr/bin/env bash
# Format, validate and test the three Terraform roots. Needs no credentials: the tests mock the provider.
set -euo pipefail
cd "$(dirname "$0")/.."

terraform fmt -check -recursive terraform
for folder in terraform terraform/api-keys terraform/deploy-roles; do
  terraform -chdir="$folder" init -backend=false -input=false -lockfile=readonly
  terraform -chdir="$folder" validate
  terraform -chdir="$folder" test
done
