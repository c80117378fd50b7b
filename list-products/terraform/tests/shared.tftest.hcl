# What holds of every function alike: this file is the same in all seven repositories.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_data {
  target = data.terraform_remote_state.infrastructure

  values = {
    outputs = {
      contract_version                 = "2"
      environment                      = "dev"
      api_gateway_id                   = "api1234567"
      api_gateway_execution_arn        = "arn:aws:execute-api:eu-west-1:111122223333:api1234567"
      api_stage_name                   = "dev"
      api_base_path                    = "/v1.0"
      products_resource_id             = "products01"
      product_resource_id              = "product002"
      product_changes_resource_id      = "changes003"
      product_change_resource_id       = "change0004"
      feed_resource_id                 = "feed000005"
      dynamodb_table_name              = "products"
      dynamodb_table_arn               = "arn:aws:dynamodb:eu-west-1:111122223333:table/products"
      products_price_index_name        = "ProductsByPriceIndex"
      products_name_index_name         = "ProductsByNameIndex"
      products_category_index_name     = "ProductsByCategoryIndex"
      products_change_index_name       = "ProductsByChangeIndex"
      list_shards                      = 1
      sqs_queue_url                    = "https://sqs.eu-west-1.amazonaws.com/111122223333/bbws-product-change-dev"
      sqs_queue_arn                    = "arn:aws:sqs:eu-west-1:111122223333:bbws-product-change-dev"
      audit_queue_arn                  = "arn:aws:sqs:eu-west-1:111122223333:bbws-product-audit-dev"
      queue_visibility_timeout_seconds = 60
      s3_audit_bucket_name             = "bbws-product-audit-logs-dev"
      s3_audit_bucket_arn              = "arn:aws:s3:::bbws-product-audit-logs-dev"
      sns_topic_arn                    = "arn:aws:sns:eu-west-1:111122223333:bbws-product-alerts-dev"
      permission_boundary_arn          = "arn:aws:iam::111122223333:policy/bbws-product-function-boundary-dev"
      dashboard_name                   = "bbws-product-catalogue-dev"
      runbooks_url                     = "https://example.com/runbooks"
      logs_policy_arn                  = "arn:aws:iam::111122223333:policy/bbws-product-function-logs-dev"
    }
  }
}

variables {
  account_id   = "111122223333"
  environment  = "dev"
  package_path = "versions.tf" # Any file: a package is only hashed.
}

run "is_named_after_its_repository_and_environment" {
  command = plan

  assert {
    condition     = aws_lambda_function.this.function_name == "bbws-${local.repository}-dev" && aws_iam_role.function.name == "bbws-${local.repository}-dev"
    error_message = "Function and role must be named bbws-{repository}-{environment}."
  }

  assert {
    condition     = aws_cloudwatch_log_group.function.name == "/aws/lambda/bbws-${local.repository}-dev" && aws_cloudwatch_log_group.function.retention_in_days == 90
    error_message = "The log group must be the function's own and keep its log for 90 days."
  }

  assert {
    condition     = aws_lambda_alias.live.name == "live"
    error_message = "Callers know the alias as `live`."
  }
}

run "runs_a_traced_native_package_and_publishes_every_change" {
  command = plan

  assert {
    condition     = aws_lambda_function.this.runtime == "provided.al2023" && aws_lambda_function.this.handler == "bootstrap" && aws_lambda_function.this.publish
    error_message = "The package is a `bootstrap` for provided.al2023, and each change must be published as a version."
  }

  assert {
    condition     = aws_lambda_function.this.source_code_hash == filebase64sha256("versions.tf")
    error_message = "The code's hash must be the package's, or new code would not be deployed."
  }

  assert {
    condition     = aws_lambda_function.this.tracing_config[0].mode == "Active" && aws_lambda_function.this.logging_config[0].log_format == "JSON"
    error_message = "The function must be traced and log JSON."
  }

  assert {
    condition     = aws_lambda_function.this.architectures == tolist(["arm64"])
    error_message = "The default architecture is arm64."
  }

  assert {
    condition     = aws_lambda_function.this.environment[0].variables["LOG_LEVEL"] == "info"
    error_message = "Every function has LOG_LEVEL."
  }
}

run "its_role_is_bounded_and_has_no_wildcard_but_for_traces" {
  command = plan

  assert {
    condition     = aws_iam_role.function.permissions_boundary == "arn:aws:iam::111122223333:policy/bbws-product-function-boundary-dev"
    error_message = "The role must carry the boundary."
  }

  assert {
    condition     = !anytrue([for statement in data.aws_iam_policy_document.calls.statement : contains(statement.resources, "*") if statement.sid != "SendTraces"])
    error_message = "Only X-Ray has no resource to name."
  }

  assert {
    condition     = !anytrue(flatten([for statement in data.aws_iam_policy_document.calls.statement : [for action in statement.actions : strcontains(action, "*")]]))
    error_message = "Actions are named one by one."
  }
}

run "every_alarm_reaches_somebody_and_names_its_runbook" {
  command = plan

  assert {
    condition     = alltrue([for alarm in [aws_cloudwatch_metric_alarm.errors, aws_cloudwatch_metric_alarm.duration_p95] : alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:111122223333:bbws-product-alerts-dev"])])
    error_message = "Each alarm must go to the alerts topic."
  }

  assert {
    condition     = alltrue([for alarm in [aws_cloudwatch_metric_alarm.errors, aws_cloudwatch_metric_alarm.duration_p95] : can(regex("^(NOW|TODAY): .+ Impact: .+ First command: `.+`\\. Dashboard: https://[^ ]+#dashboards:name=bbws-product-catalogue-dev Runbook: https://example.com/runbooks/[a-z0-9-]+\\.md$", alarm.alarm_description)) && length(alarm.alarm_description) <= 1024])
    error_message = "A description is the e-mail that on-call reads: urgency, symptom, impact, first command, dashboard, runbook, in 1,024 characters."
  }

  assert {
    condition     = alltrue([for alarm in [aws_cloudwatch_metric_alarm.errors, aws_cloudwatch_metric_alarm.duration_p95] : strcontains(alarm.alarm_description, "First command: `catalogctl logs ${local.repository} --env dev --since 15m --filter '")])
    error_message = "The first command must read this function's log."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.errors.threshold == 5 && aws_cloudwatch_metric_alarm.duration_p95.threshold == 300 && one([for query in aws_cloudwatch_metric_alarm.duration_p95.metric_query : query.metric[0].stat if query.id == "p95"]) == "p95"
    error_message = "5 % errors; 300 ms for the 95th percentile."
  }

  assert {
    condition     = contains(output.alarm_names, "bbws-${local.repository}-dev-errors") && contains(output.alarm_names, "bbws-${local.repository}-dev-duration-p95")
    error_message = "Alarms are named after the function."
  }
}

run "alarms_see_an_outage_at_low_traffic" {
  command = plan

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.errors.metric_query : query.expression if query.id == "rate"]) == "IF(invocations >= 20 OR errors >= 5, 100 * errors / invocations, 0)"
    error_message = "Five failed invocations are an outage, however few there were."
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.duration_p95.metric_query : query.expression if query.id == "duration"]) == "IF(invocations >= 40, p95, 0)"
    error_message = "An alarm on the percentile itself ignores periods of fewer than 200 invocations."
  }
}

run "lambda_lets_the_functions_own_log_level_through" {
  command = plan

  variables {
    log_level = "debug"
  }

  assert {
    condition     = aws_lambda_function.this.logging_config[0].application_log_level == "DEBUG"
    error_message = "Lambda drops DEBUG lines by default."
  }
}

run "lambda_never_drops_metric_lines" {
  command = plan

  variables {
    log_level = "error"
  }

  assert {
    condition     = aws_lambda_function.this.logging_config[0].application_log_level == "INFO"
    error_message = "A metric line has no level and counts as INFO."
  }
}

run "live_is_what_this_apply_publishes" {
  assert {
    condition     = aws_lambda_alias.live.function_version == "7"
    error_message = "Without live_version the alias must point to the version just published."
  }
}

run "live_can_stay_behind_or_go_back" {
  variables {
    live_version = "3"
  }

  assert {
    condition     = aws_lambda_alias.live.function_version == "3" && output.published_version == "7"
    error_message = "live_version must win over the version just published."
  }
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

run "refuses_a_package_that_is_not_there" {
  command = plan

  variables {
    package_path = "no-such-package.zip"
  }

  expect_failures = [var.package_path]
}

run "refuses_an_unknown_architecture" {
  command = plan

  variables {
    architecture = "amd64"
  }

  expect_failures = [var.architecture]
}

run "refuses_too_little_memory" {
  command = plan

  variables {
    memory_size = 64
  }

  expect_failures = [var.memory_size]
}

run "refuses_a_timeout_longer_than_the_gateway_waits" {
  command = plan

  variables {
    timeout_seconds = 30
  }

  expect_failures = [var.timeout_seconds]
}

run "refuses_an_unknown_log_level" {
  command = plan

  variables {
    log_level = "verbose"
  }

  expect_failures = [var.log_level]
}

run "refuses_a_live_version_that_can_change" {
  command = plan

  variables {
    live_version = "$LATEST"
  }

  expect_failures = [var.live_version]
}

run "refuses_a_duration_threshold_of_nothing" {
  command = plan

  variables {
    duration_p95_threshold_ms = 0
  }

  expect_failures = [var.duration_p95_threshold_ms]
}

run "refuses_another_account" {
  command = plan

  variables {
    account_id = "999999999999"
  }

  expect_failures = [data.aws_caller_identity.current]
}

run "refuses_infrastructure_of_another_contract" {
  command = plan

  override_data {
    target = data.terraform_remote_state.infrastructure
    values = { outputs = { contract_version = "1", environment = "dev" } }
  }

  expect_failures = [data.terraform_remote_state.infrastructure]
}

run "refuses_infrastructure_of_another_environment" {
  command = plan

  override_data {
    target = data.terraform_remote_state.infrastructure
    values = { outputs = { contract_version = "2", environment = "sit" } }
  }

  expect_failures = [data.terraform_remote_state.infrastructure]
}

run "says_so_when_there_is_no_infrastructure" {
  command = plan

  override_data {
    target = data.terraform_remote_state.infrastructure
    values = { outputs = {} }
  }

  expect_failures = [data.terraform_remote_state.infrastructure]
}
