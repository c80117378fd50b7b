# The function's methods, on resources that the infrastructure owns. A new or changed method takes effect with the next
# `create-deployment`, which the pipeline calls; a new version of the code only moves the alias.
resource "aws_api_gateway_method" "route" {
  # checkov:skip=CKV2_AWS_53:the function checks what it is sent, and says what is wrong with it; the gateway's validator can't
  for_each = local.routes

  rest_api_id      = local.infrastructure.api_gateway_id
  resource_id      = each.value.resource_id
  http_method      = each.value.http_method
  authorization    = "NONE"
  api_key_required = true
}

resource "aws_api_gateway_integration" "route" {
  for_each = local.routes

  rest_api_id             = local.infrastructure.api_gateway_id
  resource_id             = each.value.resource_id
  http_method             = aws_api_gateway_method.route[each.key].http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST" # Lambda is invoked by POST, whatever the client's method.
  uri                     = aws_lambda_alias.live.invoke_arn
  # Just before Lambda would end the invocation: the client then gets a 503 with Retry-After. After it, a 502 that says
  # nothing.
  timeout_milliseconds = var.timeout_seconds * 1000 - 500
}

resource "aws_lambda_permission" "api" {
  for_each = local.routes

  statement_id  = "AllowApiGateway-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  qualifier     = aws_lambda_alias.live.name
  principal     = "apigateway.amazonaws.com"
  # One stage, one method, one resource. Path parameters appear in it as `*`.
  source_arn = "${local.infrastructure.api_gateway_execution_arn}/${local.infrastructure.api_stage_name}/${each.value.http_method}${local.infrastructure.api_base_path}${each.value.path}"
}
