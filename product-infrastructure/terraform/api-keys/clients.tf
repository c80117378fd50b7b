# Further clients, each with keys, a usage plan and a secret of its own, so that one client's load, rotation or withdrawal
# doesn't touch another. The default client's key is in main.tf: its secret and its usage plan are the infrastructure's.
locals {
  client_generations = {
    for client in keys(var.clients) : client => try(var.client_key_generations[client], { key_generations = [1], disabled_generations = [] })
  }
  # The ends of the keys' names: CLIENT-GENERATION. scripts/register-keys.sh reads client and generation from the name.
  client_keys = merge([
    for client, generations in local.client_generations : {
      for generation in generations.key_generations : "${client}-${generation}" => {
        client     = client
        generation = generation
        enabled    = var.clients[client].enabled && !contains(generations.disabled_generations, generation)
      }
    }
  ]...)
  # The name of the current generation's key, by client.
  current_client_keys = {
    for client, generations in local.client_generations : client => "${client}-${generations.key_generations[length(generations.key_generations) - 1]}"
  }
}

resource "aws_api_gateway_api_key" "client" {
  for_each = local.client_keys

  name        = "bbws-product-api-${var.environment}-${each.key}"
  description = "Product catalogue, ${var.environment}, client ${each.value.client}, generation ${each.value.generation}"
  enabled     = each.value.enabled

  # The account check comes before anything is made.
  depends_on = [data.aws_caller_identity.current]
}

# A client's two keys share its plan during a rotation. API Gateway applies a plan's throttle to each key, not to their sum.
resource "aws_api_gateway_usage_plan" "client" {
  for_each = var.clients

  name        = "bbws-product-api-${var.environment}-${each.key}"
  description = "Limits of client ${each.key}"

  api_stages {
    api_id = local.infrastructure.api_gateway_id
    stage  = local.infrastructure.api_stage_name
  }

  throttle_settings {
    rate_limit  = each.value.rate_limit
    burst_limit = each.value.burst_limit
  }

  depends_on = [data.aws_caller_identity.current]
}

resource "aws_api_gateway_usage_plan_key" "client" {
  for_each = local.client_keys

  key_id        = aws_api_gateway_api_key.client[each.key].id
  key_type      = "API_KEY"
  usage_plan_id = aws_api_gateway_usage_plan.client[each.value.client].id
}

resource "aws_secretsmanager_secret" "client" {
  # checkov:skip=CKV_AWS_149:the AWS-managed key serves this account alone, and IAM says who in it reads the secret
  # checkov:skip=CKV2_AWS_57:rotated by deploying a further generation: a timer can't move the client over
  for_each = var.clients

  name        = "bbws/product-api/key-${var.environment}/${each.key}"
  description = "Current API key of client ${each.key}"
  # Until the window ends, a client that was removed by mistake has its secret restored, and its name can't be used again.
  recovery_window_in_days = var.environment == "dev" ? 0 : 7

  depends_on = [data.aws_caller_identity.current]
}

# Write-only, as in main.tf.
resource "aws_secretsmanager_secret_version" "client" {
  for_each = local.current_client_keys

  secret_id                = aws_secretsmanager_secret.client[each.key].id
  secret_string_wo         = aws_api_gateway_api_key.client[each.value].value
  secret_string_wo_version = local.client_keys[each.value].generation

  # Nobody should fetch a key that does not open anything yet.
  depends_on = [aws_api_gateway_usage_plan_key.client]
}
