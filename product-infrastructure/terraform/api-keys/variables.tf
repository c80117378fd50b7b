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

variable "key_generations" {
  description = "Generations of the API key that are valid, oldest first; the last is the current one, which the secret holds. To rotate: apply with [1, 2], move the clients over, disable generation 1, apply with [2]."
  type        = list(number)
  default     = [1]
  nullable    = false

  validation {
    condition     = length(var.key_generations) >= 1 && length(var.key_generations) <= 2
    error_message = "key_generations must name one generation, or two during a rotation."
  }

  validation {
    condition     = alltrue([for generation in var.key_generations : generation >= 1 && floor(generation) == generation])
    error_message = "key_generations must hold whole numbers from 1."
  }

  validation {
    condition     = length(var.key_generations) < 2 ? true : var.key_generations[0] < var.key_generations[length(var.key_generations) - 1]
    error_message = "key_generations must be in rising order: the last generation is the current one."
  }
}

variable "disabled_generations" {
  description = "Generations that are kept but open nothing. A key that is deleted cannot be made again with the same value; one that is disabled works again as soon as it leaves this list, should a client have been forgotten."
  type        = list(number)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for generation in var.disabled_generations : contains(var.key_generations, generation)])
    error_message = "disabled_generations must be among key_generations."
  }

  validation {
    condition     = !contains(var.disabled_generations, try(var.key_generations[length(var.key_generations) - 1], null))
    error_message = "disabled_generations must not name the current generation: the secret would hold a key that opens nothing."
  }
}

variable "clients" {
  description = "Clients with keys of their own, by name, beside the default client. rate_limit and burst_limit are requests per second and at once, of each key. With enabled = false none of the client's keys opens anything; a client that leaves this map loses its keys for good. Records keep showing its name."
  type = map(object({
    rate_limit  = number
    burst_limit = number
    enabled     = optional(bool, true)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.clients) : can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", name))])
    error_message = "Names in clients must be 1 to 30 lower-case letters, digits and hyphens, begin with a letter and end with a letter or a digit."
  }

  validation {
    condition     = !contains(keys(var.clients), "default")
    error_message = "clients must not contain \"default\": the client of that name exists without being listed."
  }

  validation {
    condition     = alltrue([for client in var.clients : client.rate_limit > 0])
    error_message = "rate_limit in clients must be greater than 0 requests/s. To withdraw a client's access, set enabled = false."
  }

  validation {
    condition     = alltrue([for client in var.clients : client.burst_limit >= 1 && floor(client.burst_limit) == client.burst_limit])
    error_message = "burst_limit in clients must be a whole number of at least 1 request."
  }
}

variable "client_key_generations" {
  description = "Generations of each client's keys, as key_generations and disabled_generations are for the default client. A client that isn't listed has generation 1. Written by `catalogctl keys rotate --client NAME`."
  type = map(object({
    key_generations      = list(number)
    disabled_generations = optional(list(number), [])
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.client_key_generations) : contains(keys(var.clients), name)])
    error_message = "client_key_generations must name clients of var.clients. Unknown: ${join(", ", setsubtract(keys(var.client_key_generations), keys(var.clients)))}."
  }

  validation {
    condition = alltrue([
      for client in var.client_key_generations :
      contains([1, 2], length(client.key_generations)) && alltrue([for generation in client.key_generations : generation >= 1 && floor(generation) == generation])
    ])
    error_message = "key_generations of a client must hold one whole number from 1, or two during a rotation."
  }

  validation {
    condition     = alltrue([for client in var.client_key_generations : length(client.key_generations) != 2 ? true : client.key_generations[0] < client.key_generations[1]])
    error_message = "key_generations of a client must be in rising order: the last generation is the current one."
  }

  validation {
    condition = alltrue([
      for client in var.client_key_generations :
      length(client.disabled_generations) == 0 || (length(client.key_generations) == 2 && client.disabled_generations == slice(client.key_generations, 0, min(1, length(client.key_generations))))
    ])
    error_message = "disabled_generations of a client must be empty, or hold the older of its two generations."
  }
}
