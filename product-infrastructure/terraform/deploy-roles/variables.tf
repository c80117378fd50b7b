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
  description = "ID of the account that this environment belongs to. Credentials of any other account are rejected before anything is planned."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be twelve digits."
  }
}

variable "bucket_suffix" {
  description = "Suffix of this environment's bucket names, for when someone else owns the plain ones: bucket names are unique across all of AWS. The same in every repository; also in environments/*.s3.tfbackend."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(-[a-z0-9-]{1,20})?$", var.bucket_suffix))
    error_message = "bucket_suffix must be empty, or a hyphen and up to 20 lower-case letters, digits and hyphens."
  }
}

variable "github_owner" {
  description = "GitHub organisation, or user, that owns the eight repositories."
  type        = string
  nullable    = false

  validation {
    # https://docs.github.com/en/get-started/signing-up-for-github: letters, digits and single hyphens within.
    condition     = can(regex("^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}$", var.github_owner))
    error_message = "github_owner must be the name of a GitHub organisation or user, without a repository."
  }
}

variable "github_owner_id" {
  description = "GitHub's ID of github_owner: `gh api users/OWNER --jq .id`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]*$", var.github_owner_id))
    error_message = "github_owner_id must be a number."
  }
}

variable "github_repository_ids" {
  description = "GitHub's ID of each of the eight repositories, by name: `gh api repos/OWNER/REPOSITORY --jq .id`. scripts/setup-github.sh writes them."
  type        = map(string)
  nullable    = false

  validation {
    condition     = toset(keys(var.github_repository_ids)) == toset(["product-infrastructure", "list-products", "get-product", "create-product", "update-product", "delete-product", "product-creator", "audit-logger"])
    error_message = "github_repository_ids must name all eight repositories: each exists before its roles do."
  }

  validation {
    condition     = alltrue([for id in values(var.github_repository_ids) : can(regex("^[1-9][0-9]*$", id))])
    error_message = "github_repository_ids must hold numbers."
  }

  validation {
    condition     = length(distinct(values(var.github_repository_ids))) == length(var.github_repository_ids)
    error_message = "github_repository_ids must not contain an ID twice: one repository would get another's roles."
  }
}

variable "create_oidc_provider" {
  description = "Whether to create GitHub's OIDC provider. False in an account that has it already, from another team."
  type        = bool
  default     = true
  nullable    = false
}

variable "auditor_principals" {
  description = "ARNs of the IAM roles and users that may assume the read-only auditor role, such as an auditor's role of IAM Identity Center. Empty: the role is not created."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for principal in var.auditor_principals : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", principal))])
    error_message = "auditor_principals must be ARNs of IAM roles or users, without a wildcard."
  }
}
