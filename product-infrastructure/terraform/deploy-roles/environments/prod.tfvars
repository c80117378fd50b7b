environment = "prod"
# Before the first plan: the account, and the GitHub organisation or user that owns the eight repositories.
# `scripts/setup-github.sh ids OWNER` prints the last three.
# account_id            = "111122223333"
# github_owner          = "example"
# github_owner_id       = "1234567"
# github_repository_ids = { product-infrastructure = "123456789", … }
# auditor_principals    = ["arn:aws:iam::111122223333:role/Auditor"]    # who may assume bbws-product-auditor-prod
