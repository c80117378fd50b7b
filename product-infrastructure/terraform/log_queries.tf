# Saved queries of CloudWatch Logs Insights over the access log and the logs of all functions: in the console under *Saved and
# sample queries*. For one ID, `catalogctl trace` says more; these are for what a single ID doesn't show.
locals {
  # The functions' groups are in their own roots, which come after this one: a saved query names groups, and doesn't read them.
  queried_log_groups = concat(
    [aws_cloudwatch_log_group.api_access.name],
    [for function in ["list-products", "get-product", "create-product", "update-product", "delete-product", "product-creator", "audit-logger"] : "/aws/lambda/bbws-${function}-${var.environment}"],
  )

  log_queries = {
    by-request-id = <<-EOT
      # Each line of a request, oldest first. Put the ID of the X-Request-Id header in its place.
      fields @timestamp, @log, level, message, httpMethod, resourcePath, status, code, error, eventId, productId
      | filter requestId = "00000000-0000-0000-0000-000000000000"
      | sort @timestamp asc
      | limit 1000
    EOT

    by-product-id = <<-EOT
      # Each line about a product, oldest first: reads, changes and their audit records. Put its ID in its place.
      fields @timestamp, @log, level, message, status, code, error, outcome, reason, version, requestId, eventId
      | filter productId = "00000000-0000-0000-0000-000000000000"
      | sort @timestamp asc
      | limit 1000
    EOT

    errors-by-cause = <<-EOT
      # Errors and crashes by their cause, the most frequent first, with an example of each. The time range is the console's:
      # one hour, unless you change it.
      filter level = "ERROR" or @message like /Task timed out|Runtime exited/
      | stats count(*) as lines, max(@timestamp) as newest, latest(requestId) as exampleRequestId, latest(eventId) as exampleEventId by @log, message, code, error
      | sort lines desc
      | limit 100
    EOT

    slow-requests = <<-EOT
      # Requests of more than 300 ms, the slowest first: as API Gateway measured them (responseLatency, in ms), and as the
      # function did (micros), without its start and without API Gateway.
      fields @timestamp, @log, coalesce(responseLatency, micros / 1000) as milliseconds, integrationLatency, httpMethod, resourcePath, status, requestId, productId
      | filter milliseconds > 300
      | sort milliseconds desc
      | limit 100
    EOT
  }
}

resource "aws_cloudwatch_query_definition" "saved" {
  for_each = local.log_queries

  name            = "bbws-product-${var.environment}/${each.key}" # The console shows what precedes the slash as a folder.
  log_group_names = local.queried_log_groups
  query_string    = each.value
}
