# Buckets and roles for a cluster that you have already: on-premises, another cloud, or the Ray launcher's machines.

terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }

  backend "s3" {
    key = "s2i/buckets.tfstate"
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "names" {
  description = "Names of the buckets."
  type        = object({ archive = string, pictures = string, logs = string })
}

variable "principals" {
  description = "Who may take which role: ARNs by writer, reader, analyst."
  type        = map(list(string))
}

provider "aws" {
  region = var.region
}

module "storage" {
  source = "../../modules/storage"

  name            = "s2i"
  archive_bucket  = var.names.archive
  pictures_bucket = var.names.pictures
  logs_bucket     = var.names.logs
}

module "identities" {
  source = "../../modules/identities"

  name         = "s2i"
  archive_arn  = module.storage.archive_arn
  pictures_arn = module.storage.pictures_arn
  key_arns     = module.storage.key_arns
  principals   = var.principals
}

output "roles" {
  description = "ARNs of the roles."
  value       = module.identities.role_arns
}
