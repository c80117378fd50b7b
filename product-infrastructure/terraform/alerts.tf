# The topic that alarms notify, and the alarms on what the functions share. Each function has its own on errors and duration.
# An alarm `bbws-product-{what}-{env}` has its page in docs/runbooks/{what}.md; `{queue}-dlq-growing` shares the page of
# `{queue}-dlq-depth`. Its description is the e-mail that on-call reads: urgency and symptom, impact on clients, the first
# command, the runbook.
#
# `ok_actions`: on-call learns that it is over. With `notBreaching`, an alarm goes from INSUFFICIENT_DATA to OK only once, when
# it is created; that one message also shows that the subscription works.
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
  console = "https://${var.aws_region}.console.aws.amazon.com/cloudwatch/home?region=${var.aws_region}"
  # What every description ends with.
  links = "Dashboard: ${local.console}#dashboards:name=bbws-product-catalogue-${var.environment} Runbook: ${var.runbooks_url}"

  dead_letter_queues = {
    change = {
      name    = aws_sqs_queue.change_dlq.name
      symptom = "NOW: a product change moved to the dead-letter queue after five attempts."
      further = "NOW: a further product change moved to the dead-letter queue, which holds others."
      impact  = "The API accepted the change, and it isn't applied."
      command = "catalogctl dlq peek change --env ${var.environment}"
    }
    audit = {
      name    = aws_sqs_queue.audit_dlq.name
      symptom = "TODAY: an audit record moved to the dead-letter queue."
      further = "TODAY: a further audit record moved to the dead-letter queue, which holds others."
      impact  = "None for clients; the record is missing from the audit bucket."
      command = "catalogctl dlq peek audit --env ${var.environment}"
    }
    events = {
      name    = aws_sqs_queue.events_dlq.name
      symptom = "NOW: the pipe gave up publishing a table change."
      further = "NOW: the pipe gave up publishing a further table change; the dead-letter queue holds others."
      impact  = "None for clients; the stream, the only other copy on its way to the audit bucket, keeps the change for 24 hours."
      command = "catalogctl audit verify --env ${var.environment}"
    }
  }

  queues = {
    change = {
      name    = aws_sqs_queue.change.name
      symptom = "NOW: the oldest accepted change has been waiting for more than ${var.oldest_message_alarm_seconds} s."
      impact  = "Clients see products as they were before their changes."
      command = "catalogctl logs product-creator --env ${var.environment} --since 15m"
    }
    audit = {
      name    = aws_sqs_queue.audit.name
      symptom = "TODAY: the oldest audit record has been waiting for more than ${var.oldest_message_alarm_seconds} s."
      impact  = "None for clients; audit records are written late."
      command = "catalogctl logs audit-logger --env ${var.environment} --since 15m"
    }
  }
}

# Messages that lie in a dead-letter queue, also those that `dlq peek` holds for a moment: visible ones alone would end the
# alarm and start it again with each look. Not NumberOfMessagesSent: that counts messages sent by a producer, and stays silent
# when SQS itself moves a message here.
#
# SQS may leave out the number of messages in flight while it is 0, and a sum with a missing value is missing, hence FILL. The
# visible ones aren't filled: the newest minute often has no data yet, and would always count as an empty queue.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html (FILL, and its note on alarms)
locals {
  dlq_messages = "visible + FILL(in_flight, 0)"
  dlq_metrics  = { visible = "ApproximateNumberOfMessagesVisible", in_flight = "ApproximateNumberOfMessagesNotVisible" }
}

resource "aws_cloudwatch_metric_alarm" "dlq_depth" {
  for_each = local.dead_letter_queues

  alarm_name        = "bbws-product-${each.key}-dlq-depth-${var.environment}"
  alarm_description = "${each.value.symptom} Impact: ${each.value.impact} First command: `${each.value.command}`. ${local.links}/${each.key}-dlq-depth.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching" # SQS stops reporting on a queue that has been idle for six hours.

  metric_query {
    id          = "messages"
    label       = "Messages in the dead-letter queue"
    expression  = local.dlq_messages
    return_data = true
  }

  dynamic "metric_query" {
    for_each = local.dlq_metrics

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/SQS"
        metric_name = metric_query.value
        dimensions  = { QueueName = each.value.name }
        period      = 60
        stat        = "Maximum"
      }
    }
  }

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

# The depth alarm stays in ALARM while a message lies there, and an alarm acts only when its state changes: a second message
# would send no email. This one is about the messages after the first. It returns to OK five minutes after the last rise, and
# so can start again.
#
# - The first message is the depth alarm's alone (`messages > rise` says that others were there before), so nobody gets two
#   emails for it. That needs no FILL either: a queue that SQS didn't report on has no preceding value to rise from, and one
#   that holds messages is reported on each minute. Here FILL would do harm: a minute without data would look like an empty
#   queue, and the next one like a rise.
# - Five minutes, of which one is enough: metrics can arrive late and several minutes at once, and an alarm on the newest minute
#   alone wouldn't look at the others.
# - No `ok_actions`: no further message isn't the end of the incident.
#
# A message that arrives in the minute in which another leaves doesn't raise the number. Messages leave by `dlq redrive` and
# `dlq remove`, so somebody is looking at the queue at that time.
#
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html (DIFF: the difference between each value
# and the preceding one)
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html (evaluation of M out of N datapoints)
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/monitoring-using-cloudwatch.html (metrics each
# minute; up to 15 minutes late on a queue that was inactive)
resource "aws_cloudwatch_metric_alarm" "dlq_growing" {
  for_each = local.dead_letter_queues

  alarm_name        = "bbws-product-${each.key}-dlq-growing-${var.environment}"
  alarm_description = "${each.value.further} Impact: ${each.value.impact} First command: `${each.value.command}`. ${local.links}/${each.key}-dlq-depth.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "further"
    label       = "Messages added to others in the dead-letter queue"
    expression  = "IF(rise > 0 AND messages > rise, rise, 0)"
    return_data = true
  }

  metric_query {
    id         = "rise"
    expression = "DIFF(messages)"
  }

  metric_query {
    id         = "messages"
    expression = local.dlq_messages
  }

  dynamic "metric_query" {
    for_each = local.dlq_metrics

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/SQS"
        metric_name = metric_query.value
        dimensions  = { QueueName = each.value.name }
        period      = 60
        stat        = "Maximum"
      }
    }
  }

  alarm_actions = [aws_sns_topic.alerts.arn]
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  for_each = local.queues

  alarm_name        = "bbws-product-${each.key}-oldest-message-${var.environment}"
  alarm_description = "${each.value.symptom} Impact: ${each.value.impact} First command: `${each.value.command}`. ${local.links}/${each.key}-oldest-message.md"

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
  alarm_description = "NOW: more than 1 % of API requests returned 5xx. Impact: clients see errors. First command: `catalogctl logs api --env ${var.environment} --since 15m --filter '{ $.status = \"5*\" }'`. ${local.links}/api-5xx.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 1
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"

  metric_query {
    id    = "rate"
    label = "5xx, per cent of requests"
    # Below 20 requests in five minutes one error isn't a meaningful rate; five errors are an outage at any traffic.
    expression  = "IF(requests >= 20 OR errors >= 5, 100 * errors / requests, 0)"
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
  alarm_description = "NOW: the pipe fails to publish table changes. Impact: none for clients; audit records are late, and the stream keeps changes for 24 hours. First command: `catalogctl logs events-pipe --env ${var.environment} --since 15m`. ${local.links}/events-pipe-failed.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 5
  datapoints_to_alarm = 3 # The pipe retries by itself; a failure that the next attempt resolves needs nobody.
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
  alarm_description = "TODAY: the events topic failed to deliver table changes to a subscriber. Impact: none for clients; that subscriber misses changes, or they are in the audit dead-letter queue. First command: `catalogctl dlq peek audit --env ${var.environment}`. ${local.links}/events-delivery-failed.md"

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
  alarm_description = "TODAY: DynamoDB throttles writes to the price or the change index. Impact: changes are applied late; none is lost. First command: `aws cloudwatch describe-alarms --alarm-names bbws-product-index-throttled-${var.environment}`. ${local.links}/index-throttled.md"

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

# A pipe that stops polling reports no failure: the change side goes on, and the event side is silent. The stream forgets
# after 24 hours.
resource "aws_cloudwatch_metric_alarm" "pipe_silent" {
  alarm_name        = "bbws-product-events-pipe-silent-${var.environment}"
  alarm_description = "NOW: changes are applied, but for 15 minutes the pipe has read none. Impact: none for clients; nothing reaches the audit bucket, and the stream keeps changes for 24 hours. First command: `aws pipes describe-pipe --name bbws-product-events-${var.environment}`. ${local.links}/events-pipe-silent.md"

  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 3
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "silent"
    label       = "Changes applied while the pipe read none"
    expression  = "IF(FILL(applied, 0) > 0 AND FILL(events, 0) == 0, 1, 0)"
    return_data = true
  }

  metric_query {
    id = "applied"

    metric {
      namespace   = "ProductCatalogue"
      metric_name = "Applied"
      dimensions  = { FunctionName = "bbws-product-creator-${var.environment}" }
      period      = 300
      stat        = "Sum"
    }
  }

  metric_query {
    id = "events"

    metric {
      namespace   = "AWS/EventBridge/Pipes"
      metric_name = "EventCount"
      dimensions  = { PipeName = aws_pipes_pipe.events.name }
      period      = 300
      stat        = "Sum"
    }
  }

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

# The two alarms on the verification of the audit log, which the workflow *Verify the audit log* publishes each day.
resource "aws_cloudwatch_metric_alarm" "audit_broken" {
  alarm_name        = "bbws-product-audit-broken-${var.environment}"
  alarm_description = "NOW: the audit log has findings: records are altered, missing or not locked as required, or don't match the database or their schema. Impact: none for clients; treat it as a security incident until the cause is known. First command: `catalogctl audit verify --env ${var.environment}`. ${local.links}/audit-broken.md"

  namespace           = "ProductCatalogue/Audit"
  metric_name         = "Findings"
  statistic           = "Maximum"
  period              = 3600
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "ignore" # Between two results, the newest one stands.

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}

# A day and a half: GitHub starts scheduled workflows late, and now and then not at all. An alarm may look back for seven days if
# its period is an hour or longer. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
resource "aws_cloudwatch_metric_alarm" "audit_unverified" {
  count = var.audit_verified_daily ? 1 : 0

  alarm_name        = "bbws-product-audit-unverified-${var.environment}"
  alarm_description = "TODAY: the audit log hasn't been verified for 36 hours. Impact: none for clients; a missing or altered record would go unnoticed. First command: `catalogctl audit verify --env ${var.environment}`. ${local.links}/audit-unverified.md"

  namespace           = "ProductCatalogue/Audit"
  metric_name         = "VerifiedRecords"
  statistic           = "SampleCount"
  period              = 3600
  evaluation_periods  = 36
  datapoints_to_alarm = 36
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"

  alarm_actions = [aws_sns_topic.alerts.arn]
  ok_actions    = [aws_sns_topic.alerts.arn]
}
