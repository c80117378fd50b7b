output "role_arns" {
  description = "ARN of each role, by repository and action: the variable AWS_ROLE_ARN of that repository's GitHub environments `{environment}-plan` and `{environment}`."
  value       = { for key, role in aws_iam_role.deploy : key => role.arn }
}
