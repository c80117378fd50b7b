# list-products answers GET /v1.0/products. All that is particular to this function is here and in iam.tf; the other
# files are the same in every function's repository.
locals {
  repository    = "list-products"
  function_name = "bbws-list-products-${var.environment}"
  description   = "GET /v1.0/products: active products, page by page"

  environment_variables = {
    TABLE_NAME  = local.infrastructure.dynamodb_table_name
    LIST_SHARDS = tostring(local.infrastructure.list_shards)
  }

  http_method = "GET"
  resource_id = local.infrastructure.products_resource_id
  route       = "/products"

  further_alarm_names = []
}
