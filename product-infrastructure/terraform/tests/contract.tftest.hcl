# Names and properties that others rely on: functions, dashboards, runbooks, clients.

mock_provider "aws" {
  source = "./tests/mocks"
  # Plans alone: what an apply made could not be taken away again, with prevent_destroy on table, bucket and key.
  override_during = plan
}

variables {
  account_id           = "111122223333"
  environment          = "dev"
  throttle_rate_limit  = 500
  throttle_burst_limit = 1000
  audit_retention_days = 1
}

run "everything_has_the_name_that_is_the_contract" {
  command = plan

  assert {
    condition     = aws_api_gateway_rest_api.product.name == "bbws-product-api-dev" && aws_api_gateway_stage.api.stage_name == "dev"
    error_message = "The API is bbws-product-api-{env}, its stage {env}."
  }

  assert {
    condition     = aws_dynamodb_table.products.name == "products"
    error_message = "The table is products, with no suffix."
  }

  assert {
    condition = [
      aws_sqs_queue.change.name, aws_sqs_queue.change_dlq.name, aws_sqs_queue.audit.name, aws_sqs_queue.audit_dlq.name, aws_sqs_queue.events_dlq.name,
      ] == [
      "bbws-product-change-dev", "bbws-product-change-dlq-dev", "bbws-product-audit-dev", "bbws-product-audit-dlq-dev", "bbws-product-events-dlq-dev",
    ]
    error_message = "The queues' names are a contract."
  }

  assert {
    condition     = sort(keys(local.queue_arns)) == sort([for name in [aws_sqs_queue.change.name, aws_sqs_queue.change_dlq.name, aws_sqs_queue.audit.name, aws_sqs_queue.audit_dlq.name, aws_sqs_queue.events_dlq.name] : trimsuffix(trimprefix(name, "bbws-product-"), "-dev")])
    error_message = "The ARNs written into policies must be those of the queues."
  }

  assert {
    condition     = aws_sns_topic.alerts.name == "bbws-product-alerts-dev" && aws_sns_topic.events.name == "bbws-product-events-dev" && endswith(local.events_topic_arn, ":${aws_sns_topic.events.name}") && aws_pipes_pipe.events.name == "bbws-product-events-dev"
    error_message = "Topics and pipe are bbws-product-{alerts,events}-{env}."
  }

  assert {
    condition     = aws_s3_bucket.audit_logs.bucket == "bbws-product-audit-logs-dev"
    error_message = "The bucket is bbws-product-audit-logs-{env}."
  }

  assert {
    condition     = aws_secretsmanager_secret.api_key.name == "bbws/product-api/key-dev"
    error_message = "The secret is bbws/product-api/key-{env}."
  }

  assert {
    condition = output.alarm_names == tolist([
      "bbws-product-api-5xx-dev",
      "bbws-product-audit-broken-dev",
      "bbws-product-audit-dlq-depth-dev",
      "bbws-product-audit-dlq-growing-dev",
      "bbws-product-audit-oldest-message-dev",
      "bbws-product-audit-unverified-dev",
      "bbws-product-change-dlq-depth-dev",
      "bbws-product-change-dlq-growing-dev",
      "bbws-product-change-oldest-message-dev",
      "bbws-product-events-delivery-failed-dev",
      "bbws-product-events-dlq-depth-dev",
      "bbws-product-events-dlq-growing-dev",
      "bbws-product-events-pipe-failed-dev",
      "bbws-product-events-pipe-silent-dev",
      "bbws-product-index-throttled-dev",
    ])
    error_message = "The alarms' names are a contract."
  }

  assert {
    condition     = output.contract_version == "2" && output.environment == "dev" && output.list_shards == 1 && output.api_base_path == "/v1.0"
    error_message = "What the functions check and share."
  }
}

run "the_table_has_the_keys_indexes_and_protection_that_the_functions_expect" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.products.hash_key == "PK" && aws_dynamodb_table.products.range_key == "SK" && aws_dynamodb_table.products.billing_mode == "PAY_PER_REQUEST"
    error_message = "PK and SK, on demand."
  }

  assert {
    condition = { for index in aws_dynamodb_table.products.global_secondary_index : index.name => "${index.hash_key} ${index.range_key} ${index.projection_type}" } == {
      ProductsByPriceIndex    = "GSI1_PK GSI1_SK ALL"
      ProductsByNameIndex     = "GSI2_PK GSI2_SK ALL"
      ProductsByCategoryIndex = "GSI3_PK GSI1_SK ALL"
      ProductsByChangeIndex   = "GSI4_PK GSI4_SK INCLUDE"
    }
    error_message = "By price within a shard; by name; by price within a category; by newest change within a shard."
  }

  assert {
    condition     = one([for index in aws_dynamodb_table.products.global_secondary_index : index.non_key_attributes if index.name == "ProductsByChangeIndex"]) == toset(["lastEventId", "status", "version"])
    error_message = "The feed's index projects what the feed returns without the product."
  }

  assert {
    condition     = [output.products_price_index_name, output.products_name_index_name, output.products_category_index_name, output.products_change_index_name] == ["ProductsByPriceIndex", "ProductsByNameIndex", "ProductsByCategoryIndex", "ProductsByChangeIndex"]
    error_message = "The functions read the indexes' names from the outputs."
  }

  assert {
    condition     = aws_dynamodb_table.products.stream_enabled && aws_dynamodb_table.products.stream_view_type == "NEW_AND_OLD_IMAGES"
    error_message = "The audit trail needs both images."
  }

  assert {
    condition     = aws_dynamodb_table.products.ttl[0].attribute_name == "expiresAt" && aws_dynamodb_table.products.ttl[0].enabled && aws_dynamodb_table.products.point_in_time_recovery[0].enabled && aws_dynamodb_table.products.server_side_encryption[0].enabled
    error_message = "Journal entries expire; the table can be restored and is encrypted."
  }
}

run "a_message_is_set_aside_after_five_receives_and_kept_for_fourteen_days" {
  command = plan

  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.change, aws_sqs_queue.audit] : jsondecode(queue.redrive_policy).maxReceiveCount == 5 && queue.visibility_timeout_seconds == 60])
    error_message = "Five receives; a visibility timeout of six times the functions' timeout."
  }

  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.change_dlq, aws_sqs_queue.audit_dlq, aws_sqs_queue.events_dlq] : queue.message_retention_seconds == 1209600])
    error_message = "Fourteen days in a dead-letter queue."
  }

  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.change, aws_sqs_queue.change_dlq, aws_sqs_queue.audit, aws_sqs_queue.audit_dlq, aws_sqs_queue.events_dlq] : queue.sqs_managed_sse_enabled])
    error_message = "Every queue is encrypted."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.change_dlq.redrive_allow_policy).sourceQueueArns == ["arn:aws:sqs:eu-west-1:111122223333:bbws-product-change-dev"] && jsondecode(aws_sqs_queue.audit_dlq.redrive_allow_policy).sourceQueueArns == ["arn:aws:sqs:eu-west-1:111122223333:bbws-product-audit-dev"]
    error_message = "A dead-letter queue serves its own queue only."
  }

  assert {
    condition     = toset(flatten([for statement in data.aws_iam_policy_document.queue["audit"].statement : statement.actions if statement.effect == "Allow"])) == toset(["sqs:SendMessage"]) && length([for statement in data.aws_iam_policy_document.queue["change"].statement : statement if statement.effect == "Allow"]) == 0
    error_message = "The topic may send to the audit queue; the change queue lets nobody in by its own policy."
  }
}

run "table_changes_are_published_whole_and_none_blocks_the_next" {
  command = plan

  assert {
    condition     = aws_pipes_pipe.events.source == aws_dynamodb_table.products.stream_arn && aws_pipes_pipe.events.target == aws_sns_topic.events.arn
    error_message = "From the stream to the topic."
  }

  assert {
    condition     = aws_pipes_pipe.events.source_parameters[0].dynamodb_stream_parameters[0].starting_position == "TRIM_HORIZON" && length(aws_pipes_pipe.events.source_parameters[0].filter_criteria) == 0
    error_message = "No change may be passed over."
  }

  assert {
    condition     = aws_pipes_pipe.events.source_parameters[0].dynamodb_stream_parameters[0].on_partial_batch_item_failure == "AUTOMATIC_BISECT" && length(aws_pipes_pipe.events.source_parameters[0].dynamodb_stream_parameters[0].dead_letter_config) == 1
    error_message = "A record that can't be published must move to the dead-letter queue."
  }

  assert {
    condition     = aws_pipes_pipe.events.source_parameters[0].dynamodb_stream_parameters[0].batch_size == 1 && aws_pipes_pipe.events.source_parameters[0].dynamodb_stream_parameters[0].parallelization_factor == 10
    error_message = "PublishBatch takes 256 KiB in total, and two records of one large change exceed that."
  }

  assert {
    condition     = aws_pipes_pipe.events.log_configuration[0].level == "ERROR"
    error_message = "Without a log a failing pipe doesn't say why."
  }

  assert {
    condition     = var.stream_settle_seconds >= 120 && strcontains(file("events.tf"), "depends_on = [terraform_data.stream_settled]")
    error_message = "A pipe that is created right after its stream fails with \"Cannot access stream\"."
  }

  assert {
    condition     = aws_sns_topic_subscription.audit.raw_message_delivery && aws_sns_topic_subscription.audit.protocol == "sqs"
    error_message = "audit-logger reads stream records, not envelopes around them."
  }
}

run "applied_changes_and_nothing_else_are_mailed" {
  command = plan

  variables {
    change_emails = ["buyer@example.com"]
  }

  assert {
    condition     = aws_sns_topic_subscription.change_email["buyer@example.com"].protocol == "email" && aws_sns_topic_subscription.change_email["buyer@example.com"].filter_policy_scope == "MessageBody"
    error_message = "The address must be subscribed by email, with a filter on the stream record."
  }

  assert {
    condition = jsondecode(aws_sns_topic_subscription.change_email["buyer@example.com"].filter_policy) == {
      eventName = ["INSERT"]
      dynamodb  = { NewImage = { SK = { S = [{ prefix = "EVENT#" }] }, outcome = { S = ["APPLIED"] } } }
    }
    error_message = "Only new journal entries of applied changes must be mailed."
  }
}

run "audit_records_cannot_be_changed_and_are_archived_after_a_year" {
  command = plan

  assert {
    condition     = aws_s3_bucket.audit_logs.object_lock_enabled && aws_s3_bucket_versioning.audit_logs.versioning_configuration[0].status == "Enabled" && aws_s3_bucket_object_lock_configuration.audit_logs.rule[0].default_retention[0].mode == "GOVERNANCE"
    error_message = "Object Lock, in governance mode outside prod."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.audit_logs.transition_default_minimum_object_size == "varies_by_storage_class"
    error_message = "By default S3 moves no object under 128 KiB, which is every one of these."
  }

  assert {
    condition     = anytrue([for transition in aws_s3_bucket_lifecycle_configuration.audit_logs.rule[0].transition : transition.days == 365 && transition.storage_class == "GLACIER"])
    error_message = "To Glacier after 365 days."
  }

  assert {
    condition     = alltrue([aws_s3_bucket_public_access_block.audit_logs.block_public_acls, aws_s3_bucket_public_access_block.audit_logs.block_public_policy, aws_s3_bucket_public_access_block.audit_logs.ignore_public_acls, aws_s3_bucket_public_access_block.audit_logs.restrict_public_buckets])
    error_message = "Nothing public, in any of the four ways."
  }

  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.audit_logs.statement : statement.effect == "Deny"]) && contains(flatten([for statement in data.aws_iam_policy_document.audit_logs.statement : statement.actions]), "s3:DeleteObjectVersion")
    error_message = "The bucket's policy only denies: deleting, overwriting, and anything without TLS."
  }
}

run "the_lock_cannot_be_lifted_in_prod" {
  command = plan

  variables {
    environment          = "prod"
    audit_retention_days = 2557
    alert_emails         = ["on-call@example.com"]
  }

  assert {
    condition     = aws_s3_bucket_object_lock_configuration.audit_logs.rule[0].default_retention[0].mode == "COMPLIANCE"
    error_message = "Compliance mode in prod."
  }

  assert {
    condition     = aws_dynamodb_table.products.deletion_protection_enabled
    error_message = "The table must be protected."
  }

  assert {
    condition     = [for subscription in aws_sns_topic_subscription.alert_email : subscription.endpoint] == ["on-call@example.com"]
    error_message = "On-call is subscribed."
  }
}

run "every_alarm_reaches_somebody_and_names_its_runbook" {
  command = plan

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.dlq_depth), values(aws_cloudwatch_metric_alarm.dlq_growing), values(aws_cloudwatch_metric_alarm.oldest_message), aws_cloudwatch_metric_alarm.audit_unverified, [aws_cloudwatch_metric_alarm.audit_broken, aws_cloudwatch_metric_alarm.api_5xx, aws_cloudwatch_metric_alarm.pipe_failed, aws_cloudwatch_metric_alarm.events_delivery_failed, aws_cloudwatch_metric_alarm.index_throttled, aws_cloudwatch_metric_alarm.pipe_silent]) :
      alarm.alarm_actions == toset([aws_sns_topic.alerts.arn])
    ])
    error_message = "Each alarm must go to the alerts topic."
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.dlq_depth), values(aws_cloudwatch_metric_alarm.dlq_growing), values(aws_cloudwatch_metric_alarm.oldest_message), aws_cloudwatch_metric_alarm.audit_unverified, [aws_cloudwatch_metric_alarm.audit_broken, aws_cloudwatch_metric_alarm.api_5xx, aws_cloudwatch_metric_alarm.pipe_failed, aws_cloudwatch_metric_alarm.events_delivery_failed, aws_cloudwatch_metric_alarm.index_throttled, aws_cloudwatch_metric_alarm.pipe_silent]) :
      endswith(alarm.alarm_description, "docs/runbooks/${replace(trimsuffix(trimprefix(alarm.alarm_name, "bbws-product-"), "-dev"), "dlq-growing", "dlq-depth")}.md")
    ])
    error_message = "The alarm bbws-product-{what}-{env} has its page in docs/runbooks/{what}.md; dlq-growing shares the page of dlq-depth."
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.dlq_depth), values(aws_cloudwatch_metric_alarm.dlq_growing), values(aws_cloudwatch_metric_alarm.oldest_message), aws_cloudwatch_metric_alarm.audit_unverified, [aws_cloudwatch_metric_alarm.audit_broken, aws_cloudwatch_metric_alarm.api_5xx, aws_cloudwatch_metric_alarm.pipe_failed, aws_cloudwatch_metric_alarm.events_delivery_failed, aws_cloudwatch_metric_alarm.index_throttled, aws_cloudwatch_metric_alarm.pipe_silent]) :
      can(regex("^(NOW|TODAY): .+ Impact: .+ First command: `.+`\\. Dashboard: https://.+ Runbook: ", alarm.alarm_description)) && length(alarm.alarm_description) <= 1024
    ])
    error_message = "A description is the e-mail that on-call reads: urgency, symptom, impact, first command, links."
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.api_5xx.metric_query : query.expression if query.id == "rate"]) == "IF(requests >= 20 OR errors >= 5, 100 * errors / requests, 0)"
    error_message = "Five errors are an outage, however few requests there were."
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.dlq_depth), values(aws_cloudwatch_metric_alarm.dlq_growing)) :
      one([for query in alarm.metric_query : query.expression if query.id == "messages"]) == "visible + FILL(in_flight, 0)" &&
      { for query in alarm.metric_query : query.id => query.metric[0].metric_name if length(query.metric) > 0 } == {
        visible   = "ApproximateNumberOfMessagesVisible"
        in_flight = "ApproximateNumberOfMessagesNotVisible"
      }
    ])
    error_message = "A look at a queue must neither end nor start an alarm; NumberOfMessagesSent doesn't count redriven messages."
  }

  assert {
    condition = alltrue([
      for alarm in values(aws_cloudwatch_metric_alarm.dlq_depth) :
      alarm.threshold == 0 && alarm.evaluation_periods == 1 && alarm.ok_actions == toset([aws_sns_topic.alerts.arn]) &&
      one([for query in alarm.metric_query : query.id if query.return_data == true]) == "messages"
    ])
    error_message = "The first message must start the alarm, and on-call must learn that the queue is empty."
  }

  assert {
    condition = alltrue([
      for alarm in values(aws_cloudwatch_metric_alarm.dlq_growing) :
      one([for query in alarm.metric_query : query.expression if query.return_data == true]) == "IF(rise > 0 AND messages > rise, rise, 0)" &&
      one([for query in alarm.metric_query : query.expression if query.id == "rise"]) == "DIFF(messages)"
    ])
    error_message = "A message beside others must start the alarm; the first one is the depth alarm's."
  }

  assert {
    condition = alltrue([
      for alarm in values(aws_cloudwatch_metric_alarm.dlq_growing) :
      alarm.threshold == 0 && alarm.datapoints_to_alarm == 1 && alarm.evaluation_periods == 5 && length(coalesce(alarm.ok_actions, [])) == 0
    ])
    error_message = "The alarm must see a rise that was reported late, and must not say that the incident is over."
  }

  assert {
    condition     = aws_sns_topic.alerts.kms_master_key_id == aws_kms_key.topics.arn && contains(flatten([for statement in data.aws_iam_policy_document.topics_key.statement : [for principal in statement.principals : tolist(principal.identifiers)]]), "cloudwatch.amazonaws.com")
    error_message = "CloudWatch must be able to use the topic's key, or no alarm would ever arrive."
  }
}

run "errors_of_the_gateway_have_the_form_and_status_of_the_functions" {
  command = plan

  assert {
    condition     = alltrue([for response in aws_api_gateway_gateway_response.error : keys(jsondecode(response.response_templates["application/json"]).error) == ["code", "message", "requestId"]])
    error_message = "One envelope for all errors."
  }

  assert {
    condition = { for type in ["MISSING_AUTHENTICATION_TOKEN", "INVALID_API_KEY", "REQUEST_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "THROTTLED", "INTEGRATION_TIMEOUT", "DEFAULT_5XX"] : type => "${aws_api_gateway_gateway_response.error[type].status_code} ${jsondecode(aws_api_gateway_gateway_response.error[type].response_templates["application/json"]).error.code}" } == {
      MISSING_AUTHENTICATION_TOKEN = "404 NOT_FOUND" # What API Gateway calls a route that it does not know.
      INVALID_API_KEY              = "403 FORBIDDEN"
      REQUEST_TOO_LARGE            = "413 PAYLOAD_TOO_LARGE"
      UNSUPPORTED_MEDIA_TYPE       = "415 UNSUPPORTED_MEDIA_TYPE"
      THROTTLED                    = "429 TOO_MANY_REQUESTS"
      INTEGRATION_TIMEOUT          = "503 SERVICE_UNAVAILABLE"
      DEFAULT_5XX                  = "500 INTERNAL_ERROR"
    }
    error_message = "Status and code are those of the HTTP contract."
  }

  assert {
    condition     = alltrue([for response in aws_api_gateway_gateway_response.error : can(response.response_parameters["gatewayresponse.header.Retry-After"]) == contains(["429", "503"], response.status_code)])
    error_message = "Retry-After on 429 and 503, and on nothing else."
  }

  assert {
    condition     = alltrue([for response in aws_api_gateway_gateway_response.error : response.response_parameters["gatewayresponse.header.Cache-Control"] == "'no-store'"])
    error_message = "No error is to be kept by a cache."
  }

  assert {
    condition = { for resource, response in aws_api_gateway_integration_response.other : resource => "${response.status_code} ${jsondecode(response.response_templates["application/json"]).error.code} ${response.response_parameters["method.response.header.Allow"]}" } == {
      products        = "405 METHOD_NOT_ALLOWED 'GET, POST'"
      feed            = "405 METHOD_NOT_ALLOWED 'GET'"
      product         = "405 METHOD_NOT_ALLOWED 'GET, PUT, PATCH, DELETE'"
      product_changes = "405 METHOD_NOT_ALLOWED 'GET'"
      product_change  = "405 METHOD_NOT_ALLOWED 'GET'"
      health          = "405 METHOD_NOT_ALLOWED 'GET, HEAD'"
    }
    error_message = "A method that a resource doesn't have is a 405 that lists the allowed ones."
  }

  assert {
    condition     = alltrue([for resource, method in aws_api_gateway_method.other : method.http_method == "ANY" && method.api_key_required == (resource != "health") && aws_api_gateway_integration.other[resource].passthrough_behavior == "NEVER"])
    error_message = "Whatever the method, products need a key; and no body reaches a mock that cannot read it."
  }

  assert {
    condition     = keys(aws_api_gateway_method.health) == ["GET", "HEAD"] && alltrue([for method, response in aws_api_gateway_integration_response.health : !aws_api_gateway_method.health[method].api_key_required && jsondecode(response.response_templates["application/json"]).status == "ok"])
    error_message = "GET and HEAD /health respond without a key."
  }

  assert {
    condition     = alltrue([for integration in aws_api_gateway_integration.health : integration.passthrough_behavior == "NEVER"])
    error_message = "A health check with a body of another media type must be a 415, not a 500."
  }

  assert {
    condition     = [for method in ["GET", "HEAD"] : aws_api_gateway_method_settings.health[method].method_path] == ["~1v1.0~1health/GET", "~1v1.0~1health/HEAD"]
    error_message = "API Gateway ignores the settings of a nested path unless its slashes are escaped as ~1."
  }

  assert {
    condition     = !aws_api_gateway_method_settings.all.settings[0].metrics_enabled && alltrue([for settings in aws_api_gateway_method_settings.health : !settings.settings[0].metrics_enabled])
    error_message = "Metrics per method cost money, and nothing reads them."
  }

  assert {
    condition = alltrue(concat(
      [for response in aws_api_gateway_gateway_response.error : response.response_parameters["gatewayresponse.header.X-Request-Id"] == "context.requestId"],
      [for response in concat(values(aws_api_gateway_integration_response.health), values(aws_api_gateway_integration_response.other)) : response.response_parameters["method.response.header.X-Request-Id"] == "context.requestId"],
    ))
    error_message = "Every response that API Gateway makes by itself carries the request ID."
  }

  assert {
    condition     = aws_api_gateway_rest_api.product.minimum_compression_size == "1024"
    error_message = "API Gateway must decompress gzip bodies and compress long responses."
  }

  assert {
    condition     = !strcontains(aws_api_gateway_stage.api.access_log_settings[0].format, "identity.apiKey\"") && aws_api_gateway_method_settings.all.settings[0].data_trace_enabled == false
    error_message = "No log may hold a key."
  }

  assert {
    condition     = alltrue([for value in values(jsondecode(aws_api_gateway_stage.api.access_log_settings[0].format)) : startswith(value, "$context.")])
    error_message = "The access log is JSON of context variables."
  }
}

run "no_function_can_reach_beyond_the_boundary" {
  command = plan

  assert {
    condition = toset(flatten([for statement in data.aws_iam_policy_document.function_boundary.statement : statement.actions])) == toset([
      "dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query",
      "logs:CreateLogStream", "logs:PutLogEvents",
      "s3:GetObject", "s3:PutObject",
      "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
      "xray:PutTelemetryRecords", "xray:PutTraceSegments",
    ])
    error_message = "No secret, no deletion, no administration."
  }

  assert {
    condition     = !anytrue([for statement in data.aws_iam_policy_document.function_boundary.statement : contains(statement.resources, "*") if statement.sid != "Traces"])
    error_message = "Only X-Ray has no resource to name."
  }

  assert {
    condition     = aws_iam_policy.function_boundary.name == "bbws-product-function-boundary-dev" && aws_iam_policy.function_logs.name == "bbws-product-function-logs-dev"
    error_message = "The policies' names are a contract."
  }
}

run "names_and_arns_hold_in_every_partition" {
  command = plan

  override_data {
    target          = data.aws_partition.current
    values          = { partition = "aws-cn" }
    override_during = plan
  }

  assert {
    condition     = startswith(local.function_log_streams, "arn:aws-cn:") && alltrue([for arn in values(local.queue_arns) : startswith(arn, "arn:aws-cn:")]) && aws_iam_role_policy_attachment.api_logging.policy_arn == "arn:aws-cn:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    error_message = "No ARN may be of the partition `aws` alone."
  }
}

run "roles_of_the_pipeline_carry_the_boundary" {
  command = plan

  assert {
    condition     = alltrue([for role in [aws_iam_role.events_pipe, aws_iam_role.api_logging] : role.permissions_boundary == "arn:aws:iam::111122223333:policy/bbws-product-service-boundary-dev"])
    error_message = "The pipeline may not create a role without the boundary that an administrator made."
  }
}

run "small_records_can_stay_out_of_glacier" {
  command = plan

  variables {
    audit_archive_min_bytes = 40000
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.audit_logs.rule[0].filter[0].object_size_greater_than == 40000
    error_message = "Below the limit a record stays in Standard."
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.audit_logs.rule[0].abort_incomplete_multipart_upload) == 0
    error_message = "S3 refuses a rule that filters by size and aborts uploads."
  }
}

run "bucket_names_take_a_suffix" {
  command = plan

  variables {
    bucket_suffix = "-shop"
  }

  assert {
    condition     = aws_s3_bucket.audit_logs.bucket == "bbws-product-audit-logs-dev-shop"
    error_message = "Bucket names are unique across all of AWS."
  }
}

run "the_audit_table_needs_no_crawler" {
  command = plan

  assert {
    condition     = aws_glue_catalog_table.audit["events"].storage_descriptor[0].ser_de_info[0].parameters["case.insensitive"] == "FALSE" && aws_glue_catalog_table.audit["events"].storage_descriptor[0].ser_de_info[0].parameters["mapping.prevhash"] == "prevHash"
    error_message = "Case-insensitive, a product with the attributes Color and color fails the query."
  }

  assert {
    condition     = alltrue([for column in aws_glue_catalog_table.audit["events"].storage_descriptor[0].columns : column.name == lower(column.name) && !startswith(column.type, "struct")])
    error_message = "The mapping of member names doesn't reach into structs."
  }

  assert {
    condition     = aws_glue_catalog_table.audit["events"].parameters["projection.enabled"] == "true" && aws_glue_catalog_table.audit["events"].parameters["storage.location.template"] == "s3://bbws-product-audit-logs-dev/events/year=$${year}/month=$${month}/day=$${day}/"
    error_message = "Partitions are computed from the keys' dates."
  }

  assert {
    condition     = aws_glue_catalog_table.audit["out_of_band"].parameters["storage.location.template"] == "s3://bbws-product-audit-logs-dev/out-of-band/year=$${year}/month=$${month}/day=$${day}/" && aws_glue_catalog_table.audit["out_of_band"].storage_descriptor[0].ser_de_info[0].parameters["mapping.observedat"] == "observedAt"
    error_message = "Changes outside the API are a table of their own, beside that of events."
  }

  assert {
    condition     = toset([for column in local.out_of_band_table_columns : column.member]) == toset(keys(jsondecode(file("../contracts/audit-record.schema.json"))["$defs"].outOfBand.properties))
    error_message = "Each member of the contract's record is a column."
  }
}

run "an_auditors_queries_are_encrypted_limited_and_expire" {
  command = plan

  assert {
    condition     = aws_athena_workgroup.audit.name == "bbws-product-audit-dev" && aws_athena_workgroup.audit.configuration[0].enforce_workgroup_configuration && aws_athena_workgroup.audit.configuration[0].bytes_scanned_cutoff_per_query == 10737418240
    error_message = "No user's setting may lift the limit of a query."
  }

  assert {
    condition     = aws_athena_workgroup.audit.configuration[0].result_configuration[0].output_location == "s3://bbws-product-audit-queries-dev/results/" && aws_athena_workgroup.audit.configuration[0].result_configuration[0].expected_bucket_owner == "111122223333" && aws_athena_workgroup.audit.configuration[0].result_configuration[0].encryption_configuration[0].encryption_option == "SSE_S3"
    error_message = "Results are written to the environment's own bucket, encrypted."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.audit_queries.rule[0].expiration[0].days == 7 && aws_s3_bucket_lifecycle_configuration.audit_queries.rule[0].status == "Enabled"
    error_message = "Results are copies of records, and are deleted after 7 days."
  }

  assert {
    condition     = alltrue([aws_s3_bucket_public_access_block.audit_queries.block_public_acls, aws_s3_bucket_public_access_block.audit_queries.block_public_policy, aws_s3_bucket_public_access_block.audit_queries.ignore_public_acls, aws_s3_bucket_public_access_block.audit_queries.restrict_public_buckets])
    error_message = "Nothing public, in any of the four ways."
  }

  assert {
    condition     = toset(keys(aws_athena_named_query.audit)) == toset([for file in fileset("queries", "*.sql") : trimsuffix(file, ".sql")]) && alltrue([for query in aws_athena_named_query.audit : query.database == "bbws_product_audit_dev"])
    error_message = "Each file in queries/ is saved in Athena."
  }
}

run "the_audit_watches_itself" {
  command = plan

  assert {
    condition     = aws_cloudwatch_metric_alarm.audit_broken.metric_name == "Findings" && aws_cloudwatch_metric_alarm.audit_broken.threshold == 0 && aws_cloudwatch_metric_alarm.audit_broken.treat_missing_data == "ignore"
    error_message = "A finding rings until a later verification has none: between two results there is no data."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.audit_unverified : alarm.period * alarm.evaluation_periods == 129600 && alarm.datapoints_to_alarm == alarm.evaluation_periods && alarm.treat_missing_data == "breaching" && alarm.statistic == "SampleCount"])
    error_message = "36 hours without a result, and nothing less, is an alarm."
  }

  assert {
    condition     = alltrue([for alarm in concat(aws_cloudwatch_metric_alarm.audit_unverified, [aws_cloudwatch_metric_alarm.audit_broken]) : strcontains(file("../scripts/verify-audit.sh"), "MetricName=${alarm.metric_name},") && strcontains(file("../scripts/verify-audit.sh"), "--namespace ${alarm.namespace} ")])
    error_message = "The alarms must watch what scripts/verify-audit.sh publishes."
  }
}

run "no_alarm_on_a_missing_verification_where_no_workflow_runs" {
  command = plan

  variables {
    audit_verified_daily = false
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.audit_unverified) == 0 && !contains(output.alarm_names, "bbws-product-audit-unverified-dev")
    error_message = "It would ring forever."
  }
}

run "saved_log_queries_read_every_log" {
  command = plan

  assert {
    condition     = toset([for query in aws_cloudwatch_query_definition.saved : query.name]) == toset(["bbws-product-dev/by-request-id", "bbws-product-dev/by-product-id", "bbws-product-dev/errors-by-cause", "bbws-product-dev/slow-requests"])
    error_message = "Four queries, in a folder of the environment."
  }

  assert {
    condition = alltrue([
      for query in aws_cloudwatch_query_definition.saved :
      toset(query.log_group_names) == toset(concat(["/aws/apigateway/bbws-product-api-dev"], [for function in ["list-products", "get-product", "create-product", "update-product", "delete-product", "product-creator", "audit-logger"] : "/aws/lambda/bbws-${function}-dev"]))
    ])
    error_message = "A request is in the access log and in the logs of several functions."
  }
}
