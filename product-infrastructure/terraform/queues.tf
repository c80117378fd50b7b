# Two queues and the dead-letter queue of each. Standard, not FIFO: order and exactly-once are settled by product-creator
# in the table, where they would have to be settled anyway (a redrive gives a message a new identity).
locals {
  max_receive_count = 5

  # A message keeps its original enqueue time when it moves to a dead-letter queue, so the dead-letter queue must hold
  # it longer than the queue does, or it could vanish on arrival.
  queue_retention_seconds       = 4 * 24 * 60 * 60
  dead_letter_retention_seconds = 14 * 24 * 60 * 60

  # Queues and their policies name one another and the topic. Names being a contract, the ARNs are known beforehand; a
  # policy can then be part of its queue, and none of them exists for a moment without it.
  queue_arns = {
    for queue in ["change", "change-dlq", "audit", "audit-dlq", "events-dlq"] :
    queue => "arn:${local.partition}:sqs:${var.aws_region}:${local.account_id}:bbws-product-${queue}-${var.environment}"
  }
  events_topic_arn = "arn:${local.partition}:sns:${var.aws_region}:${local.account_id}:bbws-product-events-${var.environment}"
}

resource "aws_sqs_queue" "change" {
  name                       = "bbws-product-change-${var.environment}"
  visibility_timeout_seconds = var.queue_visibility_timeout_seconds
  message_retention_seconds  = local.queue_retention_seconds
  sqs_managed_sse_enabled    = true
  policy                     = data.aws_iam_policy_document.queue["change"].json

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.change_dlq.arn
    maxReceiveCount     = local.max_receive_count
  })
}

resource "aws_sqs_queue" "change_dlq" {
  name                      = "bbws-product-change-dlq-${var.environment}"
  message_retention_seconds = local.dead_letter_retention_seconds
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.queue["change-dlq"].json

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue_arns["change"]]
  })
}

resource "aws_sqs_queue" "audit" {
  name                       = "bbws-product-audit-${var.environment}"
  visibility_timeout_seconds = var.queue_visibility_timeout_seconds
  message_retention_seconds  = local.queue_retention_seconds
  sqs_managed_sse_enabled    = true
  policy                     = data.aws_iam_policy_document.queue["audit"].json

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.audit_dlq.arn
    maxReceiveCount     = local.max_receive_count
  })
}

resource "aws_sqs_queue" "audit_dlq" {
  name                      = "bbws-product-audit-dlq-${var.environment}"
  message_retention_seconds = local.dead_letter_retention_seconds
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.queue["audit-dlq"].json

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue_arns["audit"]]
  })
}

# Who may use a queue is said in IAM, in the roles of those that do; the queues themselves insist on TLS, and the two on
# the audit side let the topic deliver: to the queue, and what it cannot deliver to the dead-letter queue (events.tf).
data "aws_iam_policy_document" "queue" {
  for_each = local.queue_arns

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"] # A denial is meant to be total.
    resources = [each.value]

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

  dynamic "statement" {
    for_each = contains(["audit", "audit-dlq"], each.key) ? ["sns.amazonaws.com"] : []

    content {
      sid       = "EventsTopicDelivers"
      effect    = "Allow"
      actions   = ["sqs:SendMessage"]
      resources = [each.value]

      principals {
        type        = "Service"
        identifiers = [statement.value]
      }

      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [local.events_topic_arn]
      }
    }
  }
}
