# What a function's pipeline may do: to its own function, role, log group, alarms and state, and nothing to its siblings'.

# Both roles read: a plan compares what is with what should be, an apply does so again.
resource "aws_iam_role_policy" "function_read" {
  for_each = { for key, role in local.roles : key => role if contains(local.functions, role.repository) }

  name   = "read"
  role   = aws_iam_role.deploy[each.key].id
  policy = data.aws_iam_policy_document.function_read[each.value.repository].json
}

resource "aws_iam_role_policy" "function_write" {
  for_each = local.functions

  name   = "write"
  role   = aws_iam_role.deploy["${each.key}/apply"].id
  policy = data.aws_iam_policy_document.function_write[each.key].json
}

locals {
  of_function = {
    for repository in local.functions : repository => {
      function  = "arn:${local.partition}:lambda:${local.place}:function:bbws-${repository}-${var.environment}"
      role      = "arn:${local.partition}:iam::${local.account_id}:role/bbws-${repository}-${var.environment}"
      log_group = "arn:${local.partition}:logs:${local.place}:log-group:/aws/lambda/bbws-${repository}-${var.environment}"
      alarms    = "arn:${local.partition}:cloudwatch:${local.place}:alarm:bbws-${repository}-${var.environment}-*"
      state     = "${local.state_bucket}/${repository}/terraform.tfstate"
    }
  }
  # Ids of the API and its parts are API Gateway's to choose.
  every_api          = "arn:${local.partition}:apigateway:${var.aws_region}::/restapis"
  every_event_source = "arn:${local.partition}:lambda:${local.place}:event-source-mapping:*"
  smoke_test_api_key = "arn:${local.partition}:secretsmanager:${local.place}:secret:bbws/product-api/key-${var.environment}-??????" # The suffix is Secrets Manager's.
  methods = {
    list-products  = ["GET"]
    get-product    = ["GET"]
    create-product = ["POST"]
    update-product = ["PATCH", "PUT"]
    delete-product = ["DELETE"]
  }
}

data "aws_iam_policy_document" "function_read" {
  #checkov:skip=CKV_AWS_356:cloudwatch:DescribeAlarms is a list that AWS grants on all alarms or, with composite alarms in the account, on none
  for_each = local.functions

  # Never `api-keys/terraform.tfstate`, which holds the keys.
  statement {
    sid       = "ReadStates"
    actions   = ["s3:GetObject"]
    resources = [local.of_function[each.key].state, "${local.state_bucket}/product-infrastructure/terraform.tfstate"]
  }

  # What was released here, and its package: a promotion to the next environment takes both from here.
  statement {
    sid       = "ReadReleases"
    actions   = ["s3:GetObject"]
    resources = ["${local.state_bucket}/${each.key}/releases/*"] # Packages are named by their digests.
  }

  statement {
    sid       = "FindStates"
    actions   = ["s3:ListBucket"]
    resources = [local.state_bucket]
  }

  statement {
    sid       = "LockOwnState"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.of_function[each.key].state}.tflock"]
  }

  statement {
    sid = "ReadFunction"
    actions = [
      "lambda:GetAlias",
      "lambda:GetFunction",
      "lambda:GetFunctionCodeSigningConfig",
      "lambda:GetFunctionConfiguration",
      "lambda:GetPolicy",
      "lambda:ListTags",
      "lambda:ListVersionsByFunction",
    ]
    resources = [local.of_function[each.key].function, "${local.of_function[each.key].function}:*"] # Versions and aliases.
  }

  statement {
    sid       = "ReadRole"
    actions   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    resources = [local.of_function[each.key].role]
  }

  statement {
    sid       = "ReadLogGroup"
    actions   = ["logs:ListTagsForResource"]
    resources = [local.of_function[each.key].log_group]
  }

  statement {
    sid       = "FindLogGroupAndAlarms"
    actions   = ["cloudwatch:DescribeAlarms", "logs:DescribeLogGroups"]
    resources = ["*"] # Both are lists, which have no resource to name.
  }

  statement {
    sid       = "ReadAlarms"
    actions   = ["cloudwatch:ListTagsForResource"]
    resources = [local.of_function[each.key].alarms] # The end of the name says what the alarm is on.
  }

  dynamic "statement" {
    for_each = contains(local.api_functions, each.key) ? ["api"] : []

    content {
      sid       = "ReadApi"
      actions   = ["apigateway:GET"]
      resources = [local.every_api, "${local.every_api}/*"]
    }
  }

  dynamic "statement" {
    for_each = contains(local.queue_functions, each.key) ? ["queue"] : []

    content {
      sid       = "ReadEventSource"
      actions   = ["lambda:GetEventSourceMapping", "lambda:ListTags"]
      resources = [local.every_event_source] # The id is Lambda's to choose.
    }
  }
}

data "aws_iam_policy_document" "function_write" {
  for_each = local.functions

  statement {
    sid       = "WriteOwnState"
    actions   = ["s3:PutObject"]
    resources = [local.of_function[each.key].state, "${local.state_bucket}/${each.key}/releases/*"] # Packages are named by their digests.
  }

  statement {
    sid = "DeployFunction"
    actions = [
      "lambda:AddPermission",
      "lambda:CreateAlias",
      "lambda:CreateFunction",
      "lambda:DeleteAlias",
      "lambda:DeleteFunction",
      "lambda:PublishVersion",
      "lambda:RemovePermission",
      "lambda:TagResource",
      "lambda:UntagResource",
      "lambda:UpdateAlias",
      "lambda:UpdateFunctionCode",
      "lambda:UpdateFunctionConfiguration",
    ]
    resources = [local.of_function[each.key].function, "${local.of_function[each.key].function}:*"] # Versions and aliases.
  }

  statement {
    sid       = "TryFunction"
    actions   = ["lambda:InvokeFunction"]
    resources = [local.of_function[each.key].function, "${local.of_function[each.key].function}:*"] # Versions and aliases.
  }

  # No role without the boundary: whatever policy the repository writes, its function can do no more than the boundary says.
  statement {
    sid       = "MakeBoundedRole"
    actions   = ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
    resources = [local.of_function[each.key].role]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.function_boundary]
    }
  }

  statement {
    sid = "KeepRole"
    actions = [
      "iam:DeleteRole",
      "iam:ListInstanceProfilesForRole", # Terraform asks before it deletes a role.
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = [local.of_function[each.key].role]
  }

  statement {
    sid       = "LetRoleWriteLogs"
    actions   = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]
    resources = [local.of_function[each.key].role]

    condition {
      test     = "ArnEquals"
      variable = "iam:PolicyARN"
      values   = [local.function_logs]
    }
  }

  statement {
    sid       = "GiveRoleToFunction"
    actions   = ["iam:PassRole"]
    resources = [local.of_function[each.key].role]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["lambda.amazonaws.com"]
    }
  }

  statement {
    sid       = "KeepLogGroup"
    actions   = ["logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"]
    resources = [local.of_function[each.key].log_group, "${local.of_function[each.key].log_group}:*"] # CloudWatch Logs checks the tag actions on `NAME`, the others on `NAME:log-stream:`.
  }

  statement {
    sid       = "KeepAlarms"
    actions   = ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"]
    resources = [local.of_function[each.key].alarms] # The end of the name says what the alarm is on.
  }

  dynamic "statement" {
    for_each = contains(local.api_functions, each.key) ? ["api"] : []

    content {
      sid     = "KeepMethods"
      actions = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:PUT"]
      # Of every resource of every API: their IDs are API Gateway's to choose.
      resources = flatten([
        for method in local.methods[each.key] : [
          "${local.every_api}/*/resources/*/methods/${method}",
          "${local.every_api}/*/resources/*/methods/${method}/*",
        ]
      ])
    }
  }

  dynamic "statement" {
    for_each = contains(local.api_functions, each.key) ? ["api"] : []

    content {
      sid       = "PublishApi"
      actions   = ["apigateway:PATCH", "apigateway:POST"]
      resources = ["${local.every_api}/*/deployments", "${local.every_api}/*/stages/${var.environment}"] # The API's id, as above.
    }
  }

  # The smoke test asks over HTTP, as a client does.
  dynamic "statement" {
    for_each = contains(local.api_functions, each.key) ? ["api"] : []

    content {
      sid       = "ReadApiKey"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [local.smoke_test_api_key]
    }
  }

  dynamic "statement" {
    for_each = contains(local.queue_functions, each.key) ? ["queue"] : []

    content {
      sid       = "KeepEventSource"
      actions   = ["lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"]
      resources = ["*"] # The id is Lambda's to choose; the condition says whose it may be.

      condition {
        test     = "ArnLike"
        variable = "lambda:FunctionArn"
        values   = [local.of_function[each.key].function, "${local.of_function[each.key].function}:*"]
      }
    }
  }

  dynamic "statement" {
    for_each = contains(local.queue_functions, each.key) ? ["queue"] : []

    content {
      sid       = "TagEventSource"
      actions   = ["lambda:TagResource", "lambda:UntagResource"]
      resources = [local.every_event_source] # The id, as above.
    }
  }
}
