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
