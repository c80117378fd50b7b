# Write once, read many: audit-logger adds records, the deployment of api-keys adds entries of the register of API keys
# (clients/KEY_ID.json), nobody changes or removes one.
resource "aws_s3_bucket" "audit_logs" {
  # checkov:skip=CKV_AWS_18:access logs are best effort, so no evidence; who reads records is for data events in the account's CloudTrail
  # checkov:skip=CKV_AWS_144:one region, as all of the catalogue: versions under Object Lock survive a mistake, and S3 keeps them in several zones
  # checkov:skip=CKV_AWS_145:keys of S3's own, for the reason given at the encryption below
  # checkov:skip=CKV2_AWS_62:nothing waits for a new record; audit-logger knows what it wrote
  bucket              = "bbws-product-audit-logs-${var.environment}${var.bucket_suffix}"
  object_lock_enabled = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "audit_logs" {
  bucket = aws_s3_bucket.audit_logs.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "audit_logs" {
  bucket = aws_s3_bucket.audit_logs.id

  rule {
    default_retention {
      # Governance can be lifted by someone with the permission to bypass it: a mistake in a test environment can be
      # corrected. Nobody can lift compliance.
      mode = var.environment == "prod" ? "COMPLIANCE" : "GOVERNANCE"
      days = var.audit_retention_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.audit_logs]
}

# Keys of S3's own. A customer key would put the readability of seven years of records in the hands of whoever may
# schedule that key's deletion.
resource "aws_s3_bucket_server_side_encryption_configuration" "audit_logs" {
  bucket = aws_s3_bucket.audit_logs.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "audit_logs" {
  bucket = aws_s3_bucket.audit_logs.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "audit_logs" {
  bucket = aws_s3_bucket.audit_logs.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "audit_logs" {
  bucket = aws_s3_bucket.audit_logs.id

  # An audit record is a few kilobytes, and by default S3 moves nothing under 128 KiB: the rule below would do nothing.
  transition_default_minimum_object_size = "varies_by_storage_class"

  rule {
    id     = "archive-after-one-year"
    status = "Enabled"

    filter {
      # No record is as small as 200 bytes. Each entry of the register of API keys is, and has to stay readable without a restore.
      object_size_greater_than = max(var.audit_archive_min_bytes, 200)
    }

    transition {
      days          = 365
      storage_class = "GLACIER"
    }
  }

  # A rule of its own: S3 refuses this action in a rule that filters by size.
  rule {
    id     = "abort-incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.audit_logs]
}

resource "aws_s3_bucket_policy" "audit_logs" {
  bucket = aws_s3_bucket.audit_logs.id
  policy = data.aws_iam_policy_document.audit_logs.json

  # S3 answers a conflict when both are set at the same time.
  depends_on = [aws_s3_bucket_public_access_block.audit_logs]
}

data "aws_iam_policy_document" "audit_logs" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"] # A denial is meant to be total.
    resources = [aws_s3_bucket.audit_logs.arn, "${aws_s3_bucket.audit_logs.arn}/*"]

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

  # Object Lock keeps a version; this keeps even a delete marker from hiding it.
  statement {
    sid       = "NobodyDeletes"
    effect    = "Deny"
    actions   = ["s3:DeleteBucket", "s3:DeleteObject", "s3:DeleteObjectVersion"]
    resources = [aws_s3_bucket.audit_logs.arn, "${aws_s3_bucket.audit_logs.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }

  # A versioned bucket lets a second write of a key become the version that readers see. A write that does not say
  # `If-None-Match: *` is refused, whoever makes it.
  statement {
    sid       = "NobodyOverwrites"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.audit_logs.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }

    # The parts of a multipart upload carry no condition; its completion does.
    condition {
      test     = "Bool"
      variable = "s3:ObjectCreationOperation"
      values   = ["true"]
    }
  }
}
