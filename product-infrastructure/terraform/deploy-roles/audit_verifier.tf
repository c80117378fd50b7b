# For the workflow that verifies the audit log each day: reads what an auditor reads, and publishes the result as a metric. Not the
# auditor role, because an auditor doesn't publish, and because that one exists only where somebody may assume it.
resource "aws_iam_role_policy" "audit_verifier_reads" {
  name   = "read"
  role   = aws_iam_role.deploy[local.audit_role].id
  policy = data.aws_iam_policy_document.audit_read.json
}

resource "aws_iam_role_policy" "audit_verifier_publishes" {
  name   = "publish"
  role   = aws_iam_role.deploy[local.audit_role].id
  policy = data.aws_iam_policy_document.audit_publish.json
}

data "aws_iam_policy_document" "audit_publish" {
  #checkov:skip=CKV_AWS_356:cloudwatch:PutMetricData has no resource to name; the condition names the namespace
  #checkov:skip=CKV_AWS_111:the same
  statement {
    sid       = "PublishResult"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"] # A metric isn't a resource; the condition says which namespace it may be in.

    # A namespace of its own: this role can't write the metrics that other alarms look at.
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["ProductCatalogue/Audit"]
    }
  }
}
