resource "aws_lambda_function" "this" {
  # checkov:skip=CKV_AWS_115:reserving takes from the account's other functions; the usage plan and the queue's maximum_concurrency bound this one
  # checkov:skip=CKV_AWS_116:for asynchronous invocations only; the API is answered, and the queues have dead-letter queues of their own
  # checkov:skip=CKV_AWS_117:calls AWS only, over TLS and with IAM; in a VPC it would need an endpoint for each service and protect nothing more
  # checkov:skip=CKV_AWS_173:names and a log level, no secrets; Lambda encrypts them with a key of its own
  # checkov:skip=CKV_AWS_272:the pipeline applies the package that was tested, by its SHA-256; signing would need a profile in each account
  function_name = local.function_name
  description   = local.description
  role          = aws_iam_role.function.arn

  filename         = var.package_path
  source_code_hash = filebase64sha256(var.package_path)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  memory_size      = var.memory_size
  timeout          = var.timeout_seconds
  publish          = true # Each change of code or configuration is a version that `live` can return to.

  environment {
    variables = merge(local.environment_variables, { LOG_LEVEL = var.log_level })
  }

  tracing_config {
    mode = "Active"
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.function.name
    # The function filters its own log by LOG_LEVEL, and Lambda filters what is left by this. Its default, INFO, would hide
    # DEBUG; above INFO it would drop metric lines, which have no level and count as INFO.
    application_log_level = contains(["trace", "debug"], var.log_level) ? upper(var.log_level) : "INFO"
    system_log_level      = "INFO"
  }

  depends_on = [
    aws_iam_role_policy.calls,
    aws_iam_role_policy_attachment.logs,
  ]
}

# What the caller calls. No ignore_changes: a plan shows truthfully which version is live and which one will be.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that serves"
  function_name    = aws_lambda_function.this.function_name
  function_version = coalesce(var.live_version, aws_lambda_function.this.version)
}
