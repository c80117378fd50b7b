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

variable "alert_emails" {
  description = "Addresses subscribed to the alerts topic. AWS sends each one a confirmation that has to be accepted."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alert_emails must hold email addresses only."
  }

  validation {
    condition     = var.environment != "prod" || length(var.alert_emails) > 0
    error_message = "alert_emails must not be empty in prod: alarms must reach somebody."
  }
}

variable "change_emails" {
  description = "Addresses that get an email for each applied change of a product. AWS sends each one a confirmation that has to be accepted."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.change_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "change_emails must hold email addresses only."
  }
}

variable "runbooks_url" {
  description = "Address of the folder of runbooks, which alarm descriptions link to. The deploy workflow sets it to this repository on GitHub."
  type        = string
  default     = "product-infrastructure/docs/runbooks"
  nullable    = false

  validation {
    condition     = !endswith(var.runbooks_url, "/") && length(var.runbooks_url) <= 200
    error_message = "runbooks_url must not end with a slash, and must have at most 200 characters: an alarm description has 1,024."
  }
}

variable "list_shards" {
  description = "Number of partition keys that ProductsByPriceIndex and ProductsByChangeIndex spread their products over. Can be raised at any time, when the index-throttled alarm says so. Never lower it: products in the removed partitions would be missing from lists until their next change."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.list_shards >= 1 && var.list_shards <= 32 && floor(var.list_shards) == var.list_shards
    error_message = "list_shards must be a whole number from 1 to 32: each list request queries every shard."
  }
}

variable "throttle_rate_limit" {
  description = "Requests a second that one API key may make, sustained."
  type        = number
  nullable    = false

  validation {
    condition     = var.throttle_rate_limit > 0 && var.throttle_rate_limit <= 10000
    error_message = "throttle_rate_limit must be above 0 and at most 10000, the account's own default limit."
  }
}

variable "throttle_burst_limit" {
  description = "Requests that one API key may make at once before the rate limit bites."
  type        = number
  nullable    = false

  validation {
    condition     = var.throttle_burst_limit >= var.throttle_rate_limit && var.throttle_burst_limit <= 10000 && floor(var.throttle_burst_limit) == var.throttle_burst_limit
    error_message = "throttle_burst_limit must be a whole number, at least throttle_rate_limit and at most 10000."
  }
}

variable "queue_visibility_timeout_seconds" {
  description = "Time a received message stays hidden. AWS asks for at least six times the timeout of the function that reads the queue (10 s for product-creator and audit-logger)."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.queue_visibility_timeout_seconds >= 60 && var.queue_visibility_timeout_seconds <= 43200
    error_message = "queue_visibility_timeout_seconds must be from 60 (six times the functions' 10 s) to 43200."
  }
}

variable "oldest_message_alarm_seconds" {
  description = "Age of a queue's oldest message above which the alarm fires, in seconds."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.oldest_message_alarm_seconds >= 60
    error_message = "oldest_message_alarm_seconds must be at least 60."
  }
}

variable "stream_settle_seconds" {
  description = "Time between creating the table's stream and the pipe that reads it. 0 only where streams are readable at once, as in an emulator."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.stream_settle_seconds >= 0 && var.stream_settle_seconds <= 600 && floor(var.stream_settle_seconds) == var.stream_settle_seconds
    error_message = "stream_settle_seconds must be a whole number from 0 to 600."
  }
}

variable "audit_verified_daily" {
  description = "Whether the workflow *Verify the audit log* runs here each day, so that an alarm reports 36 hours without a result. False only where no workflow runs, such as on a local stack."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.environment != "prod" || var.audit_verified_daily
    error_message = "audit_verified_daily must be true in prod: an audit log that nobody verifies proves little."
  }
}

variable "audit_archive_min_bytes" {
  description = "Size above which audit records move to Glacier after a year. 0 moves all. Below about 37 KB a record costs more in Glacier than in Standard, and reading it takes a restore: see docs/scale-and-cost.md."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.audit_archive_min_bytes >= 0 && floor(var.audit_archive_min_bytes) == var.audit_archive_min_bytes
    error_message = "audit_archive_min_bytes must be a whole number, at least 0."
  }
}

variable "audit_query_limit_bytes" {
  description = "Bytes that one Athena query may read. Athena cancels a query that reads more; AWS bills by the bytes read."
  type        = number
  default     = 10737418240 # 10 GiB, some four million records
  nullable    = false

  validation {
    condition     = var.audit_query_limit_bytes >= 10485760 && floor(var.audit_query_limit_bytes) == var.audit_query_limit_bytes
    error_message = "audit_query_limit_bytes must be a whole number, at least 10485760 (10 MiB), Athena's own minimum."
  }
}

variable "audit_retention_days" {
  description = "Days for which Object Lock keeps an audit record from being deleted. In prod the lock is in compliance mode: nobody, the account's root included, can shorten it afterwards."
  type        = number
  nullable    = false

  validation {
    condition     = var.audit_retention_days >= 1 && floor(var.audit_retention_days) == var.audit_retention_days
    error_message = "audit_retention_days must be a whole number, at least 1."
  }

  # `catalogctl audit verify` demands the same minima (audit-log/src/lock.rs), whatever the bucket is set to.
  validation {
    condition     = var.environment != "prod" || var.audit_retention_days >= 2557
    error_message = "audit_retention_days must be at least 2557 in prod: seven years, two of them leap years."
  }
}
