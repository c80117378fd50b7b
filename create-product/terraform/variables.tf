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

variable "package_path" {
  description = "Path of the function's package: a zip with one executable file, `bootstrap`."
  type        = string
  nullable    = false

  validation {
    condition     = fileexists(var.package_path)
    error_message = "There is no file at package_path: build and package the function first."
  }
}

variable "architecture" {
  description = "Processor architecture the package was built for."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "memory_size" {
  description = "Memory in MB. Lambda gives processor time in proportion."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "memory_size must be a whole number from 128 to 10240."
  }
}

variable "timeout_seconds" {
  description = "Time after which Lambda ends an invocation."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 29 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds must be a whole number from 1 to 29, the longest that API Gateway waits."
  }
}

variable "log_level" {
  description = "Least severe level that the function logs."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = contains(["trace", "debug", "info", "warn", "error"], var.log_level)
    error_message = "log_level must be trace, debug, info, warn or error."
  }
}

variable "live_version" {
  description = "Published version that the alias `live` points to; null means the version that this apply publishes. A pipeline first applies with the version now live, tries the new one out, then applies with the new one. Going back is an apply with an older version."
  type        = string
  default     = null

  validation {
    condition     = var.live_version == null ? true : can(regex("^[1-9][0-9]*$", var.live_version))
    error_message = "live_version must be the number of a published version, or null."
  }
}

variable "duration_p95_threshold_ms" {
  description = "95th percentile of the duration above which the alarm fires, in milliseconds."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.duration_p95_threshold_ms > 0
    error_message = "duration_p95_threshold_ms must be above 0."
  }
}
