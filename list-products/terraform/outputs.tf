output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "ARN of the function, without a version."
  value       = aws_lambda_function.this.arn
}

output "live_alias_arn" {
  description = "ARN of the alias `live`, which is what callers call."
  value       = aws_lambda_alias.live.arn
}

output "published_version" {
  description = "Newest published version; `live` may still point to an older one."
  value       = aws_lambda_function.this.version
}

output "live_version" {
  description = "Version that `live` points to."
  value       = aws_lambda_alias.live.function_version
}

output "log_group_name" {
  description = "Log group of the function."
  value       = aws_cloudwatch_log_group.function.name
}

output "alarm_names" {
  description = "Names of this function's alarms."
  value = sort(concat(
    [aws_cloudwatch_metric_alarm.errors.alarm_name, aws_cloudwatch_metric_alarm.duration_p95.alarm_name],
    local.further_alarm_names,
  ))
}
