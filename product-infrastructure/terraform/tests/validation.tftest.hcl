# What is refused, before anything is planned.

mock_provider "aws" {
  source = "./tests/mocks"
  # Plans alone: what an apply made could not be taken away again, with prevent_destroy on table, bucket and key.
  override_during = plan
}

variables {
  account_id           = "111122223333"
  environment          = "dev"
  throttle_rate_limit  = 500
  throttle_burst_limit = 1000
  audit_retention_days = 1
}

run "rejects_malformed_bucket_suffix" {
  command = plan

  variables {
    bucket_suffix = "MINE"
  }

  expect_failures = [var.bucket_suffix]
}

run "rejects_runbooks_url_with_trailing_slash" {
  command = plan

  variables {
    runbooks_url = "https://github.com/example-shop/product-infrastructure/blob/main/docs/runbooks/"
  }

  expect_failures = [var.runbooks_url]
}

run "rejects_fraction_of_a_settle_second" {
  command = plan

  variables {
    stream_settle_seconds = 0.5
  }

  expect_failures = [var.stream_settle_seconds]
}

run "rejects_negative_archive_size" {
  command = plan

  variables {
    audit_archive_min_bytes = -1
  }

  expect_failures = [var.audit_archive_min_bytes]
}

run "rejects_prod_without_daily_verification" {
  command = plan

  variables {
    environment          = "prod"
    audit_retention_days = 2557
    alert_emails         = ["on-call@example.com"]
    audit_verified_daily = false
  }

  expect_failures = [var.audit_verified_daily]
}

run "rejects_query_limit_below_athenas_minimum" {
  command = plan

  variables {
    audit_query_limit_bytes = 1048576
  }

  expect_failures = [var.audit_query_limit_bytes]
}

run "refuses_an_unknown_environment" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "refuses_what_is_no_region" {
  command = plan

  variables {
    aws_region = "Ireland"
  }

  expect_failures = [var.aws_region]
}

run "rejects_malformed_account_id" {
  command = plan

  variables {
    account_id = "12345"
  }

  expect_failures = [var.account_id]
}

run "refuses_another_account" {
  command = plan

  variables {
    account_id = "999999999999"
  }

  expect_failures = [data.aws_caller_identity.current]
}

run "refuses_what_is_no_address" {
  command = plan

  variables {
    alert_emails = ["on-call"]
  }

  expect_failures = [var.alert_emails]
}

run "refuses_to_mail_changes_to_what_is_no_address" {
  command = plan

  variables {
    change_emails = ["buyer@example.com", "buyer"]
  }

  expect_failures = [var.change_emails]
}

run "refuses_prod_without_anybody_to_alert" {
  command = plan

  variables {
    environment          = "prod"
    audit_retention_days = 2557
  }

  expect_failures = [var.alert_emails]
}

run "refuses_less_than_seven_years_of_retention_in_prod" {
  command = plan

  variables {
    environment          = "prod"
    alert_emails         = ["on-call@example.com"]
    audit_retention_days = 2556
  }

  expect_failures = [var.audit_retention_days]
}

run "refuses_no_retention" {
  command = plan

  variables {
    audit_retention_days = 0
  }

  expect_failures = [var.audit_retention_days]
}

run "refuses_no_shards" {
  command = plan

  variables {
    list_shards = 0
  }

  expect_failures = [var.list_shards]
}

run "refuses_half_a_shard" {
  command = plan

  variables {
    list_shards = 1.5
  }

  expect_failures = [var.list_shards]
}

run "refuses_a_rate_of_nothing" {
  command = plan

  variables {
    throttle_rate_limit = 0
  }

  expect_failures = [var.throttle_rate_limit]
}

run "refuses_a_burst_below_the_rate" {
  command = plan

  variables {
    throttle_burst_limit = 499
  }

  expect_failures = [var.throttle_burst_limit]
}

run "refuses_a_visibility_that_is_too_short_for_the_functions" {
  command = plan

  variables {
    queue_visibility_timeout_seconds = 59
  }

  expect_failures = [var.queue_visibility_timeout_seconds]
}

run "refuses_an_alarm_on_messages_that_are_not_old" {
  command = plan

  variables {
    oldest_message_alarm_seconds = 59
  }

  expect_failures = [var.oldest_message_alarm_seconds]
}
