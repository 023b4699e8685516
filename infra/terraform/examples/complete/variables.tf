variable "name" {
  description = "Prefix of everything's name."
  type        = string
  default     = "s2i"
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "archive_bucket" {
  description = "Name of the bucket of recordings."
  type        = string
}

variable "pictures_bucket" {
  description = "Name of the bucket of pictures."
  type        = string
}

variable "logs_bucket" {
  description = "Name of the bucket of access logs."
  type        = string
}

variable "api_cidrs" {
  description = "Addresses that may reach the Kubernetes API."
  type        = list(string)
}

variable "gpu_limit" {
  description = "Most GPUs at once."
  type        = number
  default     = 4
}

variable "size" {
  description = "small, medium or large."
  type        = string
  default     = "medium"
}

variable "image" {
  description = "The images in your registry."
  type        = map(string)
}

variable "prefect_host" {
  description = "Host name by which Prefect is reached from outside, by TLS; empty leaves it inside."
  type        = string
  default     = ""
}

variable "analysts" {
  description = "ARNs of the roles or users that may query the tables."
  type        = list(string)
  default     = []
}
