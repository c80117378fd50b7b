resource "aws_cloudwatch_log_group" "function" {
  # checkov:skip=CKV_AWS_158:CloudWatch encrypts every log group with a key of its own; no body, name or key of a client is logged
  # checkov:skip=CKV_AWS_338:for operating, not for evidence: what must last is in the audit bucket, and a log can hold source addresses
  name              = "/aws/lambda/${local.function_name}"
  retention_in_days = 90
}

locals {
  runbooks = "Runbook: product-infrastructure/docs/runbooks"
}

# Crashes, time-outs and errors returned to Lambda. A 5xx that the function answers is not among them; API Gateway's
# alarm counts those.
resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name        = "${local.function_name}-errors"
  alarm_description = "More than 5 % of ${local.function_name}'s invocations failed. ${local.runbooks}/function-errors.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 5
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "rate"
    label       = "Failed, per cent of invocations"
    expression  = "IF(invocations >= 20, 100 * errors / invocations, 0)" # Below 20 in five minutes one error is no rate.
    return_data = true
  }

  metric_query {
    id = "errors"

    metric {
      namespace   = "AWS/Lambda"
      metric_name = "Errors"
      dimensions  = { FunctionName = local.function_name }
      period      = 300
      stat        = "Sum"
    }
  }

  metric_query {
    id = "invocations"

    metric {
      namespace   = "AWS/Lambda"
      metric_name = "Invocations"
      dimensions  = { FunctionName = local.function_name }
      period      = 300
      stat        = "Sum"
    }
  }

  alarm_actions = [local.infrastructure.sns_topic_arn]
  ok_actions    = [local.infrastructure.sns_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "duration_p95" {
  alarm_name        = "${local.function_name}-duration-p95"
  alarm_description = "95 % of ${local.function_name}'s invocations no longer end within ${var.duration_p95_threshold_ms} ms. ${local.runbooks}/function-duration-p95.md"

  namespace           = "AWS/Lambda"
  metric_name         = "Duration"
  dimensions          = { FunctionName = local.function_name }
  extended_statistic  = "p95"
  period              = 300
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  threshold           = var.duration_p95_threshold_ms
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  # With a handful of samples the 95th percentile is the slowest one, a cold start.
  evaluate_low_sample_count_percentiles = "ignore"

  alarm_actions = [local.infrastructure.sns_topic_arn]
  ok_actions    = [local.infrastructure.sns_topic_arn]
}
