# The REST API without its product methods: each function brings its own method and integration. What is here is what
# they share: the resources, the form of errors, the stage and the usage plan.
locals {
  api_base_path = "/v1.0"
  api_stage     = var.environment
}

resource "aws_api_gateway_rest_api" "product" {
  # checkov:skip=CKV_AWS_237:nothing in it forces a replacement, and the functions' methods, in states of their own, would stay behind
  name        = "bbws-product-api-${var.environment}"
  description = "Product catalogue"

  # Both directions: a request body with `Content-Encoding: gzip` is decompressed before a function reads it, and a
  # response of at least this many bytes is compressed for a client that accepts it. Shorter ones gain nothing.
  minimum_compression_size = 1024

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_resource" "version" {
  rest_api_id = aws_api_gateway_rest_api.product.id
  parent_id   = aws_api_gateway_rest_api.product.root_resource_id
  path_part   = trimprefix(local.api_base_path, "/")
}

resource "aws_api_gateway_resource" "products" {
  rest_api_id = aws_api_gateway_rest_api.product.id
  parent_id   = aws_api_gateway_resource.version.id
  path_part   = "products"
}

# A product's ID is a UUID, so `changes` can't be one. API Gateway prefers a literal path part to a parameter.
resource "aws_api_gateway_resource" "feed" {
  rest_api_id = aws_api_gateway_rest_api.product.id
  parent_id   = aws_api_gateway_resource.products.id
  path_part   = "changes"
}

resource "aws_api_gateway_resource" "product" {
  rest_api_id = aws_api_gateway_rest_api.product.id
  parent_id   = aws_api_gateway_resource.products.id
  path_part   = "{productId}"
}

resource "aws_api_gateway_resource" "product_changes" {
  rest_api_id = aws_api_gateway_rest_api.product.id
  parent_id   = aws_api_gateway_resource.product.id
  path_part   = "changes"
}

resource "aws_api_gateway_resource" "product_change" {
  rest_api_id = aws_api_gateway_rest_api.product.id
  parent_id   = aws_api_gateway_resource.product_changes.id
  path_part   = "{eventId}"
}

# GET and HEAD /v1.0/health: whether the API itself is up. API Gateway responds by itself, without a key: a load balancer
# or an uptime probe holds none. Says nothing about the functions; the alarms do.
locals {
  health_methods = toset(["GET", "HEAD"])
}

resource "aws_api_gateway_resource" "health" {
  rest_api_id = aws_api_gateway_rest_api.product.id
  parent_id   = aws_api_gateway_resource.version.id
  path_part   = "health"
}

resource "aws_api_gateway_method" "health" {
  # checkov:skip=CKV_AWS_59:a mock: there is no back end behind it
  # checkov:skip=CKV2_AWS_53:a mock: it reads nothing of the request
  for_each = local.health_methods

  rest_api_id      = aws_api_gateway_rest_api.product.id
  resource_id      = aws_api_gateway_resource.health.id
  http_method      = each.key
  authorization    = "NONE"
  api_key_required = false
}

resource "aws_api_gateway_integration" "health" {
  for_each = local.health_methods

  rest_api_id       = aws_api_gateway_rest_api.product.id
  resource_id       = aws_api_gateway_resource.health.id
  http_method       = aws_api_gateway_method.health[each.key].http_method
  type              = "MOCK"
  request_templates = { "application/json" = jsonencode({ statusCode = 200 }) }
  # A probe that declares another media type gets a 415. By default its body would go to the mock, which can't read it: a
  # 500, and the api-5xx alarm.
  passthrough_behavior = "NEVER"
}

resource "aws_api_gateway_method_response" "health" {
  for_each = local.health_methods

  rest_api_id     = aws_api_gateway_rest_api.product.id
  resource_id     = aws_api_gateway_resource.health.id
  http_method     = aws_api_gateway_method.health[each.key].http_method
  status_code     = "200"
  response_models = { "application/json" = "Empty" }
  response_parameters = {
    "method.response.header.Cache-Control" = false
    "method.response.header.X-Request-Id"  = false
  }
}

resource "aws_api_gateway_integration_response" "health" {
  for_each = local.health_methods

  rest_api_id        = aws_api_gateway_rest_api.product.id
  resource_id        = aws_api_gateway_resource.health.id
  http_method        = aws_api_gateway_method.health[each.key].http_method
  status_code        = aws_api_gateway_method_response.health[each.key].status_code
  response_templates = { "application/json" = jsonencode({ status = "ok" }) }
  response_parameters = {
    "method.response.header.Cache-Control" = "'no-store'"
    "method.response.header.X-Request-Id"  = "context.requestId"
  }

  depends_on = [aws_api_gateway_integration.health]
}

# Every other method of a known resource is a 405 that lists the allowed ones (RFC 9110, 15.5.6). By default, API Gateway
# responds that a token is missing. A resource's own method, such as a function's, takes precedence over ANY.
locals {
  allowed_methods = {
    products        = { resource_id = aws_api_gateway_resource.products.id, methods = "GET, POST", key_required = true }
    feed            = { resource_id = aws_api_gateway_resource.feed.id, methods = "GET", key_required = true }
    product         = { resource_id = aws_api_gateway_resource.product.id, methods = "GET, PUT, PATCH, DELETE", key_required = true }
    product_changes = { resource_id = aws_api_gateway_resource.product_changes.id, methods = "GET", key_required = true }
    product_change  = { resource_id = aws_api_gateway_resource.product_change.id, methods = "GET", key_required = true }
    health          = { resource_id = aws_api_gateway_resource.health.id, methods = "GET, HEAD", key_required = false }
  }
}

resource "aws_api_gateway_method" "other" {
  # checkov:skip=CKV_AWS_59:a mock: there is no back end behind it
  # checkov:skip=CKV2_AWS_53:a mock: it reads nothing of the request
  for_each = local.allowed_methods

  rest_api_id      = aws_api_gateway_rest_api.product.id
  resource_id      = each.value.resource_id
  http_method      = "ANY"
  authorization    = "NONE"
  api_key_required = each.value.key_required
}

resource "aws_api_gateway_integration" "other" {
  for_each = local.allowed_methods

  rest_api_id       = aws_api_gateway_rest_api.product.id
  resource_id       = each.value.resource_id
  http_method       = aws_api_gateway_method.other[each.key].http_method
  type              = "MOCK"
  request_templates = { "application/json" = jsonencode({ statusCode = 405 }) }
  # A body of another media type is a 415. By default it would go to the mock, which can't read it: a 500.
  passthrough_behavior = "NEVER"
}

resource "aws_api_gateway_method_response" "other" {
  for_each = local.allowed_methods

  rest_api_id     = aws_api_gateway_rest_api.product.id
  resource_id     = each.value.resource_id
  http_method     = aws_api_gateway_method.other[each.key].http_method
  status_code     = "405"
  response_models = { "application/json" = "Empty" }
  response_parameters = {
    "method.response.header.Allow"         = false
    "method.response.header.Cache-Control" = false
    "method.response.header.X-Request-Id"  = false
  }
}

resource "aws_api_gateway_integration_response" "other" {
  for_each = local.allowed_methods

  rest_api_id = aws_api_gateway_rest_api.product.id
  resource_id = each.value.resource_id
  http_method = aws_api_gateway_method.other[each.key].http_method
  status_code = aws_api_gateway_method_response.other[each.key].status_code
  response_templates = {
    "application/json" = jsonencode({
      error = {
        code      = "METHOD_NOT_ALLOWED"
        message   = "Method not allowed. Allowed: ${each.value.methods}"
        requestId = "$context.requestId"
      }
    })
  }
  response_parameters = {
    "method.response.header.Allow"         = "'${each.value.methods}'"
    "method.response.header.Cache-Control" = "'no-store'"
    "method.response.header.X-Request-Id"  = "context.requestId"
  }

  depends_on = [aws_api_gateway_integration.other]
}

# Errors that API Gateway returns by itself, in the same envelope and with the same messages as the functions' own. The
# gateway's own messages (`$context.error.message`) mention AWS, and some of them its configuration.
locals {
  messages = {
    forbidden   = "Access denied."
    internal    = "An internal error occurred."
    not_found   = "Resource not found."
    unavailable = "The service is temporarily unavailable. Retry later."
  }

  gateway_responses = {
    # A route that doesn't exist. API Gateway calls it a missing token and returns 403, which would send a client with a
    # typo in the path looking for a fault in the key.
    MISSING_AUTHENTICATION_TOKEN = { status = 404, code = "NOT_FOUND", message = local.messages.not_found }
    RESOURCE_NOT_FOUND           = { status = 404, code = "NOT_FOUND", message = local.messages.not_found }

    INVALID_API_KEY   = { status = 403, code = "FORBIDDEN", message = "The x-api-key header is missing or its API key is invalid." }
    ACCESS_DENIED     = { status = 403, code = "FORBIDDEN", message = local.messages.forbidden }
    UNAUTHORIZED      = { status = 403, code = "FORBIDDEN", message = local.messages.forbidden }
    EXPIRED_TOKEN     = { status = 403, code = "FORBIDDEN", message = local.messages.forbidden }
    INVALID_SIGNATURE = { status = 403, code = "FORBIDDEN", message = local.messages.forbidden }
    WAF_FILTERED      = { status = 403, code = "FORBIDDEN", message = local.messages.forbidden }

    BAD_REQUEST_BODY       = { status = 400, code = "INVALID_REQUEST", message = "Malformed request." }
    BAD_REQUEST_PARAMETERS = { status = 400, code = "INVALID_PARAMETER", message = "One or more query parameters are invalid." }
    REQUEST_TOO_LARGE      = { status = 413, code = "PAYLOAD_TOO_LARGE", message = "The request body exceeds 64 KiB." }
    UNSUPPORTED_MEDIA_TYPE = { status = 415, code = "UNSUPPORTED_MEDIA_TYPE", message = "Unsupported media type or content encoding." }

    THROTTLED      = { status = 429, code = "TOO_MANY_REQUESTS", message = "Too many requests. Retry later.", retry_after = 1 }
    QUOTA_EXCEEDED = { status = 429, code = "TOO_MANY_REQUESTS", message = "The API key's quota is exhausted.", retry_after = 3600 }

    INTEGRATION_FAILURE            = { status = 503, code = "SERVICE_UNAVAILABLE", message = local.messages.unavailable, retry_after = 1 }
    INTEGRATION_TIMEOUT            = { status = 503, code = "SERVICE_UNAVAILABLE", message = local.messages.unavailable, retry_after = 1 }
    API_CONFIGURATION_ERROR        = { status = 500, code = "INTERNAL_ERROR", message = local.messages.internal }
    AUTHORIZER_CONFIGURATION_ERROR = { status = 500, code = "INTERNAL_ERROR", message = local.messages.internal }
    AUTHORIZER_FAILURE             = { status = 500, code = "INTERNAL_ERROR", message = local.messages.internal }

    # Whatever has no entry above, such as a malformed Authorization header. The status is fixed so that status and code
    # can't disagree.
    DEFAULT_4XX = { status = 400, code = "INVALID_REQUEST", message = "Malformed request." }
    DEFAULT_5XX = { status = 500, code = "INTERNAL_ERROR", message = local.messages.internal }
  }
}

resource "aws_api_gateway_gateway_response" "error" {
  for_each = local.gateway_responses

  rest_api_id   = aws_api_gateway_rest_api.product.id
  response_type = each.key
  status_code   = tostring(each.value.status)

  response_templates = {
    "application/json" = jsonencode({
      error = {
        code      = each.value.code
        message   = each.value.message
        requestId = "$context.requestId"
      }
    })
  }

  response_parameters = merge(
    {
      "gatewayresponse.header.Cache-Control" = "'no-store'"
      "gatewayresponse.header.X-Request-Id"  = "context.requestId"
    },
    try({ "gatewayresponse.header.Retry-After" = "'${each.value.retry_after}'" }, {}),
  )
}

# A first deployment, because a stage needs one. Later ones are made by whoever changes the API (this root's pipeline,
# or a function's when its method changes) with `create-deployment`. A trigger here could not do it: it cannot see the
# functions' methods, and replacing the deployment that a stage still serves fails.
resource "aws_api_gateway_deployment" "first" {
  # checkov:skip=CKV_AWS_217:never replaced; and the order would spread to the responses it depends on, where deleting the old one deletes the new
  rest_api_id = aws_api_gateway_rest_api.product.id
  description = "First deployment: health alone"

  depends_on = [
    aws_api_gateway_integration_response.health,
    aws_api_gateway_integration_response.other,
    aws_api_gateway_gateway_response.error,
  ]
}

resource "aws_api_gateway_stage" "api" {
  # checkov:skip=CKV_AWS_120:a cached answer would be an old one: a client's If-Match would name a version that is no longer there
  # checkov:skip=CKV2_AWS_29:nothing but the health check answers without a key, and each key has its limits; a web ACL can be put before the stage
  # checkov:skip=CKV2_AWS_4:the level is ERROR; the rule also wants a metric for each method, which costs money and nothing reads
  # checkov:skip=CKV2_AWS_51:a client certificate is for HTTP back ends; Lambda functions are invoked by IAM
  rest_api_id          = aws_api_gateway_rest_api.product.id
  deployment_id        = aws_api_gateway_deployment.first.id
  stage_name           = local.api_stage
  description          = "The product catalogue's API in ${var.environment}"
  xray_tracing_enabled = true

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api_access.arn
    # Neither the path as requested nor the query: resource and status are enough to operate by, and names or ids that a
    # client puts into a URL stay out of the log. Never $context.identity.apiKey, which is the key itself.
    format = jsonencode({
      requestId          = "$context.requestId"
      requestTime        = "$context.requestTime"
      apiKeyId           = "$context.identity.apiKeyId"
      sourceIp           = "$context.identity.sourceIp"
      httpMethod         = "$context.httpMethod"
      resourcePath       = "$context.resourcePath"
      status             = "$context.status"
      responseLength     = "$context.responseLength"
      responseLatency    = "$context.responseLatency"
      integrationLatency = "$context.integrationLatency"
      integrationStatus  = "$context.integrationStatus"
      errorType          = "$context.error.responseType"
      xrayTraceId        = "$context.xrayTraceId"
    })
  }

  depends_on = [aws_api_gateway_account.logging, aws_cloudwatch_log_group.api_execution]

  lifecycle {
    # Moved by `create-deployment`, see above.
    ignore_changes = [deployment_id]
  }
}

resource "aws_api_gateway_method_settings" "all" {
  # checkov:skip=CKV_AWS_225:not cached, as the stage says
  rest_api_id = aws_api_gateway_rest_api.product.id
  stage_name  = aws_api_gateway_stage.api.stage_name
  method_path = "*/*"

  settings {
    # Metrics per method would cost USD 0.30 a month each, and nothing reads them: alarms and dashboard read the stage's,
    # which are free and always there.
    metrics_enabled = false
    logging_level   = "ERROR"
    # Would write whole requests, keys and bodies included, into the execution log.
    data_trace_enabled = false
    # The account's own limits. Clients are limited one by one, by the usage plan.
    throttling_rate_limit  = 10000
    throttling_burst_limit = 5000
  }
}

resource "aws_api_gateway_method_settings" "health" {
  # checkov:skip=CKV_AWS_225:a health check from a cache would say nothing
  for_each = local.health_methods

  rest_api_id = aws_api_gateway_rest_api.product.id
  stage_name  = aws_api_gateway_stage.api.stage_name
  # API Gateway reads this as part of a JSON Pointer, in which a slash of the path itself is `~1`. With plain slashes the
  # settings of a nested resource are accepted and never applied.
  method_path = "${replace("${local.api_base_path}/${aws_api_gateway_resource.health.path_part}", "/", "~1")}/${aws_api_gateway_method.health[each.key].http_method}"

  settings {
    metrics_enabled    = false
    logging_level      = "ERROR"
    data_trace_enabled = false
    # The one call that no usage plan limits.
    throttling_rate_limit  = 50
    throttling_burst_limit = 100
  }

  depends_on = [aws_api_gateway_method_settings.all]
}

resource "aws_api_gateway_usage_plan" "product" {
  name        = "bbws-product-api-${var.environment}"
  description = "Limits of one API key"

  api_stages {
    api_id = aws_api_gateway_rest_api.product.id
    stage  = aws_api_gateway_stage.api.stage_name
  }

  throttle_settings {
    rate_limit  = var.throttle_rate_limit
    burst_limit = var.throttle_burst_limit
  }
}

resource "aws_cloudwatch_log_group" "api_access" {
  # checkov:skip=CKV_AWS_158:CloudWatch encrypts every log group with a key of its own; no body, name or key of a client is logged
  # checkov:skip=CKV_AWS_338:for operating, not for evidence: what must last is in the audit bucket, and a log can hold source addresses
  name              = "/aws/apigateway/bbws-product-api-${var.environment}"
  retention_in_days = 90
}

# The execution log's name is API Gateway's choice. Made here first: the group that API Gateway would make itself keeps its
# log for ever.
resource "aws_cloudwatch_log_group" "api_execution" {
  # checkov:skip=CKV_AWS_158:CloudWatch encrypts every log group with a key of its own; no body, name or key of a client is logged
  # checkov:skip=CKV_AWS_338:for operating, not for evidence: what must last is in the audit bucket, and a log can hold source addresses
  name              = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.product.id}/${local.api_stage}"
  retention_in_days = 90
}

# API Gateway may log only when the account names a role for it: one setting for the whole account and region, which is
# ours to make because the account is the environment.
resource "aws_api_gateway_account" "logging" {
  cloudwatch_role_arn = aws_iam_role.api_logging.arn

  depends_on = [aws_iam_role_policy_attachment.api_logging]
}

resource "aws_iam_role" "api_logging" {
  name               = "bbws-product-api-logging-${var.environment}"
  description        = "Assumed by API Gateway to write access and execution logs"
  assume_role_policy = data.aws_iam_policy_document.api_logging_trust.json
  # The pipeline may create and change this role only with the boundary, which it can't change itself.
  permissions_boundary = local.service_boundary_arn
}

data "aws_iam_policy_document" "api_logging_trust" {
  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["apigateway.amazonaws.com"]
    }
  }
}

# AWS's own policy for this purpose: API Gateway tests the role for its exact actions before it accepts it.
resource "aws_iam_role_policy_attachment" "api_logging" {
  role       = aws_iam_role.api_logging.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}
