# The API keys, in a root of its own. A key's value ends up in the state of whatever root makes it (aws_api_gateway_api_key
# holds it, and aws_api_gateway_usage_plan_key holds it without even marking it sensitive). The infrastructure's state is
# read by the deployments of all seven functions; this one's by nobody else.
locals {
  infrastructure     = data.terraform_remote_state.infrastructure.outputs
  current_generation = var.key_generations[length(var.key_generations) - 1]
}

# API Gateway makes up the value. A generation that leaves the list is deleted, which is the end of a rotation: hence no
# prevent_destroy here. Before that it is disabled, which can be taken back; that is declared here as well, because what
# somebody disables by hand the next apply would enable again.
resource "aws_api_gateway_api_key" "product" {
  for_each = toset([for generation in var.key_generations : tostring(generation)])

  name        = "bbws-product-api-${var.environment}-${each.key}"
  description = "Product catalogue, ${var.environment}, generation ${each.key}"
  enabled     = !contains(var.disabled_generations, tonumber(each.key))

  # The account check comes before anything is made.
  depends_on = [data.aws_caller_identity.current]
}

resource "aws_api_gateway_usage_plan_key" "product" {
  for_each = aws_api_gateway_api_key.product

  key_id        = each.value.id
  key_type      = "API_KEY"
  usage_plan_id = local.infrastructure.usage_plan_id
}

# Write-only: the value goes to Secrets Manager without a further copy in the state. It is sent again when the version
# changes, that is, when another generation becomes current.
resource "aws_secretsmanager_secret_version" "api_key" {
  secret_id                = local.infrastructure.api_key_secret_arn
  secret_string_wo         = aws_api_gateway_api_key.product[tostring(local.current_generation)].value
  secret_string_wo_version = local.current_generation

  # Nobody should fetch a key that does not open anything yet.
  depends_on = [aws_api_gateway_usage_plan_key.product]
}
