resource "aws_iam_role" "function" {
  name                 = local.function_name
  description          = "Role of ${local.function_name}"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = local.infrastructure.permission_boundary_arn
}

data "aws_iam_policy_document" "trust" {
  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.function.name
  policy_arn = local.infrastructure.logs_policy_arn
}

resource "aws_iam_role_policy" "calls" {
  name   = "calls"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.calls.json
}

# Exactly the calls that the function's adapters make.
data "aws_iam_policy_document" "calls" {
  statement {
    sid    = "DecideAndCommit"
    effect = "Allow"
    # TransactWriteItems is allowed by the actions of the items in it. A product that gives up a SKU deletes its claim.
    actions   = ["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [local.infrastructure.dynamodb_table_arn]
  }

  statement {
    sid       = "ReadTheQueue"
    effect    = "Allow"
    actions   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    resources = [local.queue_arn]
  }

  statement {
    sid       = "SendTraces"
    effect    = "Allow"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"] # X-Ray has no resources to name.
  }
}
