"""The queries of dashboards and alerts, and what they ask of what a program exports."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
DASHBOARDS = ROOT / "infra" / "dashboards"
sys.path.insert(0, str(DASHBOARDS))

import make  # noqa: E402

RULES = [
    rule for group in yaml.safe_load((DASHBOARDS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
PANELS = [
    (f"{name}: {panel.title}", query)
    for name, dashboard in make.DASHBOARDS.items()
    for row in dashboard.rows.values()
    for panel in row
    for query in panel.queries.values()
]
QUERIES = [*PANELS, *((rule["alert"], rule["expr"]) for rule in RULES)]

#: Exported only by a node with a GPU, of which there is none here, and by Ray Serve: looked up in Ray's own
#: source instead.
IN_RAYS_SOURCE = {
    "ray_node_gpus_utilization": "dashboard/modules/reporter/reporter_agent.py",
    "ray_serve_deployment_replica_healthy": "serve/_private/deployment_state.py",
}


OF_OTHERS = {
    "kube_job_status_completion_time": "kube-state-metrics",
    "kube_pod_status_phase": "kube-state-metrics",
    "kube_pod_container_resource_requests": "kube-state-metrics",
    "kube_pod_start_time": "kube-state-metrics",
    "kube_pod_init_container_info": "kube-state-metrics",
    "kube_pod_container_info": "kube-state-metrics",
    "kuberay_service_condition_ready": "KubeRay: ray-operator/controllers/ray/metrics",
    "certmanager_certificate_expiration_timestamp_seconds": "cert-manager: internal/collectors",
    "karpenter_nodepools_cost_total": "Karpenter: pkg/controllers/metrics/nodepool",
    "DCGM_FI_DEV_XID_ERRORS": "NVIDIA's DCGM exporter, by default",
    "s2i_budget_usd_a_day": "a rule of infra/terraform/modules/platform",
}
"""Exported by other operators' programs, with labels of their own, which our monitors leave as they are."""


def plain(query: str) -> str:
    """Grafana's variables as something that Prometheus understands."""
    return query.replace("$__range", "12h").replace("$gpu_price", "1.00")


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector below a node of the parsed query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        if (child := getattr(node, name, None)) is not None:
            yield from selectors(child)
    for child in getattr(node, "args", None) or ():
        yield from selectors(child)


def matched(query: str) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """Name and label matchers (operator, value) of everything that a query selects."""
    for selector in selectors(promql_parser.parse(plain(query))):
        matchers = {each.name: (str(each.op), each.value) for each in selector.matchers.matchers}
        yield selector.name, matchers


def grouped(query: str) -> set[str]:
    """Labels that a query's results keep."""
    return {
        label.strip()
        for found in re.findall(r"\bby \(([\w, ]*)\)", query)
        for label in found.split(",")
        if label.strip() and label.strip() != "le"
    }


Series = dict[str, list[dict[str, str]]]

TARGET = {
    "job": "s2i/night",
    "instance": "10.0.0.9:8080",
    "namespace": "s2i",
    "pod": "night-batch-cpu-worker-x7k2p",
    "container": "ray-worker",
    "endpoint": "metrics",
}
"""What the Prometheus operator says of a pod that a PodMonitor selects. Prometheus writes it over labels of the same
names that the pod itself tells, and keeps those as `exported_…`, as the chart's monitor leaves `honorLabels` off."""


def scraped(labels: dict[str, str]) -> dict[str, str]:
    """The labels of a series that a pod tells, as Prometheus stores them."""
    return {f"exported_{name}" if name in TARGET else name: value for name, value in labels.items()} | TARGET


def series(*pages: str) -> Series:
    """Labels of every series by its name, as Prometheus stores them."""
    found: Series = defaultdict(list)
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found[sample.name].append(scraped(sample.labels))
    return found


def scraped_series(written: str) -> str:
    """A series written as PromQL does, `name{label="value"}`, as Prometheus stores it."""
    name, _, inside = written.partition("{")
    if name == "up" or name in OF_OTHERS:
        return written  # said by Prometheus itself, or of others' resources, by labels that are kept
    stored = scraped(dict(re.findall(r'(\w+)="([^"]*)"', inside)))
    return f"{name}{{{', '.join(f'{label}={json.dumps(value)}' for label, value in stored.items())}}}"


def missing(query: str, exported: Series) -> list[str]:
    """What a query selects or groups by that nothing exports; a value that did not come up is no fault."""
    faults = []
    labels: set[str] = set()
    for name, matchers in matched(query):
        if name not in exported:
            if name not in IN_RAYS_SOURCE and name not in OF_OTHERS and name != "up":  # Prometheus' own
                faults.append(name)
            continue
        own = {label for each in exported[name] for label in each}
        labels |= own - TARGET.keys()
        faults += [f"{name}{{{label}}}" for label in matchers if label not in own]
    if labels:
        faults += [f"by ({label})" for label in grouped(query) - labels]
    return faults
