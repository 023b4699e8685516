variable "name" {
  description = "Prefix of everything's name."
  type        = string
}

variable "archive_bucket" {
  description = "Name of the bucket of recordings."
  type        = string
}

variable "pictures_bucket" {
  description = "Name of the bucket of pictures, pages and tables."
  type        = string
}

variable "logs_bucket" {
  description = "Name of the bucket of access logs."
  type        = string
}

variable "keep_old_versions_days" {
  description = "How long an object that was overwritten or deleted can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.keep_old_versions_days >= 7
    error_message = "Keep old versions for a week at least: a wrong run is not always seen the same day."
  }
}

variable "archive_cold_after_days" {
  description = "Recordings move to a cheaper class after so many days; 0 leaves them."
  type        = number
  default     = 90
}

variable "keep_logs_days" {
  description = "How long access logs are kept."
  type        = number
  default     = 365
}
