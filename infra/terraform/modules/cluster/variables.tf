variable "name" {
  description = "Name of the cluster, and prefix of what belongs to it."
  type        = string
}

variable "kubernetes_version" {
  description = "Version of Kubernetes."
  type        = string
  default     = "1.35"
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.0.0.0/16"
}

variable "zones" {
  description = "Availability zones: more of them find spot capacity sooner."
  type        = number
  default     = 3
}

variable "single_nat_gateway" {
  description = "One NAT gateway for all zones: cheaper, and down with its zone."
  type        = bool
  default     = true
}

variable "api_cidrs" {
  description = "Addresses that may reach the Kubernetes API from outside; none makes it private."
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.api_cidrs, "0.0.0.0/0")
    error_message = "Name your own addresses: the API is not for everybody."
  }
}

variable "creator_is_admin" {
  description = "Whether who makes the cluster may do everything on it. Turn it off once access names an administrator."
  type        = bool
  default     = true
}

variable "access" {
  description = "Who may talk to the Kubernetes API, by a name of yours: the ARN of a role or user, what it may do (look, change or everything), and in which namespaces; none means all. Who looks sees no secrets."
  type = map(object({
    principal  = string
    may        = optional(string, "look")
    namespaces = optional(list(string), [])
  }))
  default = {}

  validation {
    condition     = alltrue([for entry in values(var.access) : contains(["look", "change", "everything"], entry.may)])
    error_message = "They may look, change or everything."
  }

  validation {
    condition     = alltrue([for entry in values(var.access) : !strcontains(entry.principal, "*") && !endswith(entry.principal, ":root")])
    error_message = "Name single principals: no wildcard, no whole account."
  }

  validation {
    condition     = alltrue([for entry in values(var.access) : entry.may != "everything" || length(entry.namespaces) == 0])
    error_message = "Everything is not of single namespaces: choose change there."
  }
}

variable "deletion_protection" {
  description = "Whether the cluster must be unlocked before it can be destroyed."
  type        = bool
  default     = true
}

variable "system_instance" {
  description = "Instance type of the nodes that always run: Karpenter, KubeRay, Prefect, Prometheus. Ray's heads have a pool of their own."
  type        = string
  default     = "m7i.xlarge"
}

variable "cpu_limit" {
  description = "Most CPUs that Karpenter may buy for decoding: those of whole machines, of which pods have a little less."
  type        = number
  default     = 256
}

variable "head_limit" {
  description = "Most CPUs that Karpenter may buy, on demand, for Ray's heads: those of whole machines, for twice the heads, as an upgrade has two."
  type        = number
  default     = 64
}

variable "gpu_limit" {
  description = "Most GPUs that Karpenter may buy: the bound of what a night can cost."
  type        = number
  default     = 8
}

variable "gpu_instances" {
  description = "Instance families with GPUs, in no order: Karpenter takes the cheapest that is to be had."
  type        = list(string)
  default     = ["g6", "g5"]
}

variable "karpenter_version" {
  description = "Version of Karpenter's chart."
  type        = string
  default     = "1.11.1"
}

variable "device_plugin_version" {
  description = "Version of the NVIDIA device plugin's chart."
  type        = string
  default     = "0.17.1"
}

variable "ami_alias" {
  description = "Image of the nodes, such as al2023@v20260801; `latest` renews nodes whenever AWS releases one."
  type        = string
  default     = "al2023@latest"
}
