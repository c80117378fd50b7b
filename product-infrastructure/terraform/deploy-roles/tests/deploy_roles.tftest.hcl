mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment  = "dev"
  github_owner = "example-shop"
}

run "two_roles_for_each_repository" {
  assert {
    condition     = length(aws_iam_role.deploy) == 16 && aws_iam_role.deploy["get-product/apply"].name == "bbws-deploy-get-product-dev" && aws_iam_role.deploy["get-product/plan"].name == "bbws-deploy-get-product-dev-plan"
    error_message = "Eight repositories have a role each to plan and to apply."
  }

  assert {
    condition     = toset(keys(output.role_arns)) == toset(keys(aws_iam_role.deploy))
    error_message = "Whoever sets up the GitHub environments needs each role's ARN."
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
        contains(flatten([for condition in document.statement[0].condition : condition.values if condition.test == "StringEquals" && endswith(condition.variable, ":sub")]), format("repo:example-shop/%s:environment:%s", split("/", key)[0], endswith(key, "/plan") ? "dev-plan" : "dev")),
        contains(flatten([for condition in document.statement[0].condition : condition.values if condition.test == "StringEquals" && endswith(condition.variable, ":aud")]), "sts.amazonaws.com"),
      ])
    ])
    error_message = "The subject names the repository and the GitHub environment, in full and without a wildcard."
  }
}

run "no_action_is_a_wildcard" {
  assert {
    condition = !anytrue(flatten([
      for document in concat(values(data.aws_iam_policy_document.function_read), values(data.aws_iam_policy_document.function_write), [data.aws_iam_policy_document.infrastructure_read, data.aws_iam_policy_document.infrastructure_write]) : [
        for statement in document.statement : [for action in statement.actions : strcontains(action, "*")]
      ]
    ]))
    error_message = "Actions are named one by one."
  }

  assert {
    condition = alltrue(flatten([
      for document in concat(values(data.aws_iam_policy_document.function_read), values(data.aws_iam_policy_document.function_write), [data.aws_iam_policy_document.infrastructure_read, data.aws_iam_policy_document.infrastructure_write]) : [
        for statement in document.statement : !contains(statement.resources, "*") || contains(["FindLogGroupAndAlarms", "KeepEventSource", "Find", "MakeTopicsKey", "DeliverAccessLog"], statement.sid)
      ]
    ]))
    error_message = "Only what has no resource to name may be granted on all."
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

run "refuses_what_is_no_account" {
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
