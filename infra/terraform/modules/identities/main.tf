# Who may do what. Three roles: the writer is the batch job, the reader is the service and whoever looks at pages, the
# analyst sees tables and no recording, no picture, no page.

terraform {
  required_version = ">= 1.8"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

locals {
  archive  = trimsuffix("${var.archive_arn}/${var.archive_prefix}", "/")
  pictures = trimsuffix("${var.pictures_arn}/${var.pictures_prefix}", "/")

  archive_keys  = var.archive_prefix == "" ? "*" : "${var.archive_prefix}/*"
  pictures_keys = var.pictures_prefix == "" ? "*" : "${var.pictures_prefix}/*"
  tables_keys   = var.pictures_prefix == "" ? "tables/*" : "${var.pictures_prefix}/tables/*"

  roles = {
    writer  = data.aws_iam_policy_document.writer.json
    reader  = data.aws_iam_policy_document.reader.json
    analyst = data.aws_iam_policy_document.analyst.json
  }

  ec2 = "arn:aws:ec2:*:${data.aws_caller_identity.this.account_id}"

  # Pods get a role through EKS Pod Identity; people and programs elsewhere through the principals that are named.
  pods = { for name, account in var.service_accounts : name => account if var.cluster_name != "" }
}

data "aws_iam_policy_document" "writer" {
  statement {
    sid       = "ListRecordings"
    actions   = ["s3:ListBucket"]
    resources = [var.archive_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [local.archive_keys]
    }
  }

  statement {
    sid       = "ReadRecordings"
    actions   = ["s3:GetObject"]
    resources = ["${local.archive}/*"]
  }

  statement {
    sid       = "ListPictures"
    actions   = ["s3:ListBucket"]
    resources = [var.pictures_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [local.pictures_keys]
    }
  }

  statement {
    sid       = "WritePictures"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${local.pictures}/*"]
  }

  statement {
    sid       = "UseKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = var.key_arns
  }
}

data "aws_iam_policy_document" "reader" {
  statement {
    sid       = "ListPictures"
    actions   = ["s3:ListBucket"]
    resources = [var.pictures_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [local.pictures_keys]
    }
  }

  statement {
    sid       = "ReadPictures"
    actions   = ["s3:GetObject"]
    resources = ["${local.pictures}/*"]
  }

  statement {
    sid       = "UseKey"
    actions   = ["kms:Decrypt"]
    resources = var.key_arns
  }
}

data "aws_iam_policy_document" "analyst" {
  statement {
    sid       = "ListTables"
    actions   = ["s3:ListBucket"]
    resources = [var.pictures_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [local.tables_keys]
    }
  }

  statement {
    sid       = "ReadTables"
    actions   = ["s3:GetObject"]
    resources = ["${local.pictures}/tables/*"]
  }

  statement {
    sid       = "UseKey"
    actions   = ["kms:Decrypt"]
    resources = var.key_arns
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  dynamic "statement" {
    for_each = contains(keys(local.pods), each.key) ? ["pods"] : []

    content {
      sid     = "Pods"
      actions = ["sts:AssumeRole", "sts:TagSession"]

      principals {
        type        = "Service"
        identifiers = ["pods.eks.amazonaws.com"]
      }
    }
  }

  # Machines of Ray's launcher, which carry a role by their profile.
  dynamic "statement" {
    for_each = each.key == "writer" && var.launcher ? ["machines"] : []

    content {
      sid     = "Machines"
      actions = ["sts:AssumeRole"]

      principals {
        type        = "Service"
        identifiers = ["ec2.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = length(lookup(var.principals, each.key, [])) > 0 ? ["people"] : []

    content {
      sid     = "People"
      actions = ["sts:AssumeRole"]

      principals {
        type        = "AWS"
        identifiers = var.principals[each.key]
      }
    }
  }

  dynamic "statement" {
    for_each = !contains(keys(local.pods), each.key) && length(lookup(var.principals, each.key, [])) == 0 && !(each.key == "writer" && var.launcher) ? ["nobody"] : []

    content {
      sid     = "NobodyYet"
      effect  = "Deny"
      actions = ["sts:AssumeRole"]

      principals {
        type        = "AWS"
        identifiers = ["*"]
      }
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  name                 = "${var.name}-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 43200
}

resource "aws_iam_role_policy" "this" {
  for_each = local.roles

  name   = "buckets"
  role   = aws_iam_role.this[each.key].id
  policy = each.value
}

resource "aws_eks_pod_identity_association" "this" {
  for_each = local.pods

  cluster_name    = var.cluster_name
  namespace       = each.value.namespace
  service_account = each.value.name
  role_arn        = aws_iam_role.this[each.key].arn
}

# For cluster/configs/aws.yaml, Ray's launcher without Kubernetes: its workers are writers, and its head, which commits the
# tables, is one that also starts and ends machines of its own cluster.
data "aws_caller_identity" "this" {}

data "aws_iam_policy_document" "head" {
  statement {
    sid = "Look"
    actions = [
      "ec2:DescribeAvailabilityZones", "ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeInstanceStatus",
      "ec2:DescribeInstanceTypes", "ec2:DescribeKeyPairs", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
      "ec2:DescribeVpcs",
    ]
    resources = ["*"]
  }

  statement {
    sid     = "StartMachines"
    actions = ["ec2:RunInstances", "ec2:CreateTags"]
    resources = [
      "${local.ec2}:instance/*",
      "${local.ec2}:volume/*",
      "${local.ec2}:network-interface/*",
      "${local.ec2}:subnet/*",
      "${local.ec2}:security-group/*",
      "${local.ec2}:key-pair/*",
      "${local.ec2}:spot-instances-request/*",
      "arn:aws:ec2:*::image/*",
    ]
  }

  statement {
    sid       = "EndItsOwn"
    actions   = ["ec2:TerminateInstances"]
    resources = ["${local.ec2}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:ResourceTag/ray-cluster-name"
      values   = [var.name]
    }
  }

  statement {
    sid       = "GiveWorkersTheirRole"
    actions   = ["iam:PassRole", "iam:GetInstanceProfile"]
    resources = [aws_iam_role.this["writer"].arn, "arn:aws:iam::${data.aws_caller_identity.this.account_id}:instance-profile/${var.name}-writer"]
  }
}

data "aws_iam_policy_document" "machines" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "head" {
  count = var.launcher ? 1 : 0

  name               = "${var.name}-head"
  assume_role_policy = data.aws_iam_policy_document.machines.json
}

resource "aws_iam_role_policy" "head" {
  for_each = var.launcher ? { buckets = local.roles.writer, machines = data.aws_iam_policy_document.head.json } : {}

  name   = each.key
  role   = aws_iam_role.head[0].id
  policy = each.value
}

resource "aws_iam_instance_profile" "head" {
  count = var.launcher ? 1 : 0

  name = "${var.name}-head"
  role = aws_iam_role.head[0].name
}

resource "aws_iam_instance_profile" "writer" {
  count = var.launcher ? 1 : 0

  name = "${var.name}-writer"
  role = aws_iam_role.this["writer"].name
}
