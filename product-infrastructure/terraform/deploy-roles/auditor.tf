# For an auditor: reads the audit records and what they are compared with, and writes nothing. In this root, because whoever could
# change the role could also change what an auditor sees, and no pipeline can apply this root.
resource "aws_iam_role" "auditor" {
  count = length(var.auditor_principals) > 0 ? 1 : 0

  name                 = "bbws-product-auditor-${var.environment}"
  description          = "Reads and verifies the product catalogue's audit records"
  assume_role_policy   = data.aws_iam_policy_document.auditor_trust.json
  max_session_duration = 14400 # A verification reads about 2,000 records a second, and fails when its session ends.
}

data "aws_iam_policy_document" "auditor_trust" {
  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = var.auditor_principals
    }
  }
}

resource "aws_iam_role_policy" "auditor" {
  count = length(aws_iam_role.auditor)

  name   = "read"
  role   = aws_iam_role.auditor[0].id
  policy = data.aws_iam_policy_document.auditor.json
}

data "aws_iam_policy_document" "auditor" {
  # The settings too, so that an auditor sees lock, retention and policy without asking an administrator.
  statement {
    sid = "ListRecords"
    actions = [
      "s3:GetBucketObjectLockConfiguration",
      "s3:GetBucketPolicy",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketVersioning",
      "s3:GetEncryptionConfiguration",
      "s3:GetLifecycleConfiguration",
      "s3:ListBucket",
      "s3:ListBucketVersions",
    ]
    resources = [local.audit_bucket]
  }

  statement {
    sid       = "ReadRecords"
    actions   = ["s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion"]
    resources = ["${local.audit_bucket}/*"] # Every record.
  }

  statement {
    sid       = "CompareWithTable"
    actions   = ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"]
    resources = concat(local.table, [for table in local.table : "${table}/index/ProductsByNameIndex"])
  }
}
