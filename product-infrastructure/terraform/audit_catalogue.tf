# The audit records as a table for Athena. Partition projection computes the partitions from the dates in the keys: no
# crawler to run, none to pay, and today's records are there at once.
resource "aws_glue_catalog_database" "audit" {
  name        = "bbws_product_audit_${var.environment}"
  description = "Audit records of the product catalogue"
}

locals {
  audit_table_partitions = {
    year  = "2026,2045" # Athena lists every projected partition that a query doesn't exclude.
    month = "1,12"
    day   = "1,31"
  }

  # Products appear as they were written, in JSON: `json_extract_scalar(after, '$.name')`. Columns for each field would
  # have to follow every change of the product, and fail on old records.
  # Records are JSON in camelCase, Glue's column names are lower-case: each column says which member it is of. `actor` is a
  # string like `before` and `after`, because the mapping doesn't reach members of a struct: json_extract_scalar(actor,
  # '$.apiKeyId').
  audit_table_columns = [
    { member = "schemaVersion", type = "int", comment = "Version of the record's form" },
    { member = "recordType", type = "string", comment = "CHANGE" },
    { member = "eventId", type = "string", comment = "UUIDv7 of the change" },
    { member = "type", type = "string", comment = "CREATE, UPDATE or DELETE" },
    { member = "productId", type = "string", comment = "ID of the changed product" },
    { member = "occurredAt", type = "string", comment = "Time at which the API accepted the change" },
    { member = "recordedAt", type = "string", comment = "Time at which the change was recorded" },
    { member = "actor", type = "string", comment = "API key ID and source address of the request, as JSON" },
    { member = "requestId", type = "string", comment = "API Gateway's ID of the request" },
    { member = "expectedVersion", type = "bigint", comment = "Version in the request's If-Match header" },
    { member = "fingerprint", type = "string", comment = "SHA-256 of the requested product or patch" },
    { member = "requested", type = "string", comment = "Requested product or patch of a change that wasn't applied as sent, as JSON" },
    { member = "outcome", type = "string", comment = "APPLIED, DUPLICATE, REJECTED or SUPERSEDED" },
    { member = "reason", type = "string", comment = "Reason of a rejection" },
    { member = "version", type = "bigint", comment = "Version of the product after the change" },
    { member = "before", type = "string", comment = "Product before the change, as JSON" },
    { member = "after", type = "string", comment = "Product after the change, as JSON" },
    { member = "prevHash", type = "string", comment = "Hash of the product's previous applied record" },
    { member = "hash", type = "string", comment = "Hash of this record" },
  ]

  out_of_band_table_columns = [
    { member = "schemaVersion", type = "int", comment = "Version of the record's form" },
    { member = "recordType", type = "string", comment = "OUT_OF_BAND" },
    { member = "cause", type = "string", comment = "MANUAL, or TTL: the item had expired" },
    { member = "streamEventId", type = "string", comment = "ID of the stream record; the object's name" },
    { member = "changeType", type = "string", comment = "INSERT, MODIFY or REMOVE" },
    { member = "observedAt", type = "string", comment = "Time at which the change was observed" },
    { member = "key", type = "string", comment = "PK and SK of the changed item, as JSON" },
    { member = "before", type = "string", comment = "Item before the change, as JSON" },
    { member = "after", type = "string", comment = "Item after the change, as JSON" },
  ]

  audit_tables = {
    events      = { prefix = "events", columns = local.audit_table_columns, description = "One row for each change event, whatever became of it" }
    out_of_band = { prefix = "out-of-band", columns = local.out_of_band_table_columns, description = "One row for each change of the table that was made outside the API" }
  }
}

resource "aws_glue_catalog_table" "audit" {
  for_each = local.audit_tables

  name          = each.key
  database_name = aws_glue_catalog_database.audit.name
  description   = each.value.description
  table_type    = "EXTERNAL_TABLE"

  parameters = merge(
    {
      EXTERNAL             = "TRUE"
      classification       = "json"
      "projection.enabled" = "true"
      # Athena skips archived records without a word; with this it reads those that were restored.
      "read_restored_glacier_objects" = "true"
      "storage.location.template"     = "s3://${aws_s3_bucket.audit_logs.bucket}/${each.value.prefix}/year=$${year}/month=$${month}/day=$${day}/"
    },
    { for name, range in local.audit_table_partitions : "projection.${name}.type" => "integer" },
    { for name, range in local.audit_table_partitions : "projection.${name}.range" => range },
    { for name, range in local.audit_table_partitions : "projection.${name}.digits" => name == "year" ? "4" : "2" },
  )

  # Strings, because the keys pad them with zeros: `WHERE year = '2026' AND month = '01'`.
  dynamic "partition_keys" {
    for_each = ["year", "month", "day"]

    content {
      name = partition_keys.value
      type = "string"
    }
  }

  storage_descriptor {
    location      = "s3://${aws_s3_bucket.audit_logs.bucket}/${each.value.prefix}/"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"

    ser_de_info {
      serialization_library = "org.openx.data.jsonserde.JsonSerDe"
      # Case-insensitive, one product with the attributes `Color` and `color` fails the whole query.
      parameters = merge(
        { "case.insensitive" = "FALSE" },
        { for column in each.value.columns : "mapping.${lower(column.member)}" => column.member },
      )
    }

    dynamic "columns" {
      for_each = each.value.columns

      content {
        name    = lower(columns.value.member)
        type    = columns.value.type
        comment = columns.value.comment
      }
    }
  }
}
