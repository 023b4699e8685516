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

variable "existing" {
  description = "Which of the buckets are there already, and are left as they are: any of archive, pictures, logs."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.existing, ["archive", "pictures", "logs"])) == 0
    error_message = "Name some of archive, pictures and logs."
  }
}

variable "existing_key_arns" {
  description = "ARNs of the keys that existing buckets are encrypted with; none where those are S3's own."
  type        = list(string)
  default     = []
}

variable "archive_class" {
  description = "Class that recordings move to. GLACIER_IR keeps for the least, and costs at each read (0.03 USD a GB by the list of 2026 as we know it, not looked up: check it, and name yours to s2i plan as storage.read_gb; and 90 days at least): a run with other audio settings or another encoder reads the whole archive again. STANDARD_IA costs a third of that a read; INTELLIGENT_TIERING nothing, but by the object."
  type        = string
  default     = "GLACIER_IR"

  validation {
    condition     = contains(["GLACIER_IR", "STANDARD_IA", "INTELLIGENT_TIERING"], var.archive_class)
    error_message = "Choose GLACIER_IR, STANDARD_IA or INTELLIGENT_TIERING: from the others nothing is read without a restore."
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
