# The place of the API key, empty here. The value is written by the root in api-keys/, whose state no function's
# deployment can read; in this root's state, which all seven read, it would be open to each of them.
resource "aws_secretsmanager_secret" "api_key" {
  # checkov:skip=CKV_AWS_149:the AWS-managed key serves this account alone, and IAM says who in it reads the secret
  # checkov:skip=CKV2_AWS_57:rotated by deploying api-keys with a further generation: a timer can't move the clients over
  name        = "bbws/product-api/key-${var.environment}"
  description = "Current API key of the product catalogue"
  # A deleted secret keeps its name until the window ends; dev is taken down and set up again within minutes.
  recovery_window_in_days = var.environment == "dev" ? 0 : 7
}
