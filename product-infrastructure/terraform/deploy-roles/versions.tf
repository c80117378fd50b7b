terraform {
  # 1.11 is the first version whose S3 backend locks with a plain object (`use_lockfile`): no lock table to run.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # Filled by environments/{environment}.s3.tfbackend, so that one root serves every environment.
  backend "s3" {}
}
