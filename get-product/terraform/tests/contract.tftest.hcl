# What is particular to get-product: its name, its configuration, what it may call and what calls it.

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
    condition     = output.function_name == "bbws-get-product-dev" && output.log_group_name == "/aws/lambda/bbws-get-product-dev"
    error_message = "The function's name is a contract."
  }

  assert {
    condition     = output.alarm_names == tolist(["bbws-get-product-dev-duration-p95", "bbws-get-product-dev-errors"])
    error_message = "The alarms' names are a contract."
  }
}

run "is_told_what_it_needs_and_no_more" {
  command = plan

  assert {
    condition = aws_lambda_function.this.environment[0].variables == tomap({
      LOG_LEVEL  = "info"
      TABLE_NAME = "products"
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
      "dynamodb:GetItem" = sort(["arn:aws:dynamodb:eu-west-1:111122223333:table/products"])
      "dynamodb:Query"   = sort(["arn:aws:dynamodb:eu-west-1:111122223333:table/products"])
    }
    error_message = "The role's calls are those of the function's adapters."
  }
}

run "serves_its_routes_with_a_key_through_the_alias" {
  assert {
    condition = { for name, method in aws_api_gateway_method.route : name => "${method.http_method} ${method.resource_id}" if method.api_key_required } == {
      get          = "GET product002"
      list-changes = "GET changes003"
      get-change   = "GET change0004"
    }
    error_message = "Each route is a method on a resource, with an API key."
  }

  assert {
    condition     = alltrue([for integration in aws_api_gateway_integration.route : integration.type == "AWS_PROXY" && integration.integration_http_method == "POST" && integration.uri == aws_lambda_alias.live.invoke_arn])
    error_message = "API Gateway must call the alias, not the newest code."
  }

  assert {
    condition     = alltrue([for integration in aws_api_gateway_integration.route : integration.timeout_milliseconds < var.timeout_seconds * 1000])
    error_message = "API Gateway must respond before Lambda ends the function."
  }

  assert {
    condition = { for name, permission in aws_lambda_permission.api : name => permission.source_arn if permission.qualifier == "live" } == {
      get          = "arn:aws:execute-api:eu-west-1:111122223333:api1234567/dev/GET/v1.0/products/*"
      list-changes = "arn:aws:execute-api:eu-west-1:111122223333:api1234567/dev/GET/v1.0/products/*/changes"
      get-change   = "arn:aws:execute-api:eu-west-1:111122223333:api1234567/dev/GET/v1.0/products/*/changes/*"
    }
    error_message = "Only this API's methods on this stage may call the function, each by a permission of its own."
  }
}
