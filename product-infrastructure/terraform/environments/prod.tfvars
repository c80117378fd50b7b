environment          = "prod"
throttle_rate_limit  = 200
throttle_burst_limit = 400
# Seven years. In compliance mode this cannot be undone for a record once it is written.
audit_retention_days = 2557
# alert_emails and account_id come from the pipeline (TF_VAR_alert_emails, TF_VAR_account_id): an address or an
# account number is not the repository's to publish. Without alert_emails a plan for prod is refused.
