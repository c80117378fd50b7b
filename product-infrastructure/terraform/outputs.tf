# The contract with the functions, which read these through remote state. Nothing secret: all seven deployments can read
# this state. To change a meaning or take one away, raise contract_version.

output "contract_version" {
  description = "Version of this set of outputs."
  value       = local.contract_version
}

output "environment" {
  description = "Environment this state describes."
  value       = var.environment
}

output "aws_region" {
  description = "Region of every resource."
  value       = var.aws_region
}

output "api_gateway_id" {
  description = "ID of the REST API."
  value       = aws_api_gateway_rest_api.product.id
}

output "api_gateway_execution_arn" {
  description = "Execution ARN of the REST API, the beginning of a Lambda permission's source."
  value       = aws_api_gateway_rest_api.product.execution_arn
}

output "api_gateway_root_resource_id" {
  description = "ID of the REST API's root resource."
  value       = aws_api_gateway_rest_api.product.root_resource_id
}

output "products_resource_id" {
  description = "ID of the resource /v1.0/products."
  value       = aws_api_gateway_resource.products.id
}

output "product_resource_id" {
  description = "ID of the resource /v1.0/products/{productId}."
  value       = aws_api_gateway_resource.product.id
}

output "product_changes_resource_id" {
  description = "ID of the resource /v1.0/products/{productId}/changes."
  value       = aws_api_gateway_resource.product_changes.id
}

output "product_change_resource_id" {
  description = "ID of the resource /v1.0/products/{productId}/changes/{eventId}."
  value       = aws_api_gateway_resource.product_change.id
}

output "feed_resource_id" {
  description = "ID of the resource /v1.0/products/changes."
  value       = aws_api_gateway_resource.feed.id
}

output "api_stage_name" {
  description = "Name of the stage that serves the API."
  value       = aws_api_gateway_stage.api.stage_name
}

output "api_base_path" {
  description = "Path that every route begins with."
  value       = local.api_base_path
}

output "api_url" {
  description = "Address of the API, base path included."
  value       = "${aws_api_gateway_stage.api.invoke_url}${local.api_base_path}"
}

output "usage_plan_id" {
  description = "Usage plan that API keys are bound to."
  value       = aws_api_gateway_usage_plan.product.id
}

output "api_key_secret_arn" {
  description = "ARN of the secret that holds the API key."
  value       = aws_secretsmanager_secret.api_key.arn
}

output "api_key_secret_name" {
  description = "Name of the secret that holds the API key."
  value       = aws_secretsmanager_secret.api_key.name
}

output "dynamodb_table_name" {
  description = "Name of the products table."
  value       = aws_dynamodb_table.products.name
}

output "dynamodb_table_arn" {
  description = "ARN of the products table."
  value       = aws_dynamodb_table.products.arn
}

output "products_price_index_name" {
  description = "Index of active products by price."
  value       = one([for index in aws_dynamodb_table.products.global_secondary_index : index.name if index.hash_key == "GSI1_PK"])
}

output "products_name_index_name" {
  description = "Index of active products by name."
  value       = one([for index in aws_dynamodb_table.products.global_secondary_index : index.name if index.hash_key == "GSI2_PK"])
}

output "products_category_index_name" {
  description = "Name of the index of active products by category."
  value       = one([for index in aws_dynamodb_table.products.global_secondary_index : index.name if index.hash_key == "GSI3_PK"])
}

output "products_change_index_name" {
  description = "Name of the index of all products by their newest change."
  value       = one([for index in aws_dynamodb_table.products.global_secondary_index : index.name if index.hash_key == "GSI4_PK"])
}

output "list_shards" {
  description = "Number of partition keys of the price and the change index. Writers and readers must agree on it."
  value       = var.list_shards
}

output "sqs_queue_url" {
  description = "URL of the change queue."
  value       = aws_sqs_queue.change.url
}

output "sqs_queue_arn" {
  description = "ARN of the change queue."
  value       = aws_sqs_queue.change.arn
}

output "change_dlq_url" {
  description = "URL of the change queue's dead-letter queue."
  value       = aws_sqs_queue.change_dlq.url
}

output "change_dlq_arn" {
  description = "ARN of the change queue's dead-letter queue."
  value       = aws_sqs_queue.change_dlq.arn
}

output "audit_queue_url" {
  description = "URL of the audit queue."
  value       = aws_sqs_queue.audit.url
}

output "audit_queue_arn" {
  description = "ARN of the audit queue."
  value       = aws_sqs_queue.audit.arn
}

output "audit_dlq_url" {
  description = "URL of the audit queue's dead-letter queue."
  value       = aws_sqs_queue.audit_dlq.url
}

output "audit_dlq_arn" {
  description = "ARN of the audit queue's dead-letter queue."
  value       = aws_sqs_queue.audit_dlq.arn
}

output "events_dlq_url" {
  description = "URL of the queue of table changes that the pipe gave up."
  value       = aws_sqs_queue.events_dlq.url
}

output "s3_audit_bucket_name" {
  description = "Bucket of the audit records."
  value       = aws_s3_bucket.audit_logs.bucket
}

output "s3_audit_bucket_arn" {
  description = "ARN of the bucket of the audit records."
  value       = aws_s3_bucket.audit_logs.arn
}

output "audit_database_name" {
  description = "Glue database in which Athena finds the audit records, in the tables events and out_of_band."
  value       = aws_glue_catalog_database.audit.name
}

output "audit_workgroup_name" {
  description = "Athena workgroup in which auditors query the audit records."
  value       = aws_athena_workgroup.audit.name
}

output "sns_topic_arn" {
  description = "Topic that alarms go to."
  value       = aws_sns_topic.alerts.arn
}

output "events_topic_arn" {
  description = "Topic that table changes are published to."
  value       = aws_sns_topic.events.arn
}

output "permission_boundary_arn" {
  description = "Boundary that every function role must carry."
  value       = aws_iam_policy.function_boundary.arn
}

output "logs_policy_arn" {
  description = "Policy that lets a function write its log."
  value       = aws_iam_policy.function_logs.arn
}

output "queue_visibility_timeout_seconds" {
  description = "Visibility timeout of both queues; a consumer's timeout may be a sixth of it."
  value       = var.queue_visibility_timeout_seconds
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.product.dashboard_name
}

output "runbooks_url" {
  description = "Address of the folder of runbooks."
  value       = var.runbooks_url
}

output "alarm_names" {
  description = "Names of this root's alarms."
  value = sort(concat(
    [for alarm in aws_cloudwatch_metric_alarm.dlq_depth : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.dlq_growing : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.oldest_message : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.audit_unverified : alarm.alarm_name],
    [
      aws_cloudwatch_metric_alarm.api_5xx.alarm_name,
      aws_cloudwatch_metric_alarm.audit_broken.alarm_name,
      aws_cloudwatch_metric_alarm.pipe_failed.alarm_name,
      aws_cloudwatch_metric_alarm.events_delivery_failed.alarm_name,
      aws_cloudwatch_metric_alarm.index_throttled.alarm_name,
      aws_cloudwatch_metric_alarm.pipe_silent.alarm_name,
    ],
  ))
}
