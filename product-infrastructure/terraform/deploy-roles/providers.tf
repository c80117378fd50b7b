provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      Project     = "BBWS"
      Component   = "ProductCatalogue"
      Repository  = "product-infrastructure"
      Environment = var.environment
      ManagedBy   = "Terraform"
    }
  }
}
