variable "change_lag_p95_threshold_ms" {
  description = "95th percentile of the time from a change's acceptance to its commit above which the alarm fires, in milliseconds."
  type        = number
  default     = 30000
  nullable    = false

  validation {
    condition     = var.change_lag_p95_threshold_ms > 0
    error_message = "change_lag_p95_threshold_ms must be above 0."
  }
}

# What a client feels as "I changed it, and it still shows the old price". The queue's age says how long messages wait;
# this says how long changes took, the retries included.
resource "aws_cloudwatch_metric_alarm" "change_lag" {
  alarm_name        = "${local.function_name}-change-lag"
  alarm_description = "TODAY: the 95th percentile of the time from acceptance to commit is above ${var.change_lag_p95_threshold_ms / 1000} s. Impact: clients see products as they were before their changes. First command: `${local.failures}`. ${local.links}/change-lag.md"

  namespace           = "ProductCatalogue"
  metric_name         = "ChangeLagMs"
  dimensions          = { FunctionName = local.function_name }
  extended_statistic  = "p95"
  period              = 300
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  threshold           = var.change_lag_p95_threshold_ms
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = [local.infrastructure.sns_topic_arn]
  ok_actions    = [local.infrastructure.sns_topic_arn]
}
