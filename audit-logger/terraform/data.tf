data "terraform_remote_state" "infrastructure" {
  backend = "s3"

  config = {
    bucket = "bbws-terraform-state-${var.environment}${var.bucket_suffix}"
    key    = "product-infrastructure/terraform.tfstate"
    region = var.aws_region
  }

  lifecycle {
    # Everything here hangs on this state. Checked at the source, a missing or foreign one is a single message instead of
    # an unsupported attribute for each output.
    postcondition {
      condition     = try(self.outputs.contract_version, null) == "2"
      error_message = "The infrastructure of ${var.environment} offers contract version ${try(self.outputs.contract_version, "(none)")}, but this function was written for version 2. Apply product-infrastructure/terraform to ${var.environment} first, at a revision that belongs together with this one."
    }

    postcondition {
      condition     = try(self.outputs.environment, var.environment) == var.environment
      error_message = "The state in bbws-terraform-state-${var.environment}${var.bucket_suffix} describes environment ${try(self.outputs.environment, "(none)")}, not ${var.environment}."
    }
  }
}

data "aws_caller_identity" "current" {
  lifecycle {
    postcondition {
      condition     = self.account_id == var.account_id
      error_message = "These credentials belong to account ${self.account_id}, but environment ${var.environment} lives in account ${var.account_id}. Each environment is an account of its own."
    }
  }
}

locals {
  infrastructure = data.terraform_remote_state.infrastructure.outputs
}
