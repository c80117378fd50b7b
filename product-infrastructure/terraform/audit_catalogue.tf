# The audit records as a table for Athena. Partition projection computes the partitions from the dates in the keys: no
# crawler to run, none to pay, and today's records are there at once.
resource "aws_glue_catalog_database" "audit" {
  name        = "bbws_product_audit_${var.environment}"
  description = "Audit records of the product catalogue"
}

locals {
  audit_table_partitions = {
    year  = "2020,2100"
    month = "1,12"
    day   = "1,31"
  }

  # Products appear as they were written, in JSON: `json_extract_scalar(after, '$.name')`. Columns for each field would
  # have to follow every change of the product, and fail on old records.
  audit_table_columns = [
    { name = "schemaversion", type = "int", comment = "Version of the record's form" },
    { name = "recordtype", type = "string", comment = "CHANGE" },
    { name = "eventid", type = "string", comment = "UUIDv7 of the change" },
    { name = "type", type = "string", comment = "CREATE, UPDATE or DELETE" },
    { name = "productid", type = "string", comment = "The product changed" },
    { name = "occurredat", type = "string", comment = "When the API accepted the change" },
    { name = "recordedat", type = "string", comment = "When the change was decided" },
    { name = "actor", type = "struct<apikeyid:string,sourceip:string>", comment = "Who asked for it" },
    { name = "requestid", type = "string", comment = "API Gateway's id of the request" },
    { name = "expectedversion", type = "bigint", comment = "If-Match of the request, when given" },
    { name = "fingerprint", type = "string", comment = "SHA-256 of the product as requested" },
    { name = "outcome", type = "string", comment = "APPLIED, DUPLICATE, REJECTED or SUPERSEDED" },
    { name = "reason", type = "string", comment = "Why it was rejected" },
    { name = "version", type = "bigint", comment = "The product's version afterwards" },
    { name = "before", type = "string", comment = "The product before, JSON" },
    { name = "after", type = "string", comment = "The product after, JSON" },
    { name = "prevhash", type = "string", comment = "Hash of the product's previous applied record" },
    { name = "hash", type = "string", comment = "Hash of this record" },
  ]
}

resource "aws_glue_catalog_table" "audit_events" {
  name          = "events"
  database_name = aws_glue_catalog_database.audit.name
  description   = "One row for each change event, whatever became of it"
  table_type    = "EXTERNAL_TABLE"

  parameters = merge(
    {
      EXTERNAL                    = "TRUE"
      classification              = "json"
      "projection.enabled"        = "true"
      "storage.location.template" = "s3://${aws_s3_bucket.audit_logs.bucket}/events/year=$${year}/month=$${month}/day=$${day}/"
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
    location      = "s3://${aws_s3_bucket.audit_logs.bucket}/events/"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"

    ser_de_info {
      serialization_library = "org.openx.data.jsonserde.JsonSerDe"
      parameters            = { "case.insensitive" = "true" }
    }

    dynamic "columns" {
      for_each = local.audit_table_columns

      content {
        name    = columns.value.name
        type    = columns.value.type
        comment = columns.value.comment
      }
    }
  }
}
