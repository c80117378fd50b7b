# Never a value: `catalogctl keys export` fetches it from the secret.

output "api_key_id" {
  description = "Id of the current API key."
  value       = aws_api_gateway_api_key.product[tostring(local.current_generation)].id
}

output "api_key_ids" {
  description = "Ids of all API keys, disabled ones included, by generation."
  value       = { for generation, key in aws_api_gateway_api_key.product : generation => key.id }
}

output "secret_name" {
  description = "Secret that holds the current key's value."
  value       = local.infrastructure.api_key_secret_name
}

output "client_secret_names" {
  description = "Secrets that hold the other clients' current keys, by client."
  value       = { for client, secret in aws_secretsmanager_secret.client : client => secret.name }
}
