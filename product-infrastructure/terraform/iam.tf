# What every function's role has in common: the ceiling of its permissions, and the right to write its log.

# A ceiling grants nothing. It bounds what a function's own repository could ever give its function: whatever a policy
# there says, no function can read a secret, delete a record or reach another table.
resource "aws_iam_policy" "function_boundary" {
  name        = "bbws-product-function-boundary-${var.environment}"
  description = "The most that a function of the product catalogue may ever do"
  policy      = data.aws_iam_policy_document.function_boundary.json
}

data "aws_iam_policy_document" "function_boundary" {
  statement {
    sid       = "Table"
    effect    = "Allow"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
    resources = [aws_dynamodb_table.products.arn, "${aws_dynamodb_table.products.arn}/index/*"] # Every index of this one table.
  }

  statement {
    sid       = "Queues"
    effect    = "Allow"
    actions   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"]
    resources = [aws_sqs_queue.change.arn, aws_sqs_queue.audit.arn]
  }

  statement {
    sid       = "AuditRecords"
    effect    = "Allow"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.audit_logs.arn}/*"] # The keys of records are made of dates and ids.
  }

  statement {
    sid       = "Logs"
    effect    = "Allow"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [local.function_log_streams]
  }

  statement {
    sid       = "Traces"
    effect    = "Allow"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"] # X-Ray has no resources to name.
  }
}

# Without logs:CreateLogGroup: a group that a function made itself would have no retention.
resource "aws_iam_policy" "function_logs" {
  name        = "bbws-product-function-logs-${var.environment}"
  description = "Write to the log groups of the product catalogue's functions"
  policy      = data.aws_iam_policy_document.function_logs.json
}

data "aws_iam_policy_document" "function_logs" {
  statement {
    sid       = "Logs"
    effect    = "Allow"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [local.function_log_streams]
  }
}

locals {
  # The functions' names are their repositories' to choose; this one knows how they begin and end. The streams in a group
  # are Lambda's to name.
  function_log_streams = "arn:${local.partition}:logs:${var.aws_region}:${local.account_id}:log-group:/aws/lambda/bbws-*-${var.environment}:*"
}
