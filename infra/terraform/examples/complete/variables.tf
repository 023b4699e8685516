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

variable "existing_buckets" {
  description = "Which of archive, pictures and logs are there already, and the ARNs of their keys; they are left as they are."
  type        = object({ which = optional(set(string), []), key_arns = optional(list(string), []) })
  default     = {}
}

variable "archive_class" {
  description = "Class that recordings move to after 90 days; GLACIER_IR costs at each read, see modules/storage."
  type        = string
  default     = "GLACIER_IR"
}

variable "access" {
  description = "Who may talk to the Kubernetes API besides who makes the cluster; see modules/cluster."
  type        = map(object({ principal = string, may = optional(string, "look"), namespaces = optional(list(string), []) }))
  default     = {}
}

variable "night" {
  description = "Who has the clock of the nightly run: prefect, or chart with source, destination and cron; see modules/platform."
  type        = map(string)
  default     = { clock = "prefect" }
}

variable "alerts" {
  description = "Where alerts go: the name of a secret in the namespace monitoring with the key url, and channels; see modules/platform. null sends none."
  type        = map(string)
  default     = null
}

variable "budget_usd_a_day" {
  description = "What the machines of a day may cost before an alert says so; null never says."
  type        = number
  default     = null
}

variable "size" {
  description = "small, medium or large."
  type        = string
  default     = "medium"
}

variable "cpu_limit" {
  description = "Most CPUs at once, of the machines of workers and service; without, what the size asks for. Fewer keep pods waiting for ever."
  type        = number
  default     = null

  validation {
    condition     = var.cpu_limit == null || try(var.cpu_limit >= local.asked[var.size].cpus, false)
    error_message = "The size asks for more CPUs than that: raise cpu_limit, or choose another size and values of your own."
  }
}

variable "gpu_limit" {
  description = "Most GPUs at once: the bound of what a night can cost; without, what the size asks for."
  type        = number
  default     = null

  validation {
    condition     = var.gpu_limit == null || try(var.gpu_limit >= local.asked[var.size].gpus, false)
    error_message = "The size asks for more GPUs than that: raise gpu_limit, or choose another size and values of your own."
  }
}

variable "redis" {
  description = "Where the heads keep what they know, so that a new head takes the workers over: a Redis of yours, with its range of addresses. null does without: a run ends with its head."
  type = object({
    address         = string
    cidr            = string
    password_secret = optional(string, "s2i-redis")
  })
}

variable "values" {
  description = "More values for the chart, as YAML documents; the last wins."
  type        = list(string)
  default     = []
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

variable "prefect_database" {
  description = "Name of a secret in the namespace prefect with the connection-string of a PostgreSQL; empty means SQLite on a volume, for one person."
  type        = string
  default     = ""
}
