# update-product answers PUT /v1.0/products/{productId}. All that is particular to this function is here and in
# iam.tf; the other files are the same in every function's repository.
locals {
  repository    = "update-product"
  function_name = "bbws-update-product-${var.environment}"
  description   = "PUT /v1.0/products/{productId}: accepts a full replacement"

  environment_variables = {
    TABLE_NAME       = local.infrastructure.dynamodb_table_name
    CHANGE_QUEUE_URL = local.infrastructure.sqs_queue_url
  }

  http_method = "PUT"
  resource_id = local.infrastructure.product_resource_id
  route       = "/products/*"

  further_alarm_names = []
}
