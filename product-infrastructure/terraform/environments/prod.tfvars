environment          = "prod"
throttle_rate_limit  = 200
throttle_burst_limit = 400
# Seven years. In compliance mode this cannot be undone for a record once it is written.
audit_retention_days = 2557
# To be filled in before the first plan, which is refused without an address: an alarm must reach somebody.
# alert_emails = ["on-call@example.com"]
