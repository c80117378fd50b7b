# What is particular to product-creator: its name, its configuration, what it may call and what calls it.

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

run "has_the_names_that_others_rely_on" {
  command = plan

  assert {
    condition     = output.function_name == "bbws-product-creator-dev" && output.log_group_name == "/aws/lambda/bbws-product-creator-dev"
    error_message = "The function's name is a contract."
  }

  assert {
    condition     = output.alarm_names == tolist(["bbws-product-creator-dev-batch-item-failures", "bbws-product-creator-dev-change-lag", "bbws-product-creator-dev-duration-p95", "bbws-product-creator-dev-errors"])
    error_message = "The alarms' names are a contract."
  }
}

run "is_told_what_it_needs_and_no_more" {
  command = plan

  assert {
    condition = aws_lambda_function.this.environment[0].variables == tomap({
      LOG_LEVEL   = "info"
      TABLE_NAME  = "products"
      LIST_SHARDS = "1"
    })
    error_message = "The environment variables are those that src/config.rs reads."
  }
}

run "may_make_exactly_the_calls_it_makes" {
  command = plan

  assert {
    # action => resources, over all statements
    condition = merge([
      for statement in data.aws_iam_policy_document.calls.statement : {
        for action in statement.actions : action => sort(statement.resources)
      } if statement.sid != "SendTraces"
      ]...) == {
      "dynamodb:ConditionCheckItem" = sort(["arn:aws:dynamodb:eu-west-1:111122223333:table/products"])
      "dynamodb:DeleteItem"         = sort(["arn:aws:dynamodb:eu-west-1:111122223333:table/products"])
      "dynamodb:GetItem"            = sort(["arn:aws:dynamodb:eu-west-1:111122223333:table/products"])
      "dynamodb:PutItem"            = sort(["arn:aws:dynamodb:eu-west-1:111122223333:table/products"])
      "sqs:DeleteMessage"           = sort(["arn:aws:sqs:eu-west-1:111122223333:bbws-product-change-dev"])
      "sqs:GetQueueAttributes"      = sort(["arn:aws:sqs:eu-west-1:111122223333:bbws-product-change-dev"])
      "sqs:ReceiveMessage"          = sort(["arn:aws:sqs:eu-west-1:111122223333:bbws-product-change-dev"])
    }
    error_message = "The role's calls are those of the function's adapters."
  }
}

run "reads_its_queue_through_the_alias_and_names_what_failed" {
  assert {
    condition     = aws_lambda_event_source_mapping.queue.event_source_arn == "arn:aws:sqs:eu-west-1:111122223333:bbws-product-change-dev" && aws_lambda_event_source_mapping.queue.function_name == aws_lambda_alias.live.arn
    error_message = "The queue must feed the alias, not the newest code."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.queue.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "One bad message must not fail its batch."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.queue.batch_size == 10 && aws_lambda_event_source_mapping.queue.scaling_config[0].maximum_concurrency == 10
    error_message = "Ten messages to an invocation, ten invocations at once."
  }
}

run "its_own_alarms_reach_somebody" {
  command = plan

  assert {
    condition     = alltrue([for alarm in [aws_cloudwatch_metric_alarm.batch_item_failures, aws_cloudwatch_metric_alarm.change_lag] : alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:111122223333:bbws-product-alerts-dev"]) && strcontains(alarm.alarm_description, "Runbook: https://example.com/runbooks/")])
    error_message = "Each alarm must go to the alerts topic and say where its runbook is."
  }

  assert {
    condition     = alltrue([for alarm in [aws_cloudwatch_metric_alarm.batch_item_failures, aws_cloudwatch_metric_alarm.change_lag] : alarm.namespace == "ProductCatalogue" && alarm.dimensions == tomap({ FunctionName = "bbws-product-creator-dev" })])
    error_message = "The function's own metrics are in ProductCatalogue, by FunctionName."
  }
}

run "refuses_a_timeout_beyond_a_sixth_of_the_queues" {
  command = plan

  variables {
    timeout_seconds = 11
  }

  expect_failures = [aws_lambda_event_source_mapping.queue]
}

run "refuses_a_batch_that_needs_a_window" {
  command = plan

  variables {
    batch_size = 11
  }

  expect_failures = [var.batch_size]
}

run "refuses_a_concurrency_that_sqs_does_not_take" {
  command = plan

  variables {
    maximum_concurrency = 1
  }

  expect_failures = [var.maximum_concurrency]
}

run "refuses_a_lag_threshold_of_nothing" {
  command = plan

  variables {
    change_lag_p95_threshold_ms = 0
  }

  expect_failures = [var.change_lag_p95_threshold_ms]
}
