# What the infrastructure's own pipeline may do: everything that its two roots hold (../ and ../api-keys), by the names that
# are a contract. It has no right to read or delete an audit record, or to read a product.
resource "aws_iam_role_policy" "infrastructure_read" {
  for_each = toset(["plan", "apply"])

  name   = "read"
  role   = aws_iam_role.deploy["product-infrastructure/${each.key}"].id
  policy = data.aws_iam_policy_document.infrastructure_read.json
}

# Attached, not inline, and two of them: a role's inline policies may have 10,240 characters together, a managed policy 6,144.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
resource "aws_iam_policy" "infrastructure_write" {
  name        = "bbws-deploy-product-infrastructure-write-${var.environment}"
  description = "Create and change the product catalogue's API, data and messaging"
  policy      = data.aws_iam_policy_document.infrastructure_write.json
}

resource "aws_iam_role_policy_attachment" "infrastructure_write" {
  role       = aws_iam_role.deploy["product-infrastructure/apply"].name
  policy_arn = aws_iam_policy.infrastructure_write.arn
}

resource "aws_iam_policy" "infrastructure_write_access" {
  name        = "bbws-deploy-product-infrastructure-write-access-${var.environment}"
  description = "Create and change the product catalogue's roles, policies, key, alarms and log groups"
  policy      = data.aws_iam_policy_document.infrastructure_write_access.json
}

resource "aws_iam_role_policy_attachment" "infrastructure_write_access" {
  role       = aws_iam_role.deploy["product-infrastructure/apply"].name
  policy_arn = aws_iam_policy.infrastructure_write_access.arn
}

locals {
  states = {
    shared   = "${local.state_bucket}/product-infrastructure/terraform.tfstate"
    api_keys = "${local.state_bucket}/product-infrastructure/api-keys/terraform.tfstate"
  }
  # The commit that was applied last, of each root: what may be applied to the next environment.
  releases = "${local.state_bucket}/product-infrastructure/releases/*"
  api_parts = [
    for path in ["/account", "/apikeys", "/apikeys/*", "/restapis", "/restapis/*", "/tags/*", "/usageplans", "/usageplans/*"] :
    "arn:${local.partition}:apigateway:${var.aws_region}::${path}" # Ids are API Gateway's to choose.
  ]
  audit_bucket    = "arn:${local.partition}:s3:::bbws-product-audit-logs-${var.environment}${var.bucket_suffix}"
  queries_bucket  = "arn:${local.partition}:s3:::bbws-product-audit-queries-${var.environment}${var.bucket_suffix}"
  audit_workgroup = "arn:${local.partition}:athena:${local.place}:workgroup/bbws-product-audit-${var.environment}"
  # The default client's secret and those of the other clients. The suffix is Secrets Manager's.
  api_keys = [for name in ["key-${var.environment}", "key-${var.environment}/*"] : "arn:${local.partition}:secretsmanager:${local.place}:secret:bbws/product-api/${name}-??????"]
  audit_tables = [
    "arn:${local.partition}:glue:${local.place}:catalog",
    "arn:${local.partition}:glue:${local.place}:database/bbws_product_audit_${var.environment}",
    "arn:${local.partition}:glue:${local.place}:table/bbws_product_audit_${var.environment}/*", # Every table of this one database.
  ]
  # AWS asks for the last one too before it deletes a database.
  catalogue = concat(local.audit_tables, ["arn:${local.partition}:glue:${local.place}:userDefinedFunction/bbws_product_audit_${var.environment}/*"])
  # Names of several resources of one kind begin alike; what follows says which it is.
  alarms     = ["arn:${local.partition}:cloudwatch:${local.place}:alarm:bbws-product-*-${var.environment}"]
  dashboard  = ["arn:${local.partition}:cloudwatch::${local.account_id}:dashboard/bbws-product-catalogue-${var.environment}"]
  log_groups = [for name in ["/aws/apigateway/bbws-product-api-${var.environment}", "/aws/vendedlogs/pipes/bbws-product-*-${var.environment}", "API-Gateway-Execution-Logs_*"] : "arn:${local.partition}:logs:${local.place}:log-group:${name}"] # The last one's name holds the API's ID.
  pipes      = ["arn:${local.partition}:pipes:${local.place}:pipe/bbws-product-*-${var.environment}"]
  policies   = ["arn:${local.partition}:iam::${local.account_id}:policy/bbws-product-function-*-${var.environment}"]
  queues     = ["arn:${local.partition}:sqs:${local.place}:bbws-product-*-${var.environment}"]
  roles_made = ["arn:${local.partition}:iam::${local.account_id}:role/bbws-product-api-logging-${var.environment}", "arn:${local.partition}:iam::${local.account_id}:role/bbws-product-events-pipe-${var.environment}"]
  table      = ["arn:${local.partition}:dynamodb:${local.place}:table/products"]
  topics     = ["arn:${local.partition}:sns:${local.place}:bbws-product-*-${var.environment}"]
}

data "aws_iam_policy_document" "infrastructure_read" {
  statement {
    sid       = "ReadStates"
    actions   = ["s3:GetObject"]
    resources = [local.states.shared, local.states.api_keys, local.releases]
  }

  statement {
    sid       = "FindStates"
    actions   = ["s3:ListBucket"]
    resources = [local.state_bucket]
  }

  statement {
    sid       = "LockStates"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.states.shared}.tflock", "${local.states.api_keys}.tflock"]
  }

  # Keys among them: whoever compares a key with its state reads its value.
  statement {
    sid       = "ReadApi"
    actions   = ["apigateway:GET"]
    resources = local.api_parts
  }

  statement {
    sid       = "ReadTable"
    actions   = ["dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:ListTagsOfResource"]
    resources = local.table
  }

  statement {
    sid       = "ReadQueues"
    actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags"]
    resources = local.queues
  }

  statement {
    sid       = "ReadTopics"
    actions   = ["sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource"]
    resources = local.topics
  }

  statement {
    sid       = "ReadPipe"
    actions   = ["pipes:DescribePipe", "pipes:ListTagsForResource"]
    resources = local.pipes
  }

  # Settings only; s3:GetObject is not among them.
  statement {
    sid = "ReadAuditBuckets"
    actions = [
      "s3:GetAccelerateConfiguration",
      "s3:GetBucketAcl",
      "s3:GetBucketCORS",
      "s3:GetBucketLogging",
      "s3:GetBucketObjectLockConfiguration",
      "s3:GetBucketOwnershipControls",
      "s3:GetBucketPolicy",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketRequestPayment",
      "s3:GetBucketTagging",
      "s3:GetBucketVersioning",
      "s3:GetBucketWebsite",
      "s3:GetEncryptionConfiguration",
      "s3:GetLifecycleConfiguration",
      "s3:GetReplicationConfiguration",
      "s3:ListBucket",
    ]
    resources = [local.audit_bucket, local.queries_bucket]
  }

  statement {
    sid       = "ReadAuditCatalogue"
    actions   = ["glue:GetDatabase", "glue:GetPartitionIndexes", "glue:GetTable", "glue:GetTags"]
    resources = local.catalogue
  }

  statement {
    sid       = "ReadAuditQueries"
    actions   = ["athena:GetNamedQuery", "athena:GetWorkGroup", "athena:ListTagsForResource"]
    resources = [local.audit_workgroup]
  }

  # The value too: the provider reads a secret's version to learn whether it is still there.
  statement {
    sid       = "ReadSecret"
    actions   = ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy", "secretsmanager:GetSecretValue"]
    resources = local.api_keys
  }

  statement {
    sid       = "ReadRolesAndPolicies"
    actions   = ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListPolicyVersions", "iam:ListRolePolicies"]
    resources = concat(local.policies, local.roles_made)
  }

  statement {
    sid       = "ReadTopicsKey"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
    resources = ["arn:${local.partition}:kms:${local.place}:key/*"] # The id is KMS's to choose; settings, no use.
  }

  statement {
    sid       = "ReadAlarmsAndDashboard"
    actions   = ["cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource"]
    resources = concat(local.alarms, local.dashboard)
  }

  statement {
    sid       = "ReadLogGroups"
    actions   = ["logs:ListTagsForResource"]
    resources = local.log_groups
  }

  statement {
    sid       = "Find"
    actions   = ["cloudwatch:DescribeAlarms", "kms:ListAliases", "logs:DescribeLogGroups", "logs:DescribeQueryDefinitions", "sns:GetSubscriptionAttributes"]
    resources = ["*"] # Lists, and a subscription, which have no resource to name.
  }
}

data "aws_iam_policy_document" "infrastructure_write" {
  statement {
    sid       = "WriteStates"
    actions   = ["s3:PutObject"]
    resources = [local.states.shared, local.states.api_keys, local.releases]
  }

  statement {
    sid       = "KeepApi"
    actions   = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]
    resources = local.api_parts
  }

  # Without dynamodb:DeleteTable: a table of products is not taken down by a pipeline.
  statement {
    sid       = "KeepTable"
    actions   = ["dynamodb:CreateTable", "dynamodb:TagResource", "dynamodb:UntagResource", "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive"]
    resources = local.table
  }

  statement {
    sid       = "KeepQueues"
    actions   = ["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"]
    resources = local.queues
  }

  statement {
    sid       = "KeepTopics"
    actions   = ["sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource", "sns:UntagResource"]
    resources = local.topics
  }

  # The service authorization reference gives them no resource: granted on a topic, they are denied.
  statement {
    sid       = "KeepSubscriptions"
    actions   = ["sns:SetSubscriptionAttributes", "sns:Unsubscribe"]
    resources = ["*"] # A subscription has no resource to name; the account is the environment's alone.
  }

  statement {
    sid       = "KeepPipe"
    actions   = ["pipes:CreatePipe", "pipes:DeletePipe", "pipes:StartPipe", "pipes:StopPipe", "pipes:TagResource", "pipes:UntagResource", "pipes:UpdatePipe"]
    resources = local.pipes
  }

  # Without s3:DeleteBucket and anything on records: they are written by audit-logger and outlive their pipeline.
  statement {
    sid = "KeepAuditBuckets"
    actions = [
      "s3:CreateBucket",
      "s3:PutBucketObjectLockConfiguration",
      "s3:PutBucketOwnershipControls",
      "s3:PutBucketPolicy",
      "s3:PutBucketPublicAccessBlock",
      "s3:PutBucketTagging",
      "s3:PutBucketVersioning",
      "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
    ]
    resources = [local.audit_bucket, local.queries_bucket]
  }

  # The register of API keys: an entry for each key. The bucket's policy lets nobody overwrite or delete one.
  statement {
    sid       = "RegisterKeys"
    actions   = ["s3:PutObject"]
    resources = ["${local.audit_bucket}/clients/*"] # An object for each key, named by API Gateway's ID of it.
  }

  statement {
    sid       = "KeepAuditCatalogue"
    actions   = ["glue:CreateDatabase", "glue:CreateTable", "glue:DeleteDatabase", "glue:DeleteTable", "glue:TagResource", "glue:UntagResource", "glue:UpdateDatabase", "glue:UpdateTable"]
    resources = local.catalogue
  }

  # Without athena:StartQueryExecution: a query reads records.
  statement {
    sid       = "KeepAuditQueries"
    actions   = ["athena:CreateNamedQuery", "athena:CreateWorkGroup", "athena:DeleteNamedQuery", "athena:DeleteWorkGroup", "athena:TagResource", "athena:UntagResource", "athena:UpdateWorkGroup"]
    resources = [local.audit_workgroup]
  }

  statement {
    sid       = "KeepSecret"
    actions   = ["secretsmanager:CreateSecret", "secretsmanager:DeleteSecret", "secretsmanager:PutSecretValue", "secretsmanager:TagResource", "secretsmanager:UntagResource", "secretsmanager:UpdateSecret", "secretsmanager:UpdateSecretVersionStage"]
    resources = local.api_keys
  }
}

data "aws_iam_policy_document" "infrastructure_write_access" {
  statement {
    sid       = "KeepPolicies"
    actions   = ["iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:TagPolicy", "iam:UntagPolicy"]
    resources = local.policies
  }

  # Two roles by name, for the pipe and for API Gateway's log, and only with the boundary: whatever policy the pipeline
  # writes, they can do no more than it says. Without iam:UpdateAssumeRolePolicy: who assumes them is decided at creation.
  statement {
    sid       = "MakeBoundedRoles"
    actions   = ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
    resources = local.roles_made

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [aws_iam_policy.service_boundary.arn]
    }
  }

  statement {
    sid = "KeepRoles"
    actions = [
      "iam:DeleteRole",
      "iam:ListInstanceProfilesForRole", # Terraform asks before it deletes a role.
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = local.roles_made
  }

  statement {
    sid       = "LetApiGatewayWriteLogs"
    actions   = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
    resources = local.roles_made

    condition {
      test     = "ArnEquals"
      variable = "iam:PolicyARN"
      values   = ["arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"]
    }

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [aws_iam_policy.service_boundary.arn]
    }
  }

  # A stage with X-Ray tracing needs API Gateway's service-linked role, which nobody has created in a new account.
  statement {
    sid       = "MakeServiceLinkedRole"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["arn:${local.partition}:iam::${local.account_id}:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = ["ops.apigateway.amazonaws.com"]
    }
  }

  statement {
    sid       = "GiveRolesToServices"
    actions   = ["iam:PassRole"]
    resources = local.roles_made

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["apigateway.amazonaws.com", "pipes.amazonaws.com"]
    }
  }

  # Without kms:ScheduleKeyDeletion: see prevent_destroy of the key.
  statement {
    sid       = "KeepTopicsKey"
    actions   = ["kms:CreateAlias", "kms:CreateGrant", "kms:DeleteAlias", "kms:EnableKeyRotation", "kms:PutKeyPolicy", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription"]
    resources = ["arn:${local.partition}:kms:${local.place}:key/*", "arn:${local.partition}:kms:${local.place}:alias/bbws-product-topics-${var.environment}"] # The id is KMS's to choose.
  }

  statement {
    sid       = "MakeTopicsKey"
    actions   = ["kms:CreateKey"]
    resources = ["*"] # It has no resource yet.
  }

  statement {
    sid       = "KeepAlarmsAndDashboard"
    actions   = ["cloudwatch:DeleteAlarms", "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"]
    resources = concat(local.alarms, local.dashboard)
  }

  statement {
    sid       = "KeepLogGroups"
    actions   = ["logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"]
    resources = concat(local.log_groups, [for group in local.log_groups : "${group}:*"]) # CloudWatch Logs checks the tag actions on `NAME`, the others on `NAME:log-stream:`.
  }

  # API Gateway delivers its access log in the name of whoever turns it on.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
  statement {
    sid       = "SaveLogQueries"
    actions   = ["logs:DeleteQueryDefinition", "logs:PutQueryDefinition"]
    resources = ["*"] # Neither of them has a resource to name.
  }

  statement {
    sid       = "DeliverAccessLog"
    actions   = ["logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery"]
    resources = ["*"] # None of them has a resource to name.
  }
}
