mock_data "aws_caller_identity" {
  defaults = { account_id = "111122223333" }
}

mock_resource "aws_api_gateway_api_key" {
  defaults = { value = "0123456789012345678901234567890123456789" }
}
