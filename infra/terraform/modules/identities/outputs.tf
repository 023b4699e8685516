output "role_arns" {
  description = "ARNs of the roles, by name: writer, reader, analyst."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "policies" {
  description = "What each role may do, as JSON."
  value       = local.roles
}
