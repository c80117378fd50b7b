# get-product reads one product (GET /v1.0/products/{productId}), its changes (/changes below it) and one change
# (/changes/{eventId}). Everything specific to this function is here and in iam.tf; the other files are the same in every
# function's repository.
locals {
  repository    = "get-product"
  function_name = "bbws-get-product-${var.environment}"
  description   = "GET /v1.0/products/{productId}, its changes, and one change"

  environment_variables = {
    TABLE_NAME = local.infrastructure.dynamodb_table_name
  }

  # By name, which is part of the permission's ID. Path parameters appear as `*` in a permission's source.
  routes = {
    get          = { http_method = "GET", resource_id = local.infrastructure.product_resource_id, path = "/products/*" }
    list-changes = { http_method = "GET", resource_id = local.infrastructure.product_changes_resource_id, path = "/products/*/changes" }
    get-change   = { http_method = "GET", resource_id = local.infrastructure.product_change_resource_id, path = "/products/*/changes/*" }
  }

  # In alarm descriptions.
  urgency = "NOW"
  impact  = "clients can't read products, or wait for them."

  further_alarm_names = []
}
