# What the charts get, in parts: a condition between two objects would make strings of their numbers and switches.

locals {
  # Where the module `cluster` has its machines for heads: of whatever size, none stands on one that may be taken away.
  heads = {
    nodeSelector = { "s2i/pool" = "head" }
    tolerations  = [{ key = "s2i/pool", value = "head", effect = "NoSchedule" }]
  }

  chart = concat(
    [yamlencode({
      image   = var.image
      auth    = { secretName = var.secrets.ray_token }
      store   = { region = var.region }
      network = { podIdentity = true, submitterNamespace = "s2i" }
      metrics = { podMonitor = var.monitoring }
      redis   = { enabled = var.redis != null }
      cluster = { head = local.heads }
      service = { head = local.heads }
      job     = { enabled = var.night.clock == "chart" }
    })],
    var.redis == null ? [] : [yamlencode({
      redis = { address = var.redis.address, cidr = var.redis.cidr, passwordSecret = var.redis.password_secret }
    })],
    var.night.clock == "prefect" ? [] : [yamlencode({
      job = {
        source      = var.night.source
        destination = var.night.destination
        schedule    = var.night.cron
        timeZone    = var.night.time_zone
      }
    })],
  )

  alerting = concat(
    var.budget_usd_a_day == null ? [] : [yamlencode({
      additionalPrometheusRulesMap = {
        s2i-budget = { groups = [{ name = "s2i-budget", rules = [{ record = "s2i_budget_usd_a_day", expr = "vector(${var.budget_usd_a_day})" }] }] }
      }
    })],
    var.alerts == null ? [] : [yamlencode({
      alertmanager = {
        alertmanagerSpec = { secrets = [var.alerts.secret] }
        config           = yamldecode(templatefile("${path.module}/alertmanager.yaml.tftpl", var.alerts))
      }
    })],
  )
}
