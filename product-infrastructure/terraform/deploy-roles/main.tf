# Whom a pipeline is on AWS: two roles for each repository and environment, trusted through GitHub's OIDC tokens, so that
# no key of AWS is kept at GitHub. A root of its own, applied by an administrator: a pipeline that could write this root
# could give itself any right.
locals {
  # Called by API Gateway, or by a queue.
  api_functions   = toset(["list-products", "get-product", "create-product", "update-product", "delete-product"])
  queue_functions = toset(["product-creator", "audit-logger"])
  functions       = setunion(local.api_functions, local.queue_functions)
  repositories    = setunion(local.functions, ["product-infrastructure"])

  account_id = data.aws_caller_identity.current.account_id
  # What begins every ARN of this account and region, but for the service.
  place = "${var.aws_region}:${local.account_id}"

  state_bucket = "arn:aws:s3:::bbws-terraform-state-${var.environment}"
  # Made by the infrastructure. Known by name: the roles come first.
  function_boundary = "arn:aws:iam::${local.account_id}:policy/bbws-product-function-boundary-${var.environment}"
  function_logs     = "arn:aws:iam::${local.account_id}:policy/bbws-product-function-logs-${var.environment}"

  # The names of the GitHub environments are the suffixes of the roles: a plan may read, an apply may write, and only the
  # environment of an apply has reviewers.
  roles = merge([
    for repository in local.repositories : {
      "${repository}/plan"  = { repository = repository, name = "bbws-deploy-${repository}-${var.environment}-plan", github_environment = "${var.environment}-plan" }
      "${repository}/apply" = { repository = repository, name = "bbws-deploy-${repository}-${var.environment}", github_environment = var.environment }
    }
  ]...)
}

data "aws_caller_identity" "current" {
  lifecycle {
    postcondition {
      condition     = var.account_id == null ? true : self.account_id == var.account_id
      error_message = "These credentials belong to account ${self.account_id}, but environment ${var.environment} lives in account ${coalesce(var.account_id, "?")}. Each environment is an account of its own."
    }
  }
}

# No thumbprint: AWS checks GitHub's certificate against its own list of authorities.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html
resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "deploy" {
  for_each = local.roles

  name                 = each.value.name
  description          = "Assumed by ${each.value.repository}'s workflows in the GitHub environment ${each.value.github_environment}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 3600
}

# The subject of a job that runs in a GitHub environment names the repository and the environment, nothing else can have
# that subject. Which branches may use an environment is a setting of the environment.
# https://docs.github.com/en/actions/reference/security/oidc#filtering-for-a-specific-environment
data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    effect  = "Allow"
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["repo:${var.github_owner}/${each.value.repository}:environment:${each.value.github_environment}"]
    }
  }
}
