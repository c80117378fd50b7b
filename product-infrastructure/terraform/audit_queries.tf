# Athena for auditors: a workgroup whose settings its users can't change, queries that run as they stand, and a bucket for
# results. A bucket of its own, because Athena must overwrite and somebody must delete there, which the audit bucket denies.
resource "aws_s3_bucket" "audit_queries" {
  # checkov:skip=CKV_AWS_18:access logs are best effort; who reads results is for data events in the account's CloudTrail
  # checkov:skip=CKV_AWS_21:a result can be computed again from the records, and is meant to be gone after its last day
  # checkov:skip=CKV_AWS_144:a result can be computed again from the records
  # checkov:skip=CKV_AWS_145:keys of S3's own, as for the records that the results are made from
  # checkov:skip=CKV2_AWS_62:nothing waits for a result; Athena says when it is there
  bucket = "bbws-product-audit-queries-${var.environment}${var.bucket_suffix}"
  # The results are copies: they stand in nobody's way when the environment is destroyed.
  force_destroy = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "audit_queries" {
  bucket = aws_s3_bucket.audit_queries.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "audit_queries" {
  bucket = aws_s3_bucket.audit_queries.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "audit_queries" {
  bucket = aws_s3_bucket.audit_queries.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "audit_queries" {
  bucket = aws_s3_bucket.audit_queries.id

  rule {
    id     = "delete-results"
    status = "Enabled"

    filter {}

    expiration {
      days = 7
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "audit_queries" {
  bucket = aws_s3_bucket.audit_queries.id
  policy = data.aws_iam_policy_document.audit_queries.json

  # S3 answers a conflict when both are set at the same time.
  depends_on = [aws_s3_bucket_public_access_block.audit_queries]
}

data "aws_iam_policy_document" "audit_queries" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"] # A denial is meant to be total.
    resources = [aws_s3_bucket.audit_queries.arn, "${aws_s3_bucket.audit_queries.arn}/*"]

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

resource "aws_athena_workgroup" "audit" {
  name        = "bbws-product-audit-${var.environment}"
  description = "Queries of the product catalogue's audit records"
  # Queries that were run or saved are in the workgroup, and would keep it from being deleted.
  force_destroy = true

  configuration {
    # Otherwise a user's own settings decide where results go and whether they are encrypted.
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.audit_query_limit_bytes

    result_configuration {
      output_location       = "s3://${aws_s3_bucket.audit_queries.bucket}/results/"
      expected_bucket_owner = local.account_id

      encryption_configuration {
        encryption_option = "SSE_S3"
      }
    }
  }
}

locals {
  audit_named_queries = {
    price-history-of-a-product = "Every change of one product, with its price before and after"
    deletions-by-client        = "Deleted products by API key"
    out-of-band-changes        = "Changes that were made outside the API"
  }
}

resource "aws_athena_named_query" "audit" {
  for_each = local.audit_named_queries

  name        = each.key
  description = each.value
  workgroup   = aws_athena_workgroup.audit.id
  database    = aws_glue_catalog_database.audit.name
  query       = file("${path.module}/queries/${each.key}.sql")
}
