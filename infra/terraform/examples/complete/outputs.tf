output "roles" {
  description = "ARNs of writer, reader and analyst."
  value       = module.identities.role_arns
}

output "jobs_address" {
  description = "Where flows send their jobs."
  value       = module.platform.jobs_address
}
