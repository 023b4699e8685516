variable "region" {
  description = "Region of the buckets."
  type        = string
}

variable "size" {
  description = "Which values of the chart: small, medium or large."
  type        = string
  default     = "medium"

  validation {
    condition     = contains(["small", "medium", "large"], var.size)
    error_message = "Choose small, medium or large."
  }
}

variable "image" {
  description = "The images of infra/docker in your registry: repository, digest and, where there are GPUs (medium, large), gpuDigest."
  type        = map(string)

  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image["digest"]))
    error_message = "Name the image by its digest, so that what runs is what was tested."
  }

  validation {
    condition     = can(regex("^(sha256:[0-9a-f]{64})?$", lookup(var.image, "gpuDigest", "")))
    error_message = "Write gpuDigest as sha256:… too."
  }
}

variable "secrets" {
  description = "Names of Kubernetes secrets that you have made: see the README. prefect_server in both namespaces, prefect and s2i. An empty prefect_database means SQLite on a volume."
  type = object({
    ray_token        = optional(string, "s2i-ray-token")
    prefect_server   = optional(string, "prefect-auth")
    prefect_database = optional(string, "")
    grafana          = optional(string, "grafana-admin")
  })
  default = {}
}

variable "prefect_ingress" {
  description = "The way to Prefect from outside the cluster, by TLS: its host name, a secret of type kubernetes.io/tls in the namespace prefect, and the ingress's class and annotations. Without a host there is none."
  type = object({
    host        = optional(string, "")
    tls_secret  = optional(string, "prefect-tls")
    class_name  = optional(string, "nginx")
    annotations = optional(map(string), {})
  })
  default = {}

  validation {
    condition     = can(regex("^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", var.prefect_ingress.host))
    error_message = "Write the host's name alone, without https:// and path."
  }

  validation {
    condition     = var.prefect_ingress.tls_secret != ""
    error_message = "Name the secret with the certificate: nothing is served in the clear."
  }

  validation {
    condition     = var.prefect_ingress.host == "" || var.secrets.prefect_database != ""
    error_message = "Where more than one person uses Prefect, it wants a PostgreSQL: name the secret with its connection-string in secrets.prefect_database."
  }
}

variable "storage_class" {
  description = "Storage class of the volume for Prefect's SQLite: the one that the module `cluster` makes."
  type        = string
  default     = "s2i"
}

variable "work_pool" {
  description = "Prefect's work pool, which flows are deployed to."
  type        = string
  default     = "s2i"
}

variable "monitoring" {
  description = "Whether to install Prometheus, Grafana, the dashboards and the alerts."
  type        = bool
  default     = true
}

variable "redis" {
  description = "Where the heads keep what they know: a Redis of yours, with its range of addresses and a secret with the key password; null does without."
  type = object({
    address         = string
    cidr            = string
    password_secret = optional(string, "s2i-redis")
  })
  default = null

  validation {
    condition     = can(regex("^rediss?://[-.A-Za-z0-9]+(:[0-9]+)?$", var.redis.address)) || var.redis == null
    error_message = "Write redis.address as rediss://host:port, without a login."
  }
}

variable "values" {
  description = "More values for the chart, as YAML documents; the last wins."
  type        = list(string)
  default     = []
}

variable "night" {
  description = "Who has the clock of the nightly run: prefect (s2i deploy --cron) or chart (a RayCronJob with a cluster of its own, which wants source, destination and cron). One of them, or the night runs twice."
  type = object({
    clock       = optional(string, "prefect")
    source      = optional(string, "")
    destination = optional(string, "")
    cron        = optional(string, "")
    time_zone   = optional(string, "Etc/UTC")
  })
  default = {}

  validation {
    condition     = contains(["prefect", "chart"], var.night.clock)
    error_message = "Choose who has the clock: prefect or chart."
  }

  validation {
    condition     = (var.night.clock == "chart") == (var.night.cron != "" && var.night.source != "" && var.night.destination != "")
    error_message = "With clock = chart name source, destination and cron; with prefect leave them to s2i deploy."
  }
}

variable "alerts" {
  description = "Where Alertmanager sends alerts: a secret in the namespace monitoring with the key url, of a Slack webhook (Mattermost takes the same), and a channel for those that wake somebody and those that wait. null sends none."
  type = object({
    secret  = string
    pages   = optional(string, "#s2i-pages")
    tickets = optional(string, "#s2i")
  })
  default = null
}

variable "budget_usd_a_day" {
  description = "What the machines of a day may cost, by the prices that Karpenter knows, before an alert says so; null never says."
  type        = number
  default     = null
}

variable "versions" {
  description = "Versions of the charts."
  type = object({
    cert_manager = optional(string, "v1.20.0")
    kuberay      = optional(string, "1.7.0")
    prefect      = optional(string, "2026.8.18172642")
    monitoring   = optional(string, "72.6.2")
    dcgm         = optional(string, "4.8.2")
  })
  default = {}
}
