output "archive_bucket" {
  description = "Name of the bucket of recordings."
  value       = aws_s3_bucket.this["archive"].id
}

output "archive_arn" {
  description = "ARN of the bucket of recordings."
  value       = aws_s3_bucket.this["archive"].arn
}

output "pictures_bucket" {
  description = "Name of the bucket of pictures, pages and tables."
  value       = aws_s3_bucket.this["pictures"].id
}

output "pictures_arn" {
  description = "ARN of the bucket of pictures, pages and tables."
  value       = aws_s3_bucket.this["pictures"].arn
}

output "key_arn" {
  description = "ARN of the key that both are encrypted with."
  value       = aws_kms_key.this.arn
}
