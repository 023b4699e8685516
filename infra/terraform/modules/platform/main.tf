# What runs on the cluster: KubeRay, Prefect, Prometheus and Grafana, and the s2i chart on top. Secrets are made by hand or
# by your secret manager, and named here: none passes through the state.

terraform {
  required_version = ">= 1.9"
  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 2.35"
    }
  }
}

locals {
  dashboards = "${path.module}/../../../dashboards"

  # Where the module `cluster` has its machines for heads: of whatever size, none stands on one that may be taken away.
  heads = {
    nodeSelector = { "s2i/pool" = "head" }
    tolerations  = [{ key = "s2i/pool", value = "head", effect = "NoSchedule" }]
  }

  # Where a browser finds the API that the UI asks: without an ingress, through a forwarded port.
  prefect_ui_api_url = var.prefect_ingress.host == "" ? "http://localhost:4200/api" : "https://${var.prefect_ingress.host}/api"
}

# Pods that ask for more than the restricted profile of Kubernetes allows are refused.
resource "kubernetes_namespace_v1" "this" {
  for_each = { s2i = "restricted", prefect = "baseline", monitoring = "privileged", kuberay-system = "restricted" }

  metadata {
    name   = each.key
    labels = { "pod-security.kubernetes.io/enforce" = each.value }
  }
}

resource "helm_release" "cert_manager" {
  name             = "cert-manager"
  namespace        = "cert-manager"
  create_namespace = true
  repository       = "https://charts.jetstack.io"
  chart            = "cert-manager"
  version          = var.versions.cert_manager

  values = [yamlencode({ crds = { enabled = true } })]
}

resource "helm_release" "kuberay" {
  name       = "kuberay-operator"
  namespace  = kubernetes_namespace_v1.this["kuberay-system"].metadata[0].name
  repository = "https://ray-project.github.io/kuberay-helm"
  chart      = "kuberay-operator"
  version    = var.versions.kuberay

  values = [yamlencode({
    featureGates = [
      { name = "RayClusterStatusConditions", enabled = true },
      { name = "RayJobDeletionPolicy", enabled = true },
      { name = "RayServiceIncrementalUpgrade", enabled = true },
      { name = "RayClusterMTLS", enabled = true },
      { name = "RayCronJob", enabled = true },
    ]
  })]

  depends_on = [helm_release.cert_manager]
}

resource "helm_release" "prefect_server" {
  name       = "prefect-server"
  namespace  = kubernetes_namespace_v1.this["prefect"].metadata[0].name
  repository = "https://prefecthq.github.io/prefect-helm"
  chart      = "prefect-server"
  version    = var.versions.prefect

  values = [yamlencode({
    server = {
      basicAuth = { enabled = true, existingSecret = var.secrets.prefect_server }
      uiConfig  = { prefectUiApiUrl = local.prefect_ui_api_url }
    }
    # From outside by TLS or not at all. By extraTls, as the chart's own switch does nothing without cert-manager.
    ingress = {
      enabled     = var.prefect_ingress.host != ""
      className   = var.prefect_ingress.class_name
      annotations = var.prefect_ingress.annotations
      host        = { hostname = var.prefect_ingress.host, path = "/", pathType = "Prefix" }
      extraTls    = [{ hosts = [var.prefect_ingress.host], secretName = var.prefect_ingress.tls_secret }]
    }
    externalDatabase = var.secrets.prefect_database == "" ? {} : {
      existingSecret            = var.secrets.prefect_database
      connectionStringSecretKey = "connection-string"
    }
    secret     = { create = false }
    postgresql = { enabled = false }
    sqlite = {
      enabled     = var.secrets.prefect_database == ""
      persistence = { storageClassName = var.storage_class }
    }
  })]
}

# Beside the clusters that the flows send their jobs to: their pods take the writer's account and the token's secret there.
resource "helm_release" "prefect_worker" {
  name       = "prefect-worker"
  namespace  = kubernetes_namespace_v1.this["s2i"].metadata[0].name
  repository = "https://prefecthq.github.io/prefect-helm"
  chart      = "prefect-worker"
  version    = var.versions.prefect

  values = [yamlencode({
    worker = {
      apiConfig = "selfHostedServer"
      config = {
        workPool = var.work_pool
        type     = "kubernetes"
        baseJobTemplate = {
          configuration = templatefile("${path.module}/job-template.json.tftpl", {
            image          = "${var.image["repository"]}@${var.image["digest"]}"
            region         = var.region
            ray_token      = var.secrets.ray_token
            prefect_server = var.secrets.prefect_server
          })
        }
      }
      selfHostedServerApiConfig = {
        apiUrl    = "http://prefect-server.prefect.svc.cluster.local:4200/api"
        basicAuth = { enabled = true, existingSecret = var.secrets.prefect_server }
      }
      # By reference in each job, as the template has it: the worker would write its own login into them in the clear.
      extraEnvVars = [
        { name = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_NAME", value = var.secrets.prefect_server },
        { name = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_KEY", value = "auth-string" },
      ]
      # What the namespace's profile, restricted, wants beside the chart's own.
      containerSecurityContext = { capabilities = { drop = ["ALL"] } }
      initContainer            = { containerSecurityContext = { capabilities = { drop = ["ALL"] } } }
    }
  })]

  depends_on = [helm_release.prefect_server]
}

resource "helm_release" "monitoring" {
  count = var.monitoring ? 1 : 0

  name       = "monitoring"
  namespace  = kubernetes_namespace_v1.this["monitoring"].metadata[0].name
  repository = "https://prometheus-community.github.io/helm-charts"
  chart      = "kube-prometheus-stack"
  version    = var.versions.monitoring

  values = [yamlencode({
    grafana = {
      admin         = { existingSecret = var.secrets.grafana, userKey = "user", passwordKey = "password" }
      sidecar       = { dashboards = { enabled = true, label = "grafana_dashboard", searchNamespace = "monitoring" } }
      "grafana.ini" = { auth = { disable_login_form = false }, "auth.anonymous" = { enabled = false } }
    }
    prometheus = {
      prometheusSpec = {
        podMonitorSelectorNilUsesHelmValues   = false
        scrapeConfigSelectorNilUsesHelmValues = false
      }
    }
    additionalPrometheusRulesMap = { s2i = yamldecode(file("${local.dashboards}/alerts.yaml")) }
  })]
}

resource "kubernetes_config_map_v1" "dashboards" {
  for_each = var.monitoring ? toset(["batch", "serve"]) : toset([])

  metadata {
    name      = "s2i-dashboard-${each.key}"
    namespace = kubernetes_namespace_v1.this["monitoring"].metadata[0].name
    labels    = { grafana_dashboard = "1" }
  }

  data = { "s2i-${each.key}.json" = file("${local.dashboards}/${each.key}.json") }
}

resource "helm_release" "s2i" {
  name      = "s2i"
  namespace = kubernetes_namespace_v1.this["s2i"].metadata[0].name
  chart     = "${path.module}/../../../kuberay"

  values = concat(
    [file("${path.module}/../../../kuberay/values-${var.size}.yaml")],
    [yamlencode({
      image   = var.image
      auth    = { secretName = var.secrets.ray_token }
      store   = { region = var.region }
      network = { podIdentity = true, submitterNamespace = kubernetes_namespace_v1.this["s2i"].metadata[0].name }
      metrics = { podMonitor = var.monitoring }
      redis = var.redis == null ? { enabled = false } : {
        enabled        = true
        address        = var.redis.address
        cidr           = var.redis.cidr
        passwordSecret = var.redis.password_secret
      }
      cluster = { head = local.heads }
      service = { head = local.heads }
    })],
    var.values,
  )

  depends_on = [helm_release.kuberay, helm_release.monitoring]
}
