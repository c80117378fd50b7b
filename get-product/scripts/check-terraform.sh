#!/usr/bin/env bash
# Format, validate and test the Terraform root. Needs no credentials: the tests mock the provider.
set -euo pipefail
cd "$(dirname "$0")/../terraform"

terraform fmt -check -recursive
terraform init -backend=false -input=false -lockfile=readonly
terraform validate
terraform test
