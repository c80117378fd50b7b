# One page that follows a request: API, functions, queues, pipe, audit. Functions are found by SEARCH, not by a list of
# names: a function that is added appears by itself.
locals {
  api_dimensions = ["ApiName", aws_api_gateway_rest_api.product.name, "Stage", aws_api_gateway_stage.api.stage_name]

  dashboard_widgets = [
    {
      title = "Requests", metrics = [
        concat(["AWS/ApiGateway", "Count"], local.api_dimensions, [{ label = "all", stat = "Sum" }]),
        concat(["AWS/ApiGateway", "4XXError"], local.api_dimensions, [{ label = "4xx", stat = "Sum" }]),
        concat(["AWS/ApiGateway", "5XXError"], local.api_dimensions, [{ label = "5xx", stat = "Sum" }]),
      ]
    },
    {
      title = "API latency, ms", metrics = [
        concat(["AWS/ApiGateway", "Latency"], local.api_dimensions, [{ label = "p50", stat = "p50" }]),
        concat(["AWS/ApiGateway", "Latency"], local.api_dimensions, [{ label = "p95", stat = "p95" }]),
        concat(["AWS/ApiGateway", "Latency"], local.api_dimensions, [{ label = "p99", stat = "p99" }]),
      ]
    },
    { title = "Function errors", metrics = [[{ expression = "SEARCH('{AWS/Lambda,FunctionName} bbws MetricName=\"Errors\"', 'Sum')", id = "errors" }]] },
    { title = "Function duration, p95 ms", metrics = [[{ expression = "SEARCH('{AWS/Lambda,FunctionName} bbws MetricName=\"Duration\"', 'p95')", id = "duration" }]] },
    { title = "Outcomes of changes", metrics = [[{ expression = "SEARCH('{ProductCatalogue,FunctionName} MetricName=(\"Applied\" OR \"Duplicate\" OR \"Rejected\" OR \"Superseded\")', 'Sum')", id = "outcomes" }]] },
    { title = "Time from acceptance to commit, p95 ms", metrics = [[{ expression = "SEARCH('{ProductCatalogue,FunctionName} MetricName=\"ChangeLagMs\"', 'p95')", id = "lag" }]] },
    {
      title = "Queues: messages", metrics = [
        for name in [aws_sqs_queue.change.name, aws_sqs_queue.audit.name] :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }]
      ]
    },
    {
      title = "Queues: age of the oldest message, s", metrics = [
        for name in [aws_sqs_queue.change.name, aws_sqs_queue.audit.name] :
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", name, { stat = "Maximum" }]
      ]
    },
    {
      title = "Dead-letter queues: messages", metrics = [
        for name in [aws_sqs_queue.change_dlq.name, aws_sqs_queue.audit_dlq.name, aws_sqs_queue.events_dlq.name] :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { stat = "Maximum" }]
      ]
    },
    { title = "Messages returned for redelivery", metrics = [[{ expression = "SEARCH('{ProductCatalogue,FunctionName} MetricName=\"BatchItemFailures\"', 'Sum')", id = "failures" }]] },
    {
      title = "Audit log: verified records, findings", metrics = [
        ["ProductCatalogue/Audit", "VerifiedRecords", { stat = "Maximum" }],
        ["ProductCatalogue/Audit", "Findings", { stat = "Maximum", yAxis = "right" }],
      ]
    },
    {
      title = "Pipe", metrics = [
        ["AWS/EventBridge/Pipes", "EventCount", "PipeName", aws_pipes_pipe.events.name, { stat = "Sum" }],
        ["AWS/EventBridge/Pipes", "ExecutionFailed", "PipeName", aws_pipes_pipe.events.name, { stat = "Sum" }],
      ]
    },
    {
      title = "Table: throttled and failed requests", metrics = [
        [{ expression = "SEARCH('{AWS/DynamoDB,Operation,TableName} TableName=\"${aws_dynamodb_table.products.name}\" MetricName=\"ThrottledRequests\"', 'Sum')", id = "throttled" }],
        [{ expression = "SEARCH('{AWS/DynamoDB,Operation,TableName} TableName=\"${aws_dynamodb_table.products.name}\" MetricName=\"SystemErrors\"', 'Sum')", id = "failing" }],
      ]
    },
    {
      title = "Table: consumed capacity units", metrics = [
        ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", aws_dynamodb_table.products.name, { stat = "Sum" }],
        ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", aws_dynamodb_table.products.name, { stat = "Sum" }],
      ]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "product" {
  dashboard_name = "bbws-product-catalogue-${var.environment}"

  dashboard_body = jsonencode({
    widgets = [
      for index, widget in local.dashboard_widgets : {
        type   = "metric"
        x      = index % 2 * 12
        y      = floor(index / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = var.aws_region
          period  = 60
          view    = "timeSeries"
          stacked = false
          metrics = widget.metrics
        }
      }
    ]
  })
}
