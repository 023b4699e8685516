output "archive_bucket" {
  description = "Name of the bucket of recordings."
  value       = var.archive_bucket
}

output "archive_arn" {
  description = "ARN of the bucket of recordings."
  value       = local.arns["archive"]
}

output "pictures_bucket" {
  description = "Name of the bucket of pictures, pages and tables."
  value       = var.pictures_bucket
}

output "pictures_arn" {
  description = "ARN of the bucket of pictures, pages and tables."
  value       = local.arns["pictures"]
}

output "key_arns" {
  description = "ARNs of the keys that they are encrypted with: ours, and those of existing buckets."
  value       = concat([aws_kms_key.this.arn], var.existing_key_arns)
}
