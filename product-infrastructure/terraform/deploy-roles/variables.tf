variable "environment" {
  description = "Environment to deploy to. Each one is an AWS account of its own."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "sit", "prod"], var.environment)
    error_message = "environment must be dev, sit or prod."
  }
}

variable "aws_region" {
  description = "AWS region of every resource."
  type        = string
  default     = "eu-west-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region must be a region name such as eu-west-1."
  }
}

variable "account_id" {
  description = "Account that this environment belongs to. When given, credentials of any other account are refused before anything is planned."
  type        = string
  default     = null

  validation {
    condition     = var.account_id == null ? true : can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be twelve digits, or null."
  }
}

variable "github_owner" {
  description = "GitHub organisation, or user, that the eight repositories belong to."
  type        = string
  nullable    = false

  validation {
    # https://docs.github.com/en/get-started/signing-up-for-github: letters, digits and single hyphens within.
    condition     = can(regex("^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}$", var.github_owner))
    error_message = "github_owner must be the name of a GitHub organisation or user, without a repository."
  }
}
