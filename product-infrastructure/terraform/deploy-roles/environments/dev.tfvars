environment = "dev"
# To be filled in before the first plan: the GitHub organisation, or user, that the eight repositories belong to.
# github_owner = "example"
# Refuses credentials of any other account.
# account_id = "111122223333"
