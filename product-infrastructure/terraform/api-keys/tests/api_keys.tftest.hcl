mock_provider "aws" {
  source = "./tests/mocks"
}

override_data {
  target = data.terraform_remote_state.infrastructure

  values = {
    outputs = {
      contract_version    = "2"
      environment         = "dev"
      api_gateway_id      = "api01"
      api_stage_name      = "dev"
      usage_plan_id       = "plan01"
      api_key_secret_arn  = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:bbws/product-api/key-dev-AbCdEf"
      api_key_secret_name = "bbws/product-api/key-dev"
    }
  }
}

variables {
  account_id  = "111122223333"
  environment = "dev"
}

run "one_key_in_the_plan_and_in_the_secret" {
  assert {
    condition     = keys(aws_api_gateway_api_key.product) == ["1"] && aws_api_gateway_usage_plan_key.product["1"].usage_plan_id == "plan01"
    error_message = "The key must belong to the usage plan, or it opens nothing."
  }

  assert {
    condition     = endswith(aws_secretsmanager_secret_version.api_key.secret_id, "secret:bbws/product-api/key-dev-AbCdEf") && aws_secretsmanager_secret_version.api_key.secret_string_wo_version == 1
    error_message = "The secret must be sent the current key."
  }

  assert {
    condition     = aws_secretsmanager_secret_version.api_key.secret_string == null
    error_message = "The secret's value must not be in the state."
  }

  assert {
    condition     = output.secret_name == "bbws/product-api/key-dev" && output.api_key_id == aws_api_gateway_api_key.product["1"].id
    error_message = "Outputs name the key; they never hold it."
  }
}

run "both_generations_are_valid_during_a_rotation" {
  variables {
    key_generations = [1, 2]
  }

  assert {
    condition     = keys(aws_api_gateway_api_key.product) == ["1", "2"] && length(aws_api_gateway_usage_plan_key.product) == 2
    error_message = "Clients that still hold the old key must go on working."
  }

  assert {
    condition     = alltrue([for key in aws_api_gateway_api_key.product : key.enabled])
    error_message = "Nothing is disabled unless it is said."
  }

  assert {
    condition     = aws_secretsmanager_secret_version.api_key.secret_string_wo_version == 2 && output.api_key_id == aws_api_gateway_api_key.product["2"].id
    error_message = "The secret must move on to the new key."
  }
}

run "the_old_generation_is_disabled_before_it_goes" {
  variables {
    key_generations      = [1, 2]
    disabled_generations = [1]
  }

  assert {
    condition     = !aws_api_gateway_api_key.product["1"].enabled && aws_api_gateway_api_key.product["2"].enabled
    error_message = "The old key must open nothing, the current one must."
  }

  assert {
    condition     = keys(aws_api_gateway_usage_plan_key.product) == ["1", "2"] && keys(output.api_key_ids) == ["1", "2"]
    error_message = "The old key must be kept, in its plan, so that it can be enabled again."
  }
}

run "the_old_generation_is_gone_after_a_rotation" {
  variables {
    key_generations = [2]
  }

  assert {
    condition     = keys(aws_api_gateway_api_key.product) == ["2"]
    error_message = "A generation that is not listed must not open anything."
  }
}

run "refuses_no_key" {
  command = plan

  variables {
    key_generations = []
  }

  expect_failures = [var.key_generations]
}

run "refuses_a_rotation_backwards" {
  command = plan

  variables {
    key_generations = [2, 1]
  }

  expect_failures = [var.key_generations]
}

run "refuses_to_disable_the_current_generation" {
  command = plan

  variables {
    key_generations      = [1, 2]
    disabled_generations = [2]
  }

  expect_failures = [var.disabled_generations]
}

run "refuses_to_disable_what_is_not_there" {
  command = plan

  variables {
    key_generations      = [2]
    disabled_generations = [1]
  }

  expect_failures = [var.disabled_generations]
}

run "refuses_half_a_generation" {
  command = plan

  variables {
    key_generations = [1.5]
  }

  expect_failures = [var.key_generations]
}

run "client_has_key_plan_and_secret_of_its_own" {
  variables {
    clients = { shop = { rate_limit = 20, burst_limit = 40 }, "price-feed" = { rate_limit = 0.5, burst_limit = 1 } }
  }

  assert {
    condition     = { for end, key in aws_api_gateway_api_key.client : end => key.name } == { "price-feed-1" = "bbws-product-api-dev-price-feed-1", "shop-1" = "bbws-product-api-dev-shop-1" }
    error_message = "Each client must have a key that is named after it."
  }

  assert {
    condition     = aws_api_gateway_usage_plan.client["shop"].throttle_settings[0].rate_limit == 20 && aws_api_gateway_usage_plan.client["price-feed"].throttle_settings[0].burst_limit == 1
    error_message = "Each client must have the throttle that it is given."
  }

  assert {
    condition     = alltrue([for plan in aws_api_gateway_usage_plan.client : alltrue([for stage in plan.api_stages : stage.api_id == "api01" && stage.stage == "dev"])])
    error_message = "A client's plan must open the API's stage."
  }

  assert {
    condition     = aws_api_gateway_usage_plan_key.client["shop-1"].usage_plan_id == aws_api_gateway_usage_plan.client["shop"].id
    error_message = "A client's key must belong to its own plan."
  }

  assert {
    condition     = aws_secretsmanager_secret.client["shop"].name == "bbws/product-api/key-dev/shop" && aws_secretsmanager_secret_version.client["shop"].secret_string == null
    error_message = "A client's key must be in its own secret, and not in the state of that secret."
  }

  assert {
    condition     = keys(aws_api_gateway_api_key.product) == ["1"] && output.secret_name == "bbws/product-api/key-dev"
    error_message = "The default client must keep its key and its secret."
  }
}

run "rotation_of_one_client_leaves_the_others_alone" {
  variables {
    clients                = { shop = { rate_limit = 20, burst_limit = 40 }, feed = { rate_limit = 1, burst_limit = 1 } }
    client_key_generations = { shop = { key_generations = [1, 2], disabled_generations = [1] } }
  }

  assert {
    condition     = { for end, key in aws_api_gateway_api_key.client : end => key.enabled } == { "feed-1" = true, "shop-1" = false, "shop-2" = true }
    error_message = "Only the client's old key must be disabled."
  }

  assert {
    condition     = aws_secretsmanager_secret_version.client["shop"].secret_string_wo_version == 2 && aws_secretsmanager_secret_version.client["feed"].secret_string_wo_version == 1
    error_message = "The client's secret must hold its new key, and the other client's secret must stay."
  }
}

run "withdrawn_client_keeps_its_keys_disabled" {
  variables {
    clients                = { shop = { rate_limit = 20, burst_limit = 40, enabled = false } }
    client_key_generations = { shop = { key_generations = [1, 2] } }
  }

  assert {
    condition     = length(aws_api_gateway_api_key.client) == 2 && !anytrue([for key in aws_api_gateway_api_key.client : key.enabled])
    error_message = "None of a withdrawn client's keys must open anything."
  }
}

run "rejects_client_names_that_are_too_long" {
  command = plan

  variables {
    clients = { "a123456789012345678901234567890" = { rate_limit = 1, burst_limit = 1 } }
  }

  expect_failures = [var.clients]
}

run "rejects_client_name_of_digits" {
  command = plan

  # The default client's keys are named by a number alone.
  variables {
    clients = { "1" = { rate_limit = 1, burst_limit = 1 } }
  }

  expect_failures = [var.clients]
}

run "rejects_client_name_with_other_characters" {
  command = plan

  variables {
    clients = { "shop/eu" = { rate_limit = 1, burst_limit = 1 } }
  }

  expect_failures = [var.clients]
}

run "rejects_second_default_client" {
  command = plan

  variables {
    clients = { default = { rate_limit = 1, burst_limit = 1 } }
  }

  expect_failures = [var.clients]
}

run "rejects_client_without_a_rate" {
  command = plan

  variables {
    clients = { shop = { rate_limit = 0, burst_limit = 1 } }
  }

  expect_failures = [var.clients]
}

run "rejects_client_without_a_burst" {
  command = plan

  variables {
    clients = { shop = { rate_limit = 1, burst_limit = 0.5 } }
  }

  expect_failures = [var.clients]
}

run "rejects_generations_of_unknown_client" {
  command = plan

  variables {
    client_key_generations = { shop = { key_generations = [1] } }
  }

  expect_failures = [var.client_key_generations]
}

run "rejects_client_without_a_generation" {
  command = plan

  variables {
    clients                = { shop = { rate_limit = 1, burst_limit = 1 } }
    client_key_generations = { shop = { key_generations = [] } }
  }

  expect_failures = [var.client_key_generations]
}

run "rejects_client_rotation_backwards" {
  command = plan

  variables {
    clients                = { shop = { rate_limit = 1, burst_limit = 1 } }
    client_key_generations = { shop = { key_generations = [2, 1] } }
  }

  expect_failures = [var.client_key_generations]
}

run "rejects_disabling_the_current_generation_of_a_client" {
  command = plan

  variables {
    clients                = { shop = { rate_limit = 1, burst_limit = 1 } }
    client_key_generations = { shop = { key_generations = [1, 2], disabled_generations = [2] } }
  }

  expect_failures = [var.client_key_generations]
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
