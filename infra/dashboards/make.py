"""Writes the Grafana dashboards beside this file: `.venv/bin/python infra/dashboards/make.py`.

A panel is one line here; Grafana's JSON is made of it. Import it into Grafana, or mount it as its documentation says of
provisioning. Metrics that begin with `ray_` come from the metrics port of every Ray node, the others from `/metrics` of
the service.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_WIDTH, _HEIGHT = 24, 8


@dataclass(frozen=True)
class Panel:
    """One picture: a title, what it says, and its queries by legend.

    `kind` is Grafana's name of it, `unit` Grafana's name of a unit, `width` of 24 columns.
    """

    title: str
    says: str
    queries: dict[str, str]
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"
    highest: float | None = None


@dataclass(frozen=True)
class Dashboard:
    """Rows of panels, and variables that a viewer can type into."""

    uid: str
    title: str
    rows: dict[str, list[Panel]]
    boxes: dict[str, str] = field(default_factory=dict)


BATCH = Dashboard(
    "s2i-batch",
    "s2i: batch",
    {
        "The run": [
            Panel(
                "Rows to do",
                "Recordings (plan) or scenes (illustrate) without an outcome. It must fall.",
                {"{{s2i_job}}": "max by (s2i_job) (last_over_time(ray_s2i_pending[10m]))"},
            ),
            Panel(
                "Rows done a minute",
                "Recordings and scenes whose outcome became known.",
                {"{{s2i_job}}": "60 * sum by (s2i_job) (rate(ray_s2i_outcomes_total[5m]))"},
            ),
            Panel(
                "Hours of audio an hour",
                "How many times faster than real time recordings are read, all workers together.",
                {"audio": "sum(rate(ray_s2i_audio_seconds_total[5m]))"},
            ),
            Panel(
                "Left out and failed, by reason",
                "Within the time shown. Skipped is on purpose; failed has a row in `failures` with its remedy.",
                {
                    "{{s2i_job}} {{status}}: {{reason}}": "sum by (s2i_job, status, reason) "
                    '(increase(ray_s2i_outcomes_total{status!="ok"}[$__range]))'
                },
                width=12,
                kind="bargauge",
            ),
            Panel(
                "Share that failed",
                "Of the rows of the last hour.",
                {
                    "{{s2i_job}}": 'sum by (s2i_job) (increase(ray_s2i_outcomes_total{status="failed"}[1h]))'
                    " / sum by (s2i_job) (increase(ray_s2i_outcomes_total[1h]))"
                },
                unit="percentunit",
                width=12,
                highest=1,
            ),
        ],
        "The work": [
            Panel(
                "Time of a stage's call, 95 of 100 within",
                "decode: a recording; encode, draw: a batch.",
                {"{{stage}}": "histogram_quantile(0.95, sum by (stage, le) (rate(ray_s2i_stage_seconds_bucket[10m])))"},
                unit="s",
            ),
            Panel(
                "Denoiser's time an image",
                "On the device that drew it.",
                {
                    "{{device}}": "sum by (device) (rate(ray_s2i_compute_seconds_total[10m])) / on () group_left () "
                    'sum(rate(ray_s2i_outcomes_total{s2i_job="illustrate", status="ok"}[10m]))'
                },
                unit="s",
            ),
            Panel(
                "Similarity of speech and image",
                "The middle of them, and what 9 of 10 are above. A fall means other recordings, or a broken model.",
                {
                    "half": "histogram_quantile(0.5, sum by (le) (rate(ray_s2i_similarity_bucket[1h])))",
                    "9 of 10": "histogram_quantile(0.1, sum by (le) (rate(ray_s2i_similarity_bucket[1h])))",
                },
            ),
            Panel(
                "Computing, in money",
                "Time of the denoiser on GPUs within the time shown, at the price above; waiting machines come on top.",
                {"GPU": 'sum(increase(ray_s2i_compute_seconds_total{device="cuda"}[$__range])) / 3600 * $gpu_price'},
                unit="currencyUSD",
                kind="stat",
            ),
            Panel(
                "Calls of a stage a second",
                "Where one stage lags behind the one before it, give its pool more workers.",
                {"{{stage}}": "sum by (stage) (rate(ray_s2i_stage_seconds_count[5m]))"},
            ),
            Panel(
                "Ray's tasks by state",
                "PENDING_NODE_ASSIGNMENT that stays means that the cluster does not get what the job asks for.",
                {"{{State}}": "sum by (State) (ray_tasks)"},
            ),
        ],
        "The machines": [
            Panel(
                "CPU busy",
                "Of each node.",
                {"{{ip}}": "avg by (ip) (ray_node_cpu_utilization)"},
                unit="percent",
                highest=100,
            ),
            Panel(
                "Memory used",
                "Of each node. Ray kills workers at 95 %.",
                {"{{ip}}": "max by (ip) (ray_node_mem_used / ray_node_mem_total)"},
                unit="percentunit",
                highest=1,
            ),
            Panel(
                "GPU busy",
                "Of each GPU; only nodes that have one export it.",
                {"{{ip}} {{GpuIndex}}": "avg by (ip, GpuIndex) (ray_node_gpus_utilization)"},
                unit="percent",
                highest=100,
            ),
            Panel(
                "Ray's objects in memory",
                "Blocks on their way between stages.",
                {"{{Location}}": "sum by (Location) (ray_object_store_memory)"},
                unit="bytes",
            ),
            Panel(
                "Disk used",
                "Of each node: Ray spills objects there, and writes its logs.",
                {"{{ip}}": "max by (ip) (ray_node_disk_utilization_percentage)"},
                unit="percent",
                highest=100,
            ),
            Panel(
                "Network",
                "What comes in is mostly recordings, what goes out mostly blocks.",
                {
                    "{{ip}} in": "sum by (ip) (ray_node_network_receive_speed)",
                    "{{ip}} out": "sum by (ip) (ray_node_network_send_speed)",
                },
                unit="Bps",
            ),
        ],
    },
    {"gpu_price": "1.00"},
)

SERVE = Dashboard(
    "s2i-serve",
    "s2i: service",
    {
        "Requests": [
            Panel(
                "Requests a second",
                "By route and status.",
                {"{{route}} {{status}}": "sum by (route, status) (rate(s2i_requests_total[5m]))"},
                unit="reqps",
            ),
            Panel(
                "Answers with an error",
                "Share of 5xx: 503 says that all places were taken, the others are faults.",
                {
                    "{{status}}": 'sum by (status) (rate(s2i_requests_total{status=~"5.."}[5m]))'
                    " / on () group_left () sum(rate(s2i_requests_total[5m]))"
                },
                unit="percentunit",
                highest=1,
            ),
            Panel(
                "From request to answer",
                "95 and 50 of 100 within.",
                {
                    "{{route}} 95": "histogram_quantile(0.95, "
                    "sum by (route, le) (rate(s2i_request_seconds_bucket[5m])))",
                    "{{route}} 50": "histogram_quantile(0.5, "
                    "sum by (route, le) (rate(s2i_request_seconds_bucket[5m])))",
                },
                unit="s",
            ),
        ],
        "The way of a clip": [
            Panel(
                "Steps",
                "95 of 100 within, their waiting included.",
                {"{{step}}": "histogram_quantile(0.95, sum by (step, le) (rate(s2i_step_seconds_bucket[5m])))"},
                unit="s",
            ),
            Panel(
                "Places taken",
                "Requests at work or waiting, of all replicas; past the limit clients get 503.",
                {"{{kind}}": "sum by (kind) (s2i_places_taken)"},
            ),
            Panel(
                "Waiting in the model's replicas",
                "When it stays above a batch, replicas are missing.",
                {"{{deployment}}": "sum by (deployment) (s2i_queue_length)"},
            ),
            Panel(
                "Requests in a batch",
                "One alone means that nothing is gained from batching, or that nobody comes.",
                {
                    "{{deployment}}": "sum by (deployment) (rate(s2i_batch_items_sum[5m]))"
                    " / sum by (deployment) (rate(s2i_batch_items_count[5m]))"
                },
            ),
            Panel(
                "Cost of a batch",
                "Seconds of audio (encoder); images times steps times area (generator).",
                {
                    "{{deployment}}": "sum by (deployment) (rate(s2i_batch_cost_sum[5m]))"
                    " / sum by (deployment) (rate(s2i_batch_cost_count[5m]))"
                },
            ),
            Panel(
                "Time of a batch, and of waiting for one",
                "95 of 100 within.",
                {
                    "{{deployment}} runs": "histogram_quantile(0.95, "
                    "sum by (deployment, le) (rate(s2i_batch_seconds_bucket[5m])))",
                    "{{deployment}} waits": "histogram_quantile(0.95, "
                    "sum by (deployment, le) (rate(s2i_batch_wait_seconds_bucket[5m])))",
                },
                unit="s",
            ),
        ],
        "The machines": [
            Panel(
                "Replicas that are well",
                "Of each deployment, as Ray Serve counts them.",
                {"{{deployment}}": "sum by (deployment) (ray_serve_deployment_replica_healthy)"},
            ),
            Panel(
                "CPU busy",
                "Of each node.",
                {"{{ip}}": "avg by (ip) (ray_node_cpu_utilization)"},
                unit="percent",
                highest=100,
            ),
            Panel(
                "Memory used",
                "Of each node.",
                {"{{ip}}": "max by (ip) (ray_node_mem_used / ray_node_mem_total)"},
                unit="percentunit",
                highest=1,
            ),
        ],
    },
)
DASHBOARDS = {"batch": BATCH, "serve": SERVE}


def grafana(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana (11 and later) reads it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in dashboard.rows.items():
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _place(0, top, 24, 1)}
        )
        top += 1
        left = 0
        for panel in row:
            if left + panel.width > _WIDTH:
                left, top = 0, top + _HEIGHT
            panels.append(_panel(panel, _place(left, top, panel.width, _HEIGHT)))
            left += panel.width
        top += _HEIGHT
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    boxes = [
        {"name": name, "type": "textbox", "label": name.replace("_", " "), "query": value}
        for name, value in dashboard.boxes.items()
    ]
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["s2i"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-12h", "to": "now"},
        "templating": {"list": [source, *boxes]},
        "annotations": {"list": []},
        "panels": panels,
    }


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.highest is not None:
        defaults["max"] = panel.highest
    once = panel.kind != "timeseries"
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if once else {},
        "targets": [
            {"refId": chr(65 + number), "datasource": source, "expr": query, "legendFormat": legend, "instant": once}
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _place(left: int, top: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def text(dashboard: Dashboard) -> str:
    """The content of the dashboard's file."""
    return json.dumps(grafana(dashboard), indent=1) + "\n"


if __name__ == "__main__":
    for name, dashboard in DASHBOARDS.items():
        (HERE / f"{name}.json").write_text(text(dashboard))
