# Whom a pipeline is on AWS: two roles for each repository and environment, and one that verifies the audit log, trusted through GitHub's OIDC tokens, so that
# no key of AWS is kept at GitHub. A root of its own, applied by an administrator: a pipeline that could write this root
# could give itself any right.
locals {
  # Called by API Gateway, or by a queue.
  api_functions   = toset(["list-products", "get-product", "create-product", "update-product", "delete-product"])
  queue_functions = toset(["product-creator", "audit-logger"])
  functions       = setunion(local.api_functions, local.queue_functions)
  repositories    = setunion(local.functions, ["product-infrastructure"])

  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition # `aws`, but `aws-cn` in China and `aws-us-gov` in GovCloud.
  # What begins every ARN of this account and region, but for the service.
  place = "${var.aws_region}:${local.account_id}"

  state_bucket = "arn:${local.partition}:s3:::bbws-terraform-state-${var.environment}${var.bucket_suffix}"
  # Made by the infrastructure. Known by name: the roles come first.
  function_boundary = "arn:${local.partition}:iam::${local.account_id}:policy/bbws-product-function-boundary-${var.environment}"
  function_logs     = "arn:${local.partition}:iam::${local.account_id}:policy/bbws-product-function-logs-${var.environment}"

  oidc_provider_arn = one(concat(aws_iam_openid_connect_provider.github[*].arn, data.aws_iam_openid_connect_provider.github[*].arn))

  # repo:OWNER@OWNER_ID/REPOSITORY@REPOSITORY_ID
  subject_prefixes = {
    for repository in local.repositories :
    repository => "repo:${var.github_owner}@${var.github_owner_id}/${repository}@${var.github_repository_ids[repository]}"
  }

  # The names of the GitHub environments are the suffixes of the roles: a plan may read, an apply may write, and only the
  # environment of an apply has reviewers. The audit's verification has an environment of its own: no pipeline reads records.
  roles = merge(
    { (local.audit_role) = { repository = "product-infrastructure", name = "bbws-product-audit-verifier-${var.environment}", github_environment = "${var.environment}-audit" } },
    [
      for repository in local.repositories : {
        "${repository}/plan"  = { repository = repository, name = "bbws-deploy-${repository}-${var.environment}-plan", github_environment = "${var.environment}-plan" }
        "${repository}/apply" = { repository = repository, name = "bbws-deploy-${repository}-${var.environment}", github_environment = var.environment }
      }
  ]...)
  audit_role = "product-infrastructure/audit"
}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {
  lifecycle {
    postcondition {
      condition     = self.account_id == var.account_id
      error_message = "These credentials belong to account ${self.account_id}, but environment ${var.environment} lives in account ${var.account_id}. Each environment is an account of its own."
    }
  }
}

# No thumbprint: AWS checks GitHub's certificate against its own list of authorities.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html
# An account holds one provider per URL; where another team has created GitHub's already, it is used as it is.
resource "aws_iam_openid_connect_provider" "github" {
  count = var.create_oidc_provider ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_openid_connect_provider" "github" {
  count = var.create_oidc_provider ? 0 : 1

  url = "https://token.actions.githubusercontent.com"
}

resource "aws_iam_role" "deploy" {
  for_each = local.roles

  name                 = each.value.name
  description          = "Assumed by ${each.value.repository}'s workflows in the GitHub environment ${each.value.github_environment}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 3600
}

# The subject of a job that runs in a GitHub environment names owner, repository and environment, and nothing else can have
# that subject. The IDs in it stay with the repository: who registers a deleted name again gets other IDs.
# https://github.blog/changelog/2026-04-23-immutable-subject-claims-for-github-actions-oidc-tokens
# https://docs.github.com/en/actions/reference/security/oidc#filtering-for-a-specific-environment
#
# Beside the subject, the roles that write and the one that reads audit records are for workflows of `main` alone: an
# environment's branch rule is a setting that a repository's administrator can change, and this is not.
data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["${local.subject_prefixes[each.value.repository]}:environment:${each.value.github_environment}"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:repository_id"
      values   = [var.github_repository_ids[each.value.repository]]
    }

    dynamic "condition" {
      for_each = endswith(each.key, "/plan") ? [] : ["refs/heads/main"]

      content {
        test     = "StringEquals"
        variable = "token.actions.githubusercontent.com:ref"
        values   = [condition.value]
      }
    }
  }
}
