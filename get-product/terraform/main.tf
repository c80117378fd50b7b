# get-product answers GET /v1.0/products/{productId}. All that is particular to this function is here and in iam.tf;
# the other files are the same in every function's repository.
locals {
  repository    = "get-product"
  function_name = "bbws-get-product-${var.environment}"
  description   = "GET /v1.0/products/{productId}: one product"

  environment_variables = {
    TABLE_NAME = local.infrastructure.dynamodb_table_name
  }

  http_method = "GET"
  resource_id = local.infrastructure.product_resource_id
  route       = "/products/*"

  further_alarm_names = []
}
