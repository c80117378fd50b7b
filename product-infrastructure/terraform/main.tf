# What every file of this root starts from. Resources stand in the file of their own subject: api.tf, dynamodb.tf,
# queues.tf, events.tf, audit_bucket.tf, audit_catalogue.tf, audit_queries.tf, alerts.tf, dashboard.tf, log_queries.tf,
# secrets.tf, iam.tf, encryption.tf.
locals {
  repository = "product-infrastructure"

  # Raised when an output changes its meaning or goes away; every function compares it before it plans anything.
  contract_version = "2"

  # Created by deploy-roles, which an administrator applies first. Known by name: deploy-roles shares no state.
  service_boundary_arn = "arn:${local.partition}:iam::${local.account_id}:policy/bbws-product-service-boundary-${var.environment}"

  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition # `aws`, but `aws-cn` in China and `aws-us-gov` in GovCloud.
}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {
  lifecycle {
    postcondition {
      condition     = self.account_id == var.account_id
      error_message = "These credentials belong to account ${self.account_id}, but environment ${var.environment} lives in account ${var.account_id}. Each environment is an account of its own: the table is named `products` with no suffix, so two environments cannot share one."
    }
  }
}
