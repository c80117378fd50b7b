# product-creator reads the change queue and writes the table. All that is particular to this function is here and in
# iam.tf; the other files are the same in every function's repository.
locals {
  repository    = "product-creator"
  function_name = "bbws-product-creator-${var.environment}"
  description   = "Applies product changes from the change queue to the table"

  environment_variables = {
    TABLE_NAME  = local.infrastructure.dynamodb_table_name
    LIST_SHARDS = tostring(local.infrastructure.list_shards)
  }

  queue_arn = local.infrastructure.sqs_queue_arn

  # In alarm descriptions.
  urgency = "TODAY"
  impact  = "accepted changes are applied late."

  further_alarm_names = [aws_cloudwatch_metric_alarm.batch_item_failures.alarm_name, aws_cloudwatch_metric_alarm.change_lag.alarm_name]
}
