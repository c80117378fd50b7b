environment          = "sit"
throttle_rate_limit  = 100
throttle_burst_limit = 200
audit_retention_days = 30
