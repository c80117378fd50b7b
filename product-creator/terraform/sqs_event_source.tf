# The queue that feeds the function, and the way a batch is answered: the function names the messages that failed, and
# only those are redelivered. Without ReportBatchItemFailures one bad message would return all ten, and in the end move all ten to the dead-letter queue.
variable "batch_size" {
  description = "Messages that one invocation is given at most."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10 && floor(var.batch_size) == var.batch_size
    error_message = "batch_size must be a whole number from 1 to 10: more would need a batching window, which delays every change."
  }
}

variable "maximum_concurrency" {
  description = "Invocations that the queue may keep running at once. It bounds what a burst of changes can ask of the table or the bucket; the rest waits in the queue, without being received and counted."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000 && floor(var.maximum_concurrency) == var.maximum_concurrency
    error_message = "maximum_concurrency must be a whole number from 2 to 1000, the limits of SQS event sources."
  }
}

resource "aws_lambda_event_source_mapping" "queue" {
  event_source_arn        = local.queue_arn
  function_name           = aws_lambda_alias.live.arn
  batch_size              = var.batch_size
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.maximum_concurrency
  }

  # Lambda checks the role's right to read the queue when the mapping is made.
  depends_on = [aws_iam_role_policy.calls]

  lifecycle {
    precondition {
      condition     = var.timeout_seconds * 6 <= try(local.infrastructure.queue_visibility_timeout_seconds, 0)
      error_message = "timeout_seconds (${var.timeout_seconds}) is more than a sixth of the queue's visibility timeout (${try(local.infrastructure.queue_visibility_timeout_seconds, "unknown")} s): messages would be given out again while they are still being worked on. Raise queue_visibility_timeout_seconds in product-infrastructure first."
    }
  }
}
