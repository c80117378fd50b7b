# A topic encrypted with the AWS-managed key `alias/aws/sns` cannot receive alarms: CloudWatch may not use that key and
# its policy cannot be changed. Hence a key of our own. The events topic shares it: both are used by AWS services only.
resource "aws_kms_key" "topics" {
  description             = "Product catalogue ${var.environment}: encrypts the alerts and the events topic"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.topics_key.json

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "topics" {
  name          = "alias/bbws-product-topics-${var.environment}"
  target_key_id = aws_kms_key.topics.key_id
}

data "aws_iam_policy_document" "topics_key" {
  # checkov:skip=CKV_AWS_109:a key's policy, in which * is this key
  # checkov:skip=CKV_AWS_111:a key's policy, in which * is this key
  # checkov:skip=CKV_AWS_356:a key's policy, in which * is this key
  statement {
    sid    = "AccountAdministersThroughIam"
    effect = "Allow"
    # In a key policy `*` means this key and nothing else; without this statement IAM policies would not apply to the
    # key at all and nobody could ever change it again.
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account_id}:root"]
    }
  }

  statement {
    sid       = "CloudWatchPublishesAlarms"
    effect    = "Allow"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"] # This key, as above.

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
}
