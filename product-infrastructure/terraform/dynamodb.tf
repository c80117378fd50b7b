resource "aws_dynamodb_table" "products" {
  # checkov:skip=CKV_AWS_119:encrypted with the account's AWS-managed key; whoever deletes a key of ours would take the table with it
  name                        = "products"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "PK"
  range_key                   = "SK"
  stream_enabled              = true
  stream_view_type            = "NEW_AND_OLD_IMAGES" # The audit trail records the product before and after.
  deletion_protection_enabled = var.environment != "dev"

  attribute {
    name = "PK"
    type = "S"
  }

  attribute {
    name = "SK"
    type = "S"
  }

  attribute {
    name = "GSI1_PK"
    type = "S"
  }

  attribute {
    name = "GSI1_SK"
    type = "S"
  }

  attribute {
    name = "GSI2_PK"
    type = "S"
  }

  attribute {
    name = "GSI2_SK"
    type = "S"
  }

  attribute {
    name = "GSI3_PK"
    type = "S"
  }

  attribute {
    name = "GSI4_PK"
    type = "S"
  }

  attribute {
    name = "GSI4_SK"
    type = "S"
  }

  # ACTIVE#{shard} / {currency}#{padded price}#{id}. Only active products carry the keys: the index is sparse, so a
  # deleted product is absent from it and no list request ever filters.
  global_secondary_index {
    name            = "ProductsByPriceIndex"
    hash_key        = "GSI1_PK"
    range_key       = "GSI1_SK"
    projection_type = "ALL"
  }

  # NAME#{first two characters of the folded name} / {folded name}{tab}{GSI1_SK}. The sort key answers exact names and
  # prefixes alike, and products with the same name come in price order.
  global_secondary_index {
    name            = "ProductsByNameIndex"
    hash_key        = "GSI2_PK"
    range_key       = "GSI2_SK"
    projection_type = "ALL"
  }

  # CATEGORY#{folded category}, in price order. Sparse: active products with a category only.
  global_secondary_index {
    name            = "ProductsByCategoryIndex"
    hash_key        = "GSI3_PK"
    range_key       = "GSI1_SK"
    projection_type = "ALL"
  }

  # FEED#{shard} / {recordedAt}#{id}: every product at the time of its newest change, deleted products too, for clients
  # that synchronize. Small, because every change of every product writes it: the feed reads the products themselves from
  # the table.
  global_secondary_index {
    name               = "ProductsByChangeIndex"
    hash_key           = "GSI4_PK"
    range_key          = "GSI4_SK"
    projection_type    = "INCLUDE"
    non_key_attributes = ["lastEventId", "status", "version"]
  }

  # Journal entries leave after 90 days; the audit bucket has them for good.
  ttl {
    attribute_name = "expiresAt"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }

  lifecycle {
    prevent_destroy = true
  }
}
