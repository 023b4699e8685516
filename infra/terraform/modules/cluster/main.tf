# A network, an EKS cluster with a few small nodes for what must always run, and Karpenter, which buys CPU and GPU nodes
# when pods wait for them and gives them back.

terraform {
  required_version = ">= 1.8"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.28"
    }
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.0"
    }
  }
}

data "aws_availability_zones" "available" {
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_region" "this" {}

locals {
  policies = { look = "View", change = "Edit", everything = "ClusterAdmin" }

  zones = slice(data.aws_availability_zones.available.names, 0, var.zones)
}

module "vpc" {
  source  = "terraform-aws-modules/vpc/aws"
  version = "6.6.0"

  name = var.name
  cidr = var.cidr

  azs             = local.zones
  private_subnets = [for number, zone in local.zones : cidrsubnet(var.cidr, 4, number)]
  public_subnets  = [for number, zone in local.zones : cidrsubnet(var.cidr, 8, number + 240)]

  enable_nat_gateway = true
  single_nat_gateway = var.single_nat_gateway

  private_subnet_tags = {
    "kubernetes.io/role/internal-elb" = 1
    "karpenter.sh/discovery"          = var.name
  }
  public_subnet_tags = {
    "kubernetes.io/role/elb" = 1
  }
}

# Recordings and pictures come and go without passing the NAT gateway, which costs by the gigabyte.
module "endpoints" {
  source  = "terraform-aws-modules/vpc/aws//modules/vpc-endpoints"
  version = "6.6.0"

  vpc_id = module.vpc.vpc_id

  endpoints = {
    s3 = {
      service         = "s3"
      service_type    = "Gateway"
      route_table_ids = module.vpc.private_route_table_ids
    }
  }
}

module "eks" {
  source  = "terraform-aws-modules/eks/aws"
  version = "21.19.0"

  name               = var.name
  kubernetes_version = var.kubernetes_version

  endpoint_private_access      = true
  endpoint_public_access       = length(var.api_cidrs) > 0
  endpoint_public_access_cidrs = var.api_cidrs

  enable_cluster_creator_admin_permissions = var.creator_is_admin

  # Who else may talk to the API, and what they may do there.
  access_entries = { for name, entry in var.access : name => {
    principal_arn = entry.principal
    policy_associations = { this = {
      policy_arn   = "arn:aws:eks::aws:cluster-access-policy/AmazonEKS${local.policies[entry.may]}Policy"
      access_scope = length(entry.namespaces) == 0 ? { type = "cluster" } : { type = "namespace", namespaces = entry.namespaces }
    } }
  } }
  deletion_protection = var.deletion_protection

  # Secrets in the cluster's database are encrypted with a key of ours, which the module makes.
  create_kms_key    = true
  encryption_config = { resources = ["secrets"] }

  enabled_log_types                      = ["api", "audit", "authenticator"]
  cloudwatch_log_group_retention_in_days = 90

  addons = {
    coredns                = {}
    kube-proxy             = {}
    eks-pod-identity-agent = { before_compute = true }
    # Without it every claim of a volume waits for ever.
    aws-ebs-csi-driver = {
      pod_identity_association = [{ role_arn = aws_iam_role.volumes.arn, service_account = "ebs-csi-controller-sa" }]
    }
    vpc-cni = {
      before_compute = true
      # Without this, network policies are accepted and do nothing.
      configuration_values = jsonencode({ enableNetworkPolicy = "true" })
    }
  }

  vpc_id     = module.vpc.vpc_id
  subnet_ids = module.vpc.private_subnets

  eks_managed_node_groups = {
    system = {
      ami_type       = "AL2023_x86_64_STANDARD"
      instance_types = [var.system_instance]
      min_size       = 2
      max_size       = 4
      desired_size   = 2
      labels         = { "karpenter.sh/controller" = "true" }

      # Version 2 of the metadata service, one hop: pods cannot take the node's role.
      metadata_options = {
        http_tokens                 = "required"
        http_put_response_hop_limit = 1
      }
    }
  }

  node_security_group_tags = { "karpenter.sh/discovery" = var.name }
}

data "aws_iam_policy_document" "volumes" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "volumes" {
  name               = "${var.name}-volumes"
  assume_role_policy = data.aws_iam_policy_document.volumes.json
}

resource "aws_iam_role_policy_attachment" "volumes" {
  role       = aws_iam_role.volumes.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
}

module "karpenter" {
  source  = "terraform-aws-modules/eks/aws//modules/karpenter"
  version = "21.19.0"

  cluster_name                    = module.eks.cluster_name
  node_iam_role_name              = "${var.name}-node"
  node_iam_role_use_name_prefix   = false
  create_pod_identity_association = true
  enable_spot_termination         = true
}

resource "helm_release" "karpenter" {
  name       = "karpenter"
  namespace  = "kube-system"
  repository = "oci://public.ecr.aws/karpenter"
  chart      = "karpenter"
  version    = var.karpenter_version
  wait       = true

  values = [yamlencode({
    nodeSelector = { "karpenter.sh/controller" = "true" }
    settings = {
      clusterName       = module.eks.cluster_name
      clusterEndpoint   = module.eks.cluster_endpoint
      interruptionQueue = module.karpenter.queue_name
    }
  })]
}

# The pools are resources of Karpenter's own kinds; a small chart carries them, so that a plan needs no cluster.
resource "helm_release" "pools" {
  name      = "node-pools"
  namespace = "kube-system"
  chart     = "${path.module}/pools"

  values = [yamlencode({
    cluster      = module.eks.cluster_name
    role         = module.karpenter.node_iam_role_name
    cpuLimit     = var.cpu_limit
    headLimit    = var.head_limit
    gpuLimit     = var.gpu_limit
    gpuInstances = var.gpu_instances
    amiAlias     = var.ami_alias
  })]

  depends_on = [helm_release.karpenter]
}

# The device plugin tells Kubernetes of the GPUs that a node has.
resource "helm_release" "nvidia" {
  name       = "nvidia-device-plugin"
  namespace  = "kube-system"
  repository = "https://nvidia.github.io/k8s-device-plugin"
  chart      = "nvidia-device-plugin"
  version    = var.device_plugin_version

  values = [yamlencode({
    nodeSelector = { "s2i/pool" = "gpu" }
    tolerations  = [{ key = "nvidia.com/gpu", operator = "Exists", effect = "NoSchedule" }]
    affinity     = {}
  })]
}
