# A partial batch response is a success in Lambda's own metrics: the function counts the messages it returned.
#
# A poison message fails five times within some five minutes and then has the dead-letter queue's alarm; a throttled call
# is retried and heals. What is left for this alarm is failing that goes on, before the first messages are moved to the dead-letter queue.
resource "aws_cloudwatch_metric_alarm" "batch_item_failures" {
  alarm_name        = "${local.function_name}-batch-item-failures"
  alarm_description = "NOW: ${local.function_name} has been returning messages for redelivery for ten minutes. Impact: ${local.impact} After five attempts a message moves to the dead-letter queue. First command: `${local.failures}`. ${local.links}/batch-item-failures.md"

  namespace           = "ProductCatalogue"
  metric_name         = "BatchItemFailures"
  dimensions          = { FunctionName = local.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"

  alarm_actions = [local.infrastructure.sns_topic_arn]
  ok_actions    = [local.infrastructure.sns_topic_arn]
}
