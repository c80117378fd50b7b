# The table's own log, made public: stream -> pipe -> topic -> audit queue. The stream has no hole; a producer that wrote
# to the table and then to a queue would have one between the two. The topic is there for further subscribers (a search
# index, a cache, e-mail), which join without a change here.
resource "aws_sns_topic" "events" {
  name              = "bbws-product-events-${var.environment}"
  kms_master_key_id = aws_kms_key.topics.arn
}

resource "aws_sns_topic_policy" "events" {
  arn    = aws_sns_topic.events.arn
  policy = data.aws_iam_policy_document.events_topic.json
}

# Publishing and subscribing are granted in IAM, to the account's own roles; the topic only insists on TLS.
data "aws_iam_policy_document" "events_topic" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.events.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

# Raw delivery: the queue gets the stream record itself, not an SNS envelope around it. Half the size, and the consumer
# need not know how the record came. What cannot be delivered goes to the audit dead-letter queue in the same form, so
# one redrive resolves it.
resource "aws_sns_topic_subscription" "audit" {
  topic_arn            = aws_sns_topic.events.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.audit.arn
  raw_message_delivery = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.audit_dlq.arn
  })
}

# The topic has every change of the table: products, SKU claims and journal entries. An applied change's journal entry says all
# about it, and it is written once.
resource "aws_sns_topic_subscription" "change_email" {
  for_each = var.change_emails

  topic_arn           = aws_sns_topic.events.arn
  protocol            = "email"
  endpoint            = each.value
  filter_policy_scope = "MessageBody"

  filter_policy = jsonencode({
    eventName = ["INSERT"]
    dynamodb = {
      NewImage = {
        SK      = { S = [{ prefix = "EVENT#" }] }
        outcome = { S = ["APPLIED"] }
      }
    }
  })
}

resource "aws_pipes_pipe" "events" {
  name        = "bbws-product-events-${var.environment}"
  description = "Publishes every change of the products table to the events topic"
  role_arn    = aws_iam_role.events_pipe.arn
  source      = aws_dynamodb_table.products.stream_arn
  target      = aws_sns_topic.events.arn

  # No filter on journal entries: an edit made by hand changes a product without one, and must be recorded too.
  source_parameters {
    dynamodb_stream_parameters {
      # LATEST would lose what is written while the pipe starts up.
      starting_position = "TRIM_HORIZON"
      # One record a request: the pipe publishes a batch with one PublishBatch, which takes 256 KiB in total, and two
      # records of one large change exceed that together. Ten requests at a time keep the throughput; records of one
      # product still arrive in order.
      batch_size                         = 1
      parallelization_factor             = 10
      maximum_batching_window_in_seconds = 0
      # A record that the topic refuses must hold up neither its batch nor, until the stream forgets it after 24 hours,
      # every later change of its shard: halve the batch, try for an hour, then set the record's address aside.
      on_partial_batch_item_failure = "AUTOMATIC_BISECT"
      maximum_record_age_in_seconds = 3600
      maximum_retry_attempts        = -1

      dead_letter_config {
        arn = aws_sqs_queue.events_dlq.arn
      }
    }
  }

  # Errors only: which record failed, and why. Without a log a pipe says nothing but counts.
  log_configuration {
    level = "ERROR"

    cloudwatch_logs_log_destination {
      log_group_arn = aws_cloudwatch_log_group.events_pipe.arn
    }
  }

  depends_on = [terraform_data.stream_settled]
}

resource "aws_cloudwatch_log_group" "events_pipe" {
  # checkov:skip=CKV_AWS_158:CloudWatch encrypts every log group with a key of its own; at level ERROR no record's content is logged
  # checkov:skip=CKV_AWS_338:for operating, not for evidence: what must last is in the audit bucket
  name              = "/aws/vendedlogs/pipes/bbws-product-events-${var.environment}"
  retention_in_days = 90
}

# A pipe that is created right after its stream, or right after its role's policy, fails with "Cannot access stream"
# (hashicorp/terraform-provider-aws#40572): both take up to two minutes to be known everywhere. Waits once, before the first
# pipe on a stream.
resource "terraform_data" "stream_settled" {
  triggers_replace = [aws_dynamodb_table.products.stream_arn, aws_iam_role_policy.events_pipe.id]

  provisioner "local-exec" {
    command = "sleep ${var.stream_settle_seconds}"
  }
}

# Holds the shard and sequence number of records the pipe gave up, not the records: those stay readable in the stream
# for 24 hours, which is why the alarm on this queue is at one message. Apart from the audit dead-letter queue, because
# audit-logger could not read such a message and a redrive would only return it.
resource "aws_sqs_queue" "events_dlq" {
  name                      = "bbws-product-events-dlq-${var.environment}"
  message_retention_seconds = local.dead_letter_retention_seconds
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.queue["events-dlq"].json
}

resource "aws_iam_role" "events_pipe" {
  name               = "bbws-product-events-pipe-${var.environment}"
  description        = "Assumed by the pipe that publishes table changes"
  assume_role_policy = data.aws_iam_policy_document.events_pipe_trust.json
  # The pipeline may create and change this role only with the boundary, which it can't change itself.
  permissions_boundary = local.service_boundary_arn
}

data "aws_iam_policy_document" "events_pipe_trust" {
  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["pipes.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:pipes:${var.aws_region}:${local.account_id}:pipe/bbws-product-events-${var.environment}"]
    }
  }
}

resource "aws_iam_role_policy" "events_pipe" {
  name   = "stream-to-topic"
  role   = aws_iam_role.events_pipe.id
  policy = data.aws_iam_policy_document.events_pipe.json
}

data "aws_iam_policy_document" "events_pipe" {
  statement {
    sid       = "ReadTheStream"
    effect    = "Allow"
    actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
    resources = [aws_dynamodb_table.products.stream_arn]
  }

  statement {
    sid       = "FindTheStream"
    effect    = "Allow"
    actions   = ["dynamodb:ListStreams"]
    resources = ["*"] # A list, which has no resource to name.
  }

  statement {
    sid       = "PublishToTheTopic"
    effect    = "Allow"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.events.arn]
  }

  statement {
    sid       = "EncryptForTheTopic"
    effect    = "Allow"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.topics.arn]
  }

  statement {
    sid       = "SetAsideWhatCannotBePublished"
    effect    = "Allow"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events_dlq.arn]
  }
}
