# Everything: buckets, roles, an EKS cluster with Karpenter, Prefect, KubeRay and s2i. Copy this folder, fill in
# terraform.tfvars, and see infra/terraform/README.md for the order of the steps.

terraform {
  required_version = ">= 1.10"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.28"
    }
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 2.35"
    }
  }

  # tofu init -backend-config=backend.hcl, with what infra/terraform/bootstrap printed.
  backend "s3" {
    key = "s2i/complete.tfstate"
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = var.name, "managed-by" = "opentofu" }
  }
}

provider "kubernetes" {
  host                   = module.cluster.endpoint
  cluster_ca_certificate = module.cluster.certificate_authority

  exec {
    api_version = "client.authentication.k8s.io/v1beta1"
    command     = "aws"
    args        = ["eks", "get-token", "--cluster-name", module.cluster.name, "--region", var.region]
  }
}

provider "helm" {
  kubernetes = {
    host                   = module.cluster.endpoint
    cluster_ca_certificate = module.cluster.certificate_authority

    exec = {
      api_version = "client.authentication.k8s.io/v1beta1"
      command     = "aws"
      args        = ["eks", "get-token", "--cluster-name", module.cluster.name, "--region", var.region]
    }
  }
}

locals {
  # The machines of the chart's sizes at their largest, as docs/cluster.md has them: for workers of the batch cluster, and
  # for pods of the service. Karpenter counts what a machine has, not what its pods ask for.
  asked = {
    small  = { cpus = 8, gpus = 0 }
    medium = { cpus = 144, gpus = 4 }
    large  = { cpus = 1024, gpus = 96 }
  }
}

module "storage" {
  source = "../../modules/storage"

  name            = var.name
  archive_bucket  = var.archive_bucket
  pictures_bucket = var.pictures_bucket
  logs_bucket     = var.logs_bucket

  existing          = var.existing_buckets.which
  existing_key_arns = var.existing_buckets.key_arns
  archive_class     = var.archive_class
}

module "cluster" {
  source = "../../modules/cluster"

  name      = var.name
  api_cidrs = var.api_cidrs
  access    = var.access
  cpu_limit = coalesce(var.cpu_limit, local.asked[var.size].cpus)
  gpu_limit = coalesce(var.gpu_limit, local.asked[var.size].gpus)
}

module "identities" {
  source = "../../modules/identities"

  name         = var.name
  archive_arn  = module.storage.archive_arn
  pictures_arn = module.storage.pictures_arn
  key_arns     = module.storage.key_arns
  cluster_name = module.cluster.name
  principals   = { analyst = var.analysts }
}

module "platform" {
  source = "../../modules/platform"

  region = var.region
  size   = var.size
  image  = var.image
  redis  = var.redis
  values = var.values

  night            = var.night
  alerts           = var.alerts
  budget_usd_a_day = var.budget_usd_a_day

  prefect_ingress = { host = var.prefect_host }
  secrets         = { prefect_database = var.prefect_database }

  depends_on = [module.identities]
}
