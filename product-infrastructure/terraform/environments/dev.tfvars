environment          = "dev"
throttle_rate_limit  = 500
throttle_burst_limit = 1000
audit_retention_days = 1
