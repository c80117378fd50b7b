# Whom an alarm reaches, and the alarms on what the functions share. Each function has its own on errors and duration.
# An alarm `bbws-product-{what}-{env}` has its page in docs/runbooks/{what}.md.
resource "aws_sns_topic" "alerts" {
  name              = "bbws-product-alerts-${var.environment}"
  kms_master_key_id = aws_kms_key.topics.arn
}

resource "aws_sns_topic_policy" "alerts" {
  arn    = aws_sns_topic.alerts.arn
  policy = data.aws_iam_policy_document.alerts_topic.json
}

data "aws_iam_policy_document" "alerts_topic" {
  statement {
    sid       = "AlarmsOfThisAccount"
    effect    = "Allow"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alerts.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alerts.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sns_topic_subscription" "alert_email" {
  for_each = var.alert_emails

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.value
}

locals {
  runbooks = "Runbook: product-infrastructure/docs/runbooks"

  dead_letter_queues = {
    change = { name = aws_sqs_queue.change_dlq.name, meaning = "A product change failed five times and was set aside: it has not been applied." }
    audit  = { name = aws_sqs_queue.audit_dlq.name, meaning = "An audit record failed five times, or could not be delivered, and was set aside: it is not in the bucket." }
    events = { name = aws_sqs_queue.events_dlq.name, meaning = "The pipe gave up publishing a table change. The stream keeps the change for 24 hours only." }
  }

  queues = {
    change = { name = aws_sqs_queue.change.name, meaning = "accepted changes are waiting for product-creator" }
    audit  = { name = aws_sqs_queue.audit.name, meaning = "table changes are waiting for audit-logger" }
  }
}

# The depth, not NumberOfMessagesSent: that counts messages sent by a producer, and stays silent when SQS itself moves a
# message here.
resource "aws_cloudwatch_metric_alarm" "dlq_depth" {
  for_each = local.dead_letter_queues

  alarm_name        = "bbws-product-${each.key}-dlq-depth-${var.environment}"
  alarm_description = "${each.value.meaning} ${local.runbooks}/${each.key}-dlq-depth.md"

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching" # SQS stops reporting on a queue that has been idle for six hours.

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  for_each = local.queues

  alarm_name        = "bbws-product-${each.key}-oldest-message-${var.environment}"
  alarm_description = "For more than ${var.oldest_message_alarm_seconds} s ${each.value.meaning}. ${local.runbooks}/${each.key}-oldest-message.md"

  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = each.value.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  datapoints_to_alarm = 3 # A single message on its way to the dead-letter queue grows old too, and has its own alarm.
  threshold           = var.oldest_message_alarm_seconds
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

# A function that answers 503 has not failed in Lambda's eyes: this alarm sees what the client saw.
resource "aws_cloudwatch_metric_alarm" "api_5xx" {
  alarm_name        = "bbws-product-api-5xx-${var.environment}"
  alarm_description = "More than 1 % of requests were answered 5xx. ${local.runbooks}/api-5xx.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 1
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "rate"
    label       = "5xx, per cent of requests"
    expression  = "IF(requests >= 20, 100 * errors / requests, 0)" # Below 20 requests in five minutes one error is no rate.
    return_data = true
  }

  metric_query {
    id = "errors"

    metric {
      namespace   = "AWS/ApiGateway"
      metric_name = "5XXError"
      dimensions  = { ApiName = aws_api_gateway_rest_api.product.name, Stage = aws_api_gateway_stage.api.stage_name }
      period      = 300
      stat        = "Sum"
    }
  }

  metric_query {
    id = "requests"

    metric {
      namespace   = "AWS/ApiGateway"
      metric_name = "Count"
      dimensions  = { ApiName = aws_api_gateway_rest_api.product.name, Stage = aws_api_gateway_stage.api.stage_name }
      period      = 300
      stat        = "Sum"
    }
  }

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

resource "aws_cloudwatch_metric_alarm" "pipe_failed" {
  alarm_name        = "bbws-product-events-pipe-failed-${var.environment}"
  alarm_description = "The pipe keeps failing to publish table changes: nothing reaches the audit trail meanwhile. ${local.runbooks}/events-pipe-failed.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5
  datapoints_to_alarm = 3 # The pipe retries by itself; one failure that the next attempt mends is nobody's business.
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "failures"
    label       = "Executions failed, in whole or in part, or timed out"
    expression  = "SUM([FILL(failed, 0), FILL(partly, 0), FILL(timed_out, 0)])"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      failed    = "ExecutionFailed"
      partly    = "ExecutionPartiallyFailed"
      timed_out = "ExecutionTimeout"
    }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/EventBridge/Pipes"
        metric_name = metric_query.value
        dimensions  = { PipeName = aws_pipes_pipe.events.name }
        period      = 60
        stat        = "Sum"
      }
    }
  }

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

# The hop after the pipe: the topic could not hand a change to a subscriber.
resource "aws_cloudwatch_metric_alarm" "events_delivery_failed" {
  alarm_name        = "bbws-product-events-delivery-failed-${var.environment}"
  alarm_description = "The events topic could not deliver to a subscriber. ${local.runbooks}/events-delivery-failed.md"

  namespace           = "AWS/SNS"
  metric_name         = "NumberOfNotificationsFailed"
  dimensions          = { TopicName = aws_sns_topic.events.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

# The two indexes whose partition keys are `list_shards` shards. A throttled index throttles the table: changes wait and are
# retried, none is lost.
resource "aws_cloudwatch_metric_alarm" "index_throttled" {
  alarm_name        = "bbws-product-index-throttled-${var.environment}"
  alarm_description = "DynamoDB throttles writes to the price or the change index. ${local.runbooks}/index-throttled.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 3
  datapoints_to_alarm = 2 # DynamoDB splits a hot partition within minutes; a burst that it absorbs needs nobody.
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "throttled"
    label       = "Throttled index writes"
    expression  = "SUM([FILL(price, 0), FILL(change, 0)])"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { price = "ProductsByPriceIndex", change = "ProductsByChangeIndex" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/DynamoDB"
        metric_name = "WriteThrottleEvents"
        dimensions  = { TableName = aws_dynamodb_table.products.name, GlobalSecondaryIndexName = metric_query.value }
        period      = 300
        stat        = "Sum"
      }
    }
  }

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}
