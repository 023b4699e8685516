output "name" {
  description = "Name of the cluster."
  value       = module.eks.cluster_name
}

output "endpoint" {
  description = "URL of the Kubernetes API."
  value       = module.eks.cluster_endpoint
}

output "certificate_authority" {
  description = "Certificate of the Kubernetes API, PEM."
  value       = base64decode(module.eks.cluster_certificate_authority_data)
}

output "vpc_id" {
  description = "Id of the network."
  value       = module.vpc.vpc_id
}

output "private_subnets" {
  description = "Ids of the private subnets."
  value       = module.vpc.private_subnets
}

output "node_security_group_id" {
  description = "Security group of the nodes."
  value       = module.eks.node_security_group_id
}
