# audit-logger reads table changes from the audit queue and writes the audit bucket. All that is particular to this
# function is here and in iam.tf; the other files are the same in every function's repository.
locals {
  repository    = "audit-logger"
  function_name = "bbws-audit-logger-${var.environment}"
  description   = "Writes one audit record for each change of the table"

  environment_variables = {
    AUDIT_BUCKET = local.infrastructure.s3_audit_bucket_name
  }

  queue_arn = local.infrastructure.audit_queue_arn

  # In alarm descriptions.
  urgency = "TODAY"
  impact  = "none for clients; audit records are written late."

  further_alarm_names = [aws_cloudwatch_metric_alarm.batch_item_failures.alarm_name]
}
