# list-products lists products (GET /v1.0/products) and serves the feed of changed ones (GET /v1.0/products/changes).
# Everything specific to this function is here and in iam.tf; the other files are the same in every function's repository.
locals {
  repository    = "list-products"
  function_name = "bbws-list-products-${var.environment}"
  description   = "GET /v1.0/products and /v1.0/products/changes"

  environment_variables = {
    TABLE_NAME  = local.infrastructure.dynamodb_table_name
    LIST_SHARDS = tostring(local.infrastructure.list_shards)
  }

  # By name, which is part of the permission's ID. Path parameters appear as `*` in a permission's source.
  routes = {
    list = { http_method = "GET", resource_id = local.infrastructure.products_resource_id, path = "/products" }
    feed = { http_method = "GET", resource_id = local.infrastructure.feed_resource_id, path = "/products/changes" }
  }

  # In alarm descriptions.
  urgency = "NOW"
  impact  = "clients can't list products, or wait for lists."

  further_alarm_names = []
}
