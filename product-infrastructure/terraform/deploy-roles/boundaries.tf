# The most that a role created by the infrastructure's pipeline can ever do. Created here and not there: a pipeline that
# could change its own boundary would have none.
resource "aws_iam_policy" "service_boundary" {
  name        = "bbws-product-service-boundary-${var.environment}"
  description = "Maximum permissions of the roles of the pipe and of API Gateway's log"
  policy      = data.aws_iam_policy_document.service_boundary.json
}

data "aws_iam_policy_document" "service_boundary" {
  #checkov:skip=CKV_AWS_356:API Gateway creates log groups whose names hold the API's ID, and lists them all
  #checkov:skip=CKV_AWS_111:the same; a boundary grants nothing by itself
  statement {
    sid       = "ReadStream"
    actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
    resources = ["arn:${local.partition}:dynamodb:${local.place}:table/products/stream/*"] # The stream's name is its time of creation.
  }

  statement {
    sid       = "FindStream"
    actions   = ["dynamodb:ListStreams"]
    resources = ["*"] # A list, which has no resource to name.
  }

  statement {
    sid       = "PublishEvents"
    actions   = ["sns:Publish"]
    resources = ["arn:${local.partition}:sns:${local.place}:bbws-product-events-${var.environment}"]
  }

  statement {
    sid       = "EncryptEvents"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["arn:${local.partition}:kms:${local.place}:key/*"] # The ID is KMS's to choose; the condition says which key.

    condition {
      test     = "ForAnyValue:StringEquals"
      variable = "kms:ResourceAliases"
      values   = ["alias/bbws-product-topics-${var.environment}"]
    }
  }

  statement {
    sid       = "DeadLetters"
    actions   = ["sqs:SendMessage"]
    resources = ["arn:${local.partition}:sqs:${local.place}:bbws-product-events-dlq-${var.environment}"]
  }

  # What AmazonAPIGatewayPushToCloudWatchLogs grants: API Gateway tests its role for exactly these.
  statement {
    sid       = "WriteApiLogs"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents", "logs:PutLogEvents"]
    resources = ["*"] # API Gateway names its log groups itself.
  }
}
