output "jobs_address" {
  description = "Where flows send their jobs, from within the cluster."
  value       = "http://s2i-batch-head-svc.s2i.svc.cluster.local:8265"
}

output "prefect_api_url" {
  description = "Prefect's API, from within the cluster."
  value       = "http://prefect-server.prefect.svc.cluster.local:4200/api"
}
