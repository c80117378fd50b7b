# For an auditor: reads the audit records and what they are compared with, and writes nothing but the results of queries. In this
# root, because whoever could change the role could also change what an auditor sees, and no pipeline can apply this root.
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

resource "aws_iam_role_policy" "auditor_reads" {
  count = length(aws_iam_role.auditor)

  name   = "read"
  role   = aws_iam_role.auditor[0].id
  policy = data.aws_iam_policy_document.audit_read.json
}

resource "aws_iam_role_policy" "auditor_queries" {
  count = length(aws_iam_role.auditor)

  name   = "query"
  role   = aws_iam_role.auditor[0].id
  policy = data.aws_iam_policy_document.audit_query.json
}

# What `catalogctl audit verify`, `report`, `export` and `history` need.
data "aws_iam_policy_document" "audit_read" {
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

# What it takes to run the queries of ../audit_queries.tf, and queries of one's own, in Athena. The records' objects and their bucket
# are in the document above.
data "aws_iam_policy_document" "audit_query" {
  #checkov:skip=CKV_AWS_356:two lists, which have no resource to name
  statement {
    sid = "Query"
    actions = [
      "athena:BatchGetNamedQuery",
      "athena:BatchGetQueryExecution",
      "athena:GetNamedQuery",
      "athena:GetQueryExecution",
      "athena:GetQueryResults",
      "athena:GetWorkGroup",
      "athena:ListNamedQueries",
      "athena:ListQueryExecutions",
      "athena:StartQueryExecution",
      "athena:StopQueryExecution",
    ]
    resources = [local.audit_workgroup]
  }

  # The console's query editor asks for these before it shows a workgroup.
  statement {
    sid       = "FindWorkgroup"
    actions   = ["athena:ListDataCatalogs", "athena:ListWorkGroups"]
    resources = ["*"] # Lists, which have no resource to name.
  }

  statement {
    sid       = "SeeTables"
    actions   = ["athena:GetDataCatalog", "athena:GetDatabase", "athena:GetTableMetadata", "athena:ListDatabases", "athena:ListTableMetadata"]
    resources = ["arn:${local.partition}:athena:${local.place}:datacatalog/AwsDataCatalog"]
  }

  # Athena wants GetDatabase of `default` too, whichever database is queried.
  # https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
  statement {
    sid       = "ReadTables"
    actions   = ["glue:GetDatabase", "glue:GetDatabases", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"]
    resources = concat(local.audit_tables, ["arn:${local.partition}:glue:${local.place}:database/default"])
  }

  statement {
    sid       = "FindBuckets"
    actions   = ["s3:GetBucketLocation"]
    resources = [local.audit_bucket, local.queries_bucket]
  }

  statement {
    sid       = "FindResults"
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [local.queries_bucket]
  }

  # Athena writes the results in the name of whoever runs the query.
  statement {
    sid       = "KeepResults"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
    resources = ["${local.queries_bucket}/results/*"] # Athena names the results.
  }
}
