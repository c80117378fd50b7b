mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  account_id      = "111122223333"
  environment     = "dev"
  github_owner    = "example-shop"
  github_owner_id = "1001"
  github_repository_ids = {
    product-infrastructure = "2001"
    list-products          = "2002"
    get-product            = "2003"
    create-product         = "2004"
    update-product         = "2005"
    delete-product         = "2006"
    product-creator        = "2007"
    audit-logger           = "2008"
  }
}

run "two_roles_for_each_repository_and_one_for_the_audit" {
  assert {
    condition     = length(aws_iam_role.deploy) == 17 && aws_iam_role.deploy["product-infrastructure/audit"].name == "bbws-product-audit-verifier-dev" && aws_iam_role.deploy["get-product/apply"].name == "bbws-deploy-get-product-dev" && aws_iam_role.deploy["get-product/plan"].name == "bbws-deploy-get-product-dev-plan"
    error_message = "Eight repositories have a role each to plan and to apply; one of them verifies the audit log."
  }

  assert {
    condition     = toset(keys(output.role_arns)) == toset(keys(aws_iam_role.deploy))
    error_message = "Whoever sets up the GitHub environments needs each role's ARN."
  }

  assert {
    condition     = keys(output.environment_variables["get-product/apply"]) == ["AWS_ACCOUNT_ID", "AWS_REGION", "AWS_ROLE_ARN"]
    error_message = "scripts/setup-github.sh sets these."
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.deploy : length(role.name) <= 64])
    error_message = "IAM refuses a longer name."
  }
}

run "a_role_is_trusted_to_one_environment_of_one_repository" {
  assert {
    condition = alltrue([
      for key, document in data.aws_iam_policy_document.trust : alltrue([
        length(document.statement) == 1,
        document.statement[0].actions == toset(["sts:AssumeRoleWithWebIdentity"]),
        contains(flatten([for condition in document.statement[0].condition : condition.values if condition.test == "StringEquals" && endswith(condition.variable, ":sub")]), format("repo:example-shop@1001/%s@%s:environment:%s", split("/", key)[0], var.github_repository_ids[split("/", key)[0]], { plan = "dev-plan", apply = "dev", audit = "dev-audit" }[split("/", key)[1]])),
        contains(flatten([for condition in document.statement[0].condition : condition.values if condition.test == "StringEquals" && endswith(condition.variable, ":aud")]), "sts.amazonaws.com"),
      ])
    ])
    error_message = "The subject names owner, repository and GitHub environment, each of the former with its ID, in full and without a wildcard."
  }

  assert {
    condition = alltrue([
      for key, document in data.aws_iam_policy_document.trust :
      contains(flatten([for condition in document.statement[0].condition : condition.values if endswith(condition.variable, ":repository_id")]), var.github_repository_ids[split("/", key)[0]])
    ])
    error_message = "The repository's ID is checked on its own too."
  }

  assert {
    condition = alltrue([
      for key, document in data.aws_iam_policy_document.trust :
      join(" ", flatten([for condition in document.statement[0].condition : condition.values if endswith(condition.variable, ":ref")])) == (endswith(key, "/plan") ? "" : "refs/heads/main")
    ])
    error_message = "Only workflows of main may write, or read audit records."
  }
}

run "uses_the_accounts_own_oidc_provider" {
  variables {
    create_oidc_provider = false
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && local.oidc_provider_arn == data.aws_iam_openid_connect_provider.github[0].arn
    error_message = "An account holds one provider per URL."
  }
}

run "log_group_permissions_are_granted_on_the_form_that_is_checked" {
  # CloudWatch Logs checks CreateLogGroup, DeleteLogGroup and PutRetentionPolicy on `NAME:log-stream:`, the tag actions on `NAME`.
  assert {
    condition = alltrue(flatten([
      for document in concat(values(data.aws_iam_policy_document.function_write), [data.aws_iam_policy_document.infrastructure_write, data.aws_iam_policy_document.infrastructure_write_access]) : [
        for statement in document.statement : [
          for resource in statement.resources : contains(statement.resources, "${resource}:*") if !endswith(resource, ":*")
        ] if contains(statement.actions, "logs:CreateLogGroup")
      ]
    ]))
    error_message = "Each log group is granted both as NAME and as NAME:*."
  }
}

run "no_pipeline_makes_itself_administrator" {
  assert {
    condition = !anytrue(flatten([
      for document in concat(values(data.aws_iam_policy_document.function_write), [data.aws_iam_policy_document.infrastructure_write, data.aws_iam_policy_document.infrastructure_write_access]) : [
        for statement in document.statement : [
          for action in ["iam:UpdateAssumeRolePolicy", "iam:DeleteRolePermissionsBoundary", "iam:CreateUser", "iam:CreateAccessKey", "sts:AssumeRole"] : contains(statement.actions, action)
        ]
      ]
    ]))
    error_message = "These lead out of the boundary."
  }

  assert {
    condition = alltrue(flatten([
      for document in concat(values(data.aws_iam_policy_document.function_write), [data.aws_iam_policy_document.infrastructure_write, data.aws_iam_policy_document.infrastructure_write_access]) : [
        for statement in document.statement : anytrue([for condition in statement.condition : condition.variable == "iam:PermissionsBoundary" && condition.test == "StringEquals"])
        if length(setintersection(statement.actions, ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"])) > 0
      ]
    ]))
    error_message = "Creating a role, writing its policy and setting its boundary take the boundary."
  }

  assert {
    condition     = !anytrue([for statement in concat(data.aws_iam_policy_document.infrastructure_write.statement, data.aws_iam_policy_document.infrastructure_write_access.statement) : anytrue([for resource in statement.resources : strcontains(resource, "service-boundary") || strcontains(resource, "policy/*")])])
    error_message = "The infrastructure's pipeline must not be able to change its own boundary."
  }
}

run "packages_and_releases_lie_under_the_repositorys_own_prefix" {
  assert {
    condition = alltrue([
      for repository, document in data.aws_iam_policy_document.function_write : alltrue(flatten([
        for statement in document.statement : [for resource in statement.resources : startswith(resource, "arn:aws:s3:::bbws-terraform-state-dev/${repository}/")] if contains(statement.actions, "s3:PutObject")
      ]))
    ])
    error_message = "No pipeline may replace another's package."
  }
}

run "rejects_an_id_that_two_repositories_share" {
  command = plan

  variables {
    github_repository_ids = { product-infrastructure = "1", list-products = "1", get-product = "3", create-product = "4", update-product = "5", delete-product = "6", product-creator = "7", audit-logger = "8" }
  }

  expect_failures = [var.github_repository_ids]
}

run "rejects_an_owner_id_that_is_a_name" {
  command = plan

  variables {
    github_owner_id = "example-shop"
  }

  expect_failures = [var.github_owner_id]
}

run "rejects_a_repository_id_that_is_a_name" {
  command = plan

  variables {
    github_repository_ids = { product-infrastructure = "1", list-products = "list-products", get-product = "3", create-product = "4", update-product = "5", delete-product = "6", product-creator = "7", audit-logger = "8" }
  }

  expect_failures = [var.github_repository_ids]
}

run "rejects_a_missing_repository" {
  command = plan

  variables {
    github_repository_ids = { product-infrastructure = "1" }
  }

  expect_failures = [var.github_repository_ids]
}

run "no_action_is_a_wildcard" {
  assert {
    condition = !anytrue(flatten([
      for document in concat(values(data.aws_iam_policy_document.function_read), values(data.aws_iam_policy_document.function_write), [data.aws_iam_policy_document.infrastructure_read, data.aws_iam_policy_document.infrastructure_write, data.aws_iam_policy_document.infrastructure_write_access]) : [
        for statement in document.statement : [for action in statement.actions : strcontains(action, "*")]
      ]
    ]))
    error_message = "Actions are named one by one."
  }

  assert {
    condition = alltrue(flatten([
      for document in concat(values(data.aws_iam_policy_document.function_read), values(data.aws_iam_policy_document.function_write), [data.aws_iam_policy_document.infrastructure_read, data.aws_iam_policy_document.infrastructure_write, data.aws_iam_policy_document.infrastructure_write_access]) : [
        for statement in document.statement : !contains(statement.resources, "*") || contains(["FindLogGroupAndAlarms", "KeepEventSource", "Find", "MakeTopicsKey", "DeliverAccessLog", "SaveLogQueries", "KeepSubscriptions"], statement.sid)
      ]
    ]))
    error_message = "Only what has no resource to name may be granted on all."
  }
}

run "actions_without_a_resource_are_granted_on_all" {
  assert {
    condition = alltrue(flatten([
      for document in [data.aws_iam_policy_document.infrastructure_read, data.aws_iam_policy_document.infrastructure_write, data.aws_iam_policy_document.infrastructure_write_access, data.aws_iam_policy_document.service_boundary] : [
        for statement in document.statement : [
          for action in statement.actions : toset(statement.resources) == toset(["*"]) if contains(["dynamodb:ListStreams", "logs:DeleteQueryDefinition", "logs:DescribeQueryDefinitions", "logs:PutQueryDefinition", "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"], action)
        ]
      ]
    ]))
    error_message = "The service authorization reference gives these actions no resource: granted on one, AWS denies them."
  }
}

run "a_plan_changes_nothing_but_the_lock_of_its_state" {
  assert {
    condition = alltrue(flatten([
      for document in concat(values(data.aws_iam_policy_document.function_read), [data.aws_iam_policy_document.infrastructure_read]) : [
        for statement in document.statement : alltrue([for action in statement.actions : can(regex(":(Describe|Get|List|GET)", action))]) || contains(["LockOwnState", "LockStates"], statement.sid)
      ]
    ]))
    error_message = "Who plans reads."
  }
}

run "a_function_gets_no_role_without_the_boundary" {
  assert {
    condition = alltrue(flatten([
      for document in values(data.aws_iam_policy_document.function_write) : [
        for statement in document.statement : anytrue([
          for condition in statement.condition : condition.variable == "iam:PermissionsBoundary" && toset(condition.values) == toset(["arn:aws:iam::111122223333:policy/bbws-product-function-boundary-dev"])
        ]) if contains(statement.actions, "iam:CreateRole")
      ]
    ]))
    error_message = "A role without the boundary could be given any right."
  }
}

run "a_function_keeps_its_own_methods_only" {
  assert {
    condition = { for repository, document in data.aws_iam_policy_document.function_write : repository => join(" ", distinct([for resource in flatten([for statement in document.statement : sort(statement.resources) if statement.sid == "KeepMethods"]) : split("/", resource)[6]])) } == {
      list-products   = "GET"
      get-product     = "GET"
      create-product  = "POST"
      update-product  = "PATCH PUT"
      delete-product  = "DELETE"
      product-creator = ""
      audit-logger    = ""
    }
    error_message = "A pipeline must not be able to change its siblings' methods."
  }
}

run "no_auditor_role_unless_somebody_may_assume_it" {
  assert {
    condition     = length(aws_iam_role.auditor) == 0 && length(aws_iam_role_policy.auditor_reads) == 0 && length(aws_iam_role_policy.auditor_queries) == 0 && output.auditor_role_arn == null
    error_message = "A role without a principal has no use."
  }
}

run "an_auditor_reads_and_writes_nothing" {
  variables {
    auditor_principals = ["arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Auditor_0123456789abcdef"]
  }

  assert {
    condition     = aws_iam_role.auditor[0].name == "bbws-product-auditor-dev" && output.auditor_role_arn == aws_iam_role.auditor[0].arn
    error_message = "The role's name is documented."
  }

  assert {
    condition     = toset(flatten([for principal in data.aws_iam_policy_document.auditor_trust.statement[0].principals : tolist(principal.identifiers)])) == toset(var.auditor_principals)
    error_message = "Only the named principals may assume the role."
  }

  assert {
    condition     = alltrue(flatten([for statement in data.aws_iam_policy_document.audit_read.statement : [for action in statement.actions : can(regex("^(s3:(Get|List)[A-Za-z]+|dynamodb:(GetItem|Query|Scan))$", action))]]))
    error_message = "An auditor reads."
  }

  assert {
    condition     = toset(flatten([for statement in data.aws_iam_policy_document.audit_read.statement : tolist(statement.resources)])) == toset(["arn:aws:s3:::bbws-product-audit-logs-dev", "arn:aws:s3:::bbws-product-audit-logs-dev/*", "arn:aws:dynamodb:eu-west-1:111122223333:table/products", "arn:aws:dynamodb:eu-west-1:111122223333:table/products/index/ProductsByNameIndex"])
    error_message = "An auditor reads the audit bucket and the products table, and nothing else: no state, no secret, no queue."
  }

  # What `catalogctl audit verify`, `report`, `export` and `history` need, as docs/operating.md lists it.
  assert {
    condition = length(setsubtract(
      ["s3:ListBucketVersions", "s3:GetBucketObjectLockConfiguration", "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention", "dynamodb:Scan", "dynamodb:GetItem", "dynamodb:Query"],
      flatten([for statement in data.aws_iam_policy_document.audit_read.statement : tolist(statement.actions)])
    )) == 0
    error_message = "The role must suffice for the commands of docs/compliance.md."
  }
}

run "an_auditor_queries_in_the_auditors_workgroup_and_writes_results_only" {
  assert {
    condition = alltrue(flatten([
      for statement in data.aws_iam_policy_document.audit_query.statement : [
        for action in statement.actions : can(regex("^(athena|glue|s3):(BatchGet|Get|List)", action)) || contains(["athena:StartQueryExecution", "athena:StopQueryExecution", "s3:AbortMultipartUpload", "s3:PutObject"], action)
      ]
    ]))
    error_message = "A query is started and stopped; everything else reads, but for the results."
  }

  assert {
    condition     = toset(flatten([for statement in data.aws_iam_policy_document.audit_query.statement : tolist(statement.resources) if contains(statement.actions, "s3:PutObject") || contains(statement.actions, "s3:AbortMultipartUpload")])) == toset(["arn:aws:s3:::bbws-product-audit-queries-dev/results/*"])
    error_message = "Results are all that a query writes."
  }

  assert {
    condition     = toset(flatten([for statement in data.aws_iam_policy_document.audit_query.statement : tolist(statement.resources) if contains(statement.actions, "athena:StartQueryExecution")])) == toset(["arn:aws:athena:eu-west-1:111122223333:workgroup/bbws-product-audit-dev"])
    error_message = "Only the workgroup that enforces encryption and the limit may be used."
  }

  assert {
    condition     = toset(flatten([for statement in data.aws_iam_policy_document.audit_query.statement : statement.sid if contains(statement.resources, "*")])) == toset(["FindWorkgroup"])
    error_message = "Only lists have no resource to name."
  }
}

run "the_audits_verifier_reads_and_publishes_its_result_only" {
  assert {
    condition     = toset(flatten([for statement in data.aws_iam_policy_document.audit_publish.statement : tolist(statement.actions)])) == toset(["cloudwatch:PutMetricData"])
    error_message = "It publishes a metric."
  }

  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.audit_publish.statement : anytrue([for condition in statement.condition : condition.test == "StringEquals" && condition.variable == "cloudwatch:namespace" && condition.values == tolist(["ProductCatalogue/Audit"])])])
    error_message = "It must not be able to write the metrics that other alarms look at."
  }

  assert {
    condition     = aws_iam_role_policy.audit_verifier_reads.role == aws_iam_role.deploy["product-infrastructure/audit"].id && aws_iam_role_policy.audit_verifier_publishes.role == aws_iam_role.deploy["product-infrastructure/audit"].id
    error_message = "Both policies belong to the verifier."
  }
}

run "no_pipeline_queries_audit_records" {
  assert {
    condition = !anytrue(flatten([
      for document in [data.aws_iam_policy_document.infrastructure_read, data.aws_iam_policy_document.infrastructure_write, data.aws_iam_policy_document.infrastructure_write_access] : [
        for statement in document.statement : [
          for action in statement.actions : can(regex("^athena:(Start|GetQuery)", action)) || (can(regex("^s3:(Get|Put|Delete)Object", action)) && anytrue([for resource in statement.resources : strcontains(resource, "product-audit-") && "${action} ${resource}" != "s3:PutObject arn:aws:s3:::bbws-product-audit-logs-dev/clients/*"]))
        ]
      ]
    ]))
    error_message = "A pipeline keeps the workgroup and the buckets, adds API keys to their register, and reads and writes no record."
  }
}

run "rejects_auditors_with_a_wildcard" {
  command = plan

  variables {
    auditor_principals = ["arn:aws:iam::111122223333:role/*"]
  }

  expect_failures = [var.auditor_principals]
}

run "rejects_a_whole_account_of_auditors" {
  command = plan

  variables {
    auditor_principals = ["arn:aws:iam::111122223333:root"]
  }

  expect_failures = [var.auditor_principals]
}

run "rejects_malformed_bucket_suffix" {
  command = plan

  variables {
    bucket_suffix = "MINE"
  }

  expect_failures = [var.bucket_suffix]
}

run "refuses_an_unknown_environment" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "refuses_what_is_no_region" {
  command = plan

  variables {
    aws_region = "Ireland"
  }

  expect_failures = [var.aws_region]
}

run "rejects_malformed_account_id" {
  command = plan

  variables {
    account_id = "12345"
  }

  expect_failures = [var.account_id]
}

run "refuses_another_account" {
  command = plan

  variables {
    account_id = "999999999999"
  }

  expect_failures = [data.aws_caller_identity.current]
}

run "refuses_an_owner_with_a_repository" {
  command = plan

  variables {
    github_owner = "example-shop/get-product"
  }

  expect_failures = [var.github_owner]
}
