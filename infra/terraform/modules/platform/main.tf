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

  values = concat([yamlencode({
    grafana = {
      admin         = { existingSecret = var.secrets.grafana, userKey = "user", passwordKey = "password" }
      sidecar       = { dashboards = { enabled = true, label = "grafana_dashboard", searchNamespace = "monitoring" } }
      "grafana.ini" = { auth = { disable_login_form = false }, "auth.anonymous" = { enabled = false } }
    }
    prometheus = {
      prometheusSpec = {
        podMonitorSelectorNilUsesHelmValues     = false
        scrapeConfigSelectorNilUsesHelmValues   = false
        serviceMonitorSelectorNilUsesHelmValues = false
      }
      # What the alerts of the group s2i-cluster ask. Their labels name the resources that they speak of: they are kept.
      additionalServiceMonitors = [for name, of in {
        karpenter        = { namespace = "kube-system", port = "http-metrics" }
        cert-manager     = { namespace = "cert-manager", port = "tcp-prometheus-servicemonitor" }
        kuberay-operator = { namespace = "kuberay-system", port = "http" }
        } : {
        name              = name
        selector          = { matchLabels = { "app.kubernetes.io/name" = name } }
        namespaceSelector = { matchNames = [of.namespace] }
        endpoints         = [{ port = of.port, honorLabels = true }]
      }]
    }
    additionalPrometheusRulesMap = { s2i = yamldecode(file("${local.dashboards}/alerts.yaml")) }
  })], local.alerting)
}

# What each GPU does, and its faults.
resource "helm_release" "dcgm" {
  count = var.monitoring ? 1 : 0

  name       = "dcgm-exporter"
  namespace  = kubernetes_namespace_v1.this["monitoring"].metadata[0].name
  repository = "https://nvidia.github.io/dcgm-exporter/helm-charts"
  chart      = "dcgm-exporter"
  version    = var.versions.dcgm

  values = [yamlencode({
    nodeSelector   = { "s2i/pool" = "gpu" }
    tolerations    = [{ key = "nvidia.com/gpu", operator = "Exists", effect = "NoSchedule" }]
    serviceMonitor = { enabled = true, interval = "15s" }
  })]

  depends_on = [helm_release.monitoring]
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

  values = concat([file("${path.module}/../../../kuberay/values-${var.size}.yaml")], local.chart, var.values)

  depends_on = [helm_release.kuberay, helm_release.monitoring]
}
