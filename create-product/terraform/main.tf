# create-product serves POST /v1.0/products. Everything specific to this function is here and in iam.tf; the other files are
# the same in every function's repository.
locals {
  repository    = "create-product"
  function_name = "bbws-create-product-${var.environment}"
  description   = "POST /v1.0/products: accepts a new product"

  environment_variables = {
    TABLE_NAME       = local.infrastructure.dynamodb_table_name
    CHANGE_QUEUE_URL = local.infrastructure.sqs_queue_url
  }

  # By name, which is part of the permission's ID. Path parameters appear as `*` in a permission's source.
  routes = {
    create = { http_method = "POST", resource_id = local.infrastructure.products_resource_id, path = "/products" }
  }

  # In alarm descriptions.
  urgency = "NOW"
  impact  = "clients can't create products, or wait."

  further_alarm_names = []
}
