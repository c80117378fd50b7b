# Two queues and the dead-letter queue of each. Standard, not FIFO: order and exactly-once are settled by product-creator
# in the table, where they would have to be settled anyway (a redrive gives a message a new identity).
locals {
  max_receive_count = 5

  # A message keeps its original enqueue time when it moves to a dead-letter queue, so the dead-letter queue must hold
  # it longer than the queue does, or it could vanish on arrival.
  queue_retention_seconds       = 4 * 24 * 60 * 60
  dead_letter_retention_seconds = 14 * 24 * 60 * 60
}

resource "aws_sqs_queue" "change" {
  name                       = "bbws-product-change-${var.environment}"
  visibility_timeout_seconds = var.queue_visibility_timeout_seconds
  message_retention_seconds  = local.queue_retention_seconds
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.change_dlq.arn
    maxReceiveCount     = local.max_receive_count
  })
}

resource "aws_sqs_queue" "change_dlq" {
  name                      = "bbws-product-change-dlq-${var.environment}"
  message_retention_seconds = local.dead_letter_retention_seconds
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_redrive_allow_policy" "change_dlq" {
  queue_url = aws_sqs_queue.change_dlq.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.change.arn]
  })
}

resource "aws_sqs_queue" "audit" {
  name                       = "bbws-product-audit-${var.environment}"
  visibility_timeout_seconds = var.queue_visibility_timeout_seconds
  message_retention_seconds  = local.queue_retention_seconds
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.audit_dlq.arn
    maxReceiveCount     = local.max_receive_count
  })
}

resource "aws_sqs_queue" "audit_dlq" {
  name                      = "bbws-product-audit-dlq-${var.environment}"
  message_retention_seconds = local.dead_letter_retention_seconds
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_redrive_allow_policy" "audit_dlq" {
  queue_url = aws_sqs_queue.audit_dlq.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.audit.arn]
  })
}

resource "aws_sqs_queue_policy" "change" {
  queue_url = aws_sqs_queue.change.id
  policy    = data.aws_iam_policy_document.change_queue.json
}

# Who may use the queue is said in IAM, in the roles of the functions; the queue itself only insists on TLS.
data "aws_iam_policy_document" "change_queue" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["sqs:*"] # A denial is meant to be total.
    resources = [aws_sqs_queue.change.arn]

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

resource "aws_sqs_queue_policy" "audit" {
  queue_url = aws_sqs_queue.audit.id
  policy    = data.aws_iam_policy_document.events_topic_delivers["audit"].json
}

resource "aws_sqs_queue_policy" "audit_dlq" {
  queue_url = aws_sqs_queue.audit_dlq.id
  policy    = data.aws_iam_policy_document.events_topic_delivers["audit_dlq"].json
}

# The topic delivers to the audit queue, and what it cannot deliver to the dead-letter queue (events.tf).
data "aws_iam_policy_document" "events_topic_delivers" {
  for_each = {
    audit     = aws_sqs_queue.audit.arn
    audit_dlq = aws_sqs_queue.audit_dlq.arn
  }

  statement {
    sid       = "EventsTopicDelivers"
    effect    = "Allow"
    actions   = ["sqs:SendMessage"]
    resources = [each.value]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_sns_topic.events.arn]
    }
  }

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
}
