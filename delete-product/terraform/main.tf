# delete-product serves DELETE /v1.0/products/{productId}. Everything specific to this function is here and in iam.tf; the
# other files are the same in every function's repository.
locals {
  repository    = "delete-product"
  function_name = "bbws-delete-product-${var.environment}"
  description   = "DELETE /v1.0/products/{productId}: accepts a deletion"

  environment_variables = {
    TABLE_NAME       = local.infrastructure.dynamodb_table_name
    CHANGE_QUEUE_URL = local.infrastructure.sqs_queue_url
  }

  # By name, which is part of the permission's ID. Path parameters appear as `*` in a permission's source.
  routes = {
    delete = { http_method = "DELETE", resource_id = local.infrastructure.product_resource_id, path = "/products/*" }
  }

  # In alarm descriptions.
  urgency = "NOW"
  impact  = "clients can't delete products, or wait."

  further_alarm_names = []
}
