resource "aws_cloudwatch_log_group" "function" {
  # checkov:skip=CKV_AWS_158:CloudWatch encrypts every log group with a key of its own; no body, name or key of a client is logged
  # checkov:skip=CKV_AWS_338:for operating, not for evidence: what must last is in the audit bucket, and a log can hold source addresses
  name              = "/aws/lambda/${local.function_name}"
  retention_in_days = 90
}

locals {
  logs     = "catalogctl logs ${local.repository} --env ${var.environment} --since 15m"
  failures = "${local.logs} --filter '?ERROR ?\"Task timed out\" ?\"Runtime exited\" ?panicked'"
  slow     = "${local.logs} --filter '{ $.record.metrics.durationMs > ${var.duration_p95_threshold_ms} }'"
  console  = "https://${var.aws_region}.console.aws.amazon.com/cloudwatch/home?region=${var.aws_region}"
  # What every description ends with.
  links = "Dashboard: ${local.console}#dashboards:name=${local.infrastructure.dashboard_name} Runbook: ${local.infrastructure.runbooks_url}"
}

# Crashes, time-outs and errors returned to Lambda. A 5xx that the function answers is not among them; API Gateway's
# alarm counts those.
resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name        = "${local.function_name}-errors"
  alarm_description = "${local.urgency}: more than 5 % of ${local.function_name}'s invocations failed. Impact: ${local.impact} First command: `${local.failures}`. ${local.links}/function-errors.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 5
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"

  metric_query {
    id    = "rate"
    label = "Failed, per cent of invocations"
    # Below 20 invocations in five minutes one error isn't a meaningful rate; five errors are an outage at any traffic.
    expression  = "IF(invocations >= 20 OR errors >= 5, 100 * errors / invocations, 0)"
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
  alarm_description = "TODAY: the 95th percentile of ${local.function_name}'s duration is above ${var.duration_p95_threshold_ms} ms. Impact: ${local.impact} First command: `${local.slow}`. ${local.links}/function-duration-p95.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = var.duration_p95_threshold_ms
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"

  # An alarm on the percentile itself ignores periods of fewer than 200 invocations, or else one cold start rings it. With 40
  # or more, the 95th percentile is at least the third slowest.
  metric_query {
    id          = "duration"
    label       = "95th percentile of the duration, ms"
    expression  = "IF(invocations >= 40, p95, 0)"
    return_data = true
  }

  metric_query {
    id = "p95"

    metric {
      namespace   = "AWS/Lambda"
      metric_name = "Duration"
      dimensions  = { FunctionName = local.function_name }
      period      = 300
      stat        = "p95"
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
