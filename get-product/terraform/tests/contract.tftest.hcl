# What is particular to get-product: its name, its configuration, what it may call and what calls it.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_data {
  target = data.terraform_remote_state.infrastructure

  values = {
    outputs = {
      contract_version                 = "1"
      environment                      = "dev"
      api_gateway_id                   = "api1234567"
      api_gateway_execution_arn        = "arn:aws:execute-api:eu-west-1:111122223333:api1234567"
      api_stage_name                   = "dev"
      api_base_path                    = "/v1.0"
      products_resource_id             = "products01"
      product_resource_id              = "product002"
      dynamodb_table_name              = "products"
      dynamodb_table_arn               = "arn:aws:dynamodb:eu-west-1:111122223333:table/products"
      products_price_index_name        = "ProductsByPriceIndex"
      products_name_index_name         = "ProductsByNameIndex"
      list_shards                      = 4
      sqs_queue_url                    = "https://sqs.eu-west-1.amazonaws.com/111122223333/bbws-product-change-dev"
      sqs_queue_arn                    = "arn:aws:sqs:eu-west-1:111122223333:bbws-product-change-dev"
      audit_queue_arn                  = "arn:aws:sqs:eu-west-1:111122223333:bbws-product-audit-dev"
      queue_visibility_timeout_seconds = 60
      s3_audit_bucket_name             = "bbws-product-audit-logs-dev"
      s3_audit_bucket_arn              = "arn:aws:s3:::bbws-product-audit-logs-dev"
      sns_topic_arn                    = "arn:aws:sns:eu-west-1:111122223333:bbws-product-alerts-dev"
      permission_boundary_arn          = "arn:aws:iam::111122223333:policy/bbws-product-function-boundary-dev"
      logs_policy_arn                  = "arn:aws:iam::111122223333:policy/bbws-product-function-logs-dev"
    }
  }
}

variables {
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
    }
    error_message = "The role's calls are those of the function's adapters."
  }
}

run "answers_get_with_a_key_through_the_alias" {
  assert {
    condition     = aws_api_gateway_method.this.http_method == "GET" && aws_api_gateway_method.this.resource_id == "product002" && aws_api_gateway_method.this.api_key_required
    error_message = "The method is GET on /v1.0/products/{productId}, with an API key."
  }

  assert {
    condition     = aws_api_gateway_integration.this.type == "AWS_PROXY" && aws_api_gateway_integration.this.integration_http_method == "POST" && aws_api_gateway_integration.this.uri == aws_lambda_alias.live.invoke_arn
    error_message = "API Gateway must call the alias, not the newest code."
  }

  assert {
    condition     = aws_api_gateway_integration.this.timeout_milliseconds < var.timeout_seconds * 1000
    error_message = "API Gateway must answer before Lambda ends the function."
  }

  assert {
    condition     = aws_lambda_permission.api.qualifier == "live" && aws_lambda_permission.api.source_arn == "arn:aws:execute-api:eu-west-1:111122223333:api1234567/dev/GET/v1.0/products/*"
    error_message = "Only this API's GET /v1.0/products/* on this stage may call the function."
  }
}
