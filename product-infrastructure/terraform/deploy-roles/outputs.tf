output "role_arns" {
  description = "ARN of each role, by repository and action: the variable AWS_ROLE_ARN of that repository's GitHub environments `{environment}-plan`, `{environment}` and `{environment}-audit`."
  value       = { for key, role in aws_iam_role.deploy : key => role.arn }
}

output "environment_variables" {
  description = "Variables of each repository's GitHub environments, by repository and action, as scripts/setup-github.sh sets them."
  value = {
    for key, role in aws_iam_role.deploy : key => {
      AWS_ACCOUNT_ID = local.account_id
      AWS_REGION     = var.aws_region
      AWS_ROLE_ARN   = role.arn
    }
  }
}

output "auditor_role_arn" {
  description = "ARN of the read-only auditor role; null if auditor_principals is empty."
  value       = one(aws_iam_role.auditor[*].arn)
}
