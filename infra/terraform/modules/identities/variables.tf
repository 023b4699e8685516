variable "name" {
  description = "Prefix of the roles' names."
  type        = string
}

variable "archive_arn" {
  description = "ARN of the bucket of recordings."
  type        = string
}

variable "archive_prefix" {
  description = "Folder of the recordings, without slashes at its ends; empty means the whole bucket. What begins with the same letters beside it is not part of it."
  type        = string
  default     = ""

  validation {
    condition     = var.archive_prefix == trim(var.archive_prefix, "/")
    error_message = "Write the prefix without slashes at its ends."
  }
}

variable "pictures_arn" {
  description = "ARN of the bucket of pictures."
  type        = string
}

variable "pictures_prefix" {
  description = "Folder of the pictures, without slashes at its ends; empty means the whole bucket."
  type        = string
  default     = ""

  validation {
    condition     = var.pictures_prefix == trim(var.pictures_prefix, "/")
    error_message = "Write the prefix without slashes at its ends."
  }
}

variable "key_arns" {
  description = "ARNs of the keys that the buckets are encrypted with."
  type        = list(string)
}

variable "cluster_name" {
  description = "Name of the EKS cluster whose pods get roles; empty where there is none."
  type        = string
  default     = ""
}

variable "service_accounts" {
  description = "Service account that gets a role, by role: those of the chart in infra/kuberay."
  type = map(object({
    namespace = string
    name      = string
  }))
  default = {
    writer = { namespace = "s2i", name = "s2i-batch" }
    reader = { namespace = "s2i", name = "s2i-serve" }
  }
}

variable "principals" {
  description = "ARNs of the people and programs that may take a role, by role."
  type        = map(list(string))
  default     = {}

  validation {
    condition     = alltrue([for arn in flatten(values(var.principals)) : !strcontains(arn, "*") && !endswith(arn, ":root")])
    error_message = "Name single principals: no wildcard, no whole account."
  }
}

variable "launcher" {
  description = "Whether to make the profiles of the machines that Ray's own launcher starts (cluster/configs/aws.yaml): NAME-head and NAME-writer."
  type        = bool
  default     = false
}
