"""What a run exports, scraped as Prometheus would: the dashboards and alerts ask for nothing else."""

from __future__ import annotations

import time
import urllib.request

import pytest
import ray
from archives import SAMPLES, speech
from promql import QUERIES, Series, missing, series

from cluster import metrics
from cluster.jobs.illustrate import illustrate
from cluster.jobs.plan import plan
from s2i_core.records import Status

_WAIT_S = 90.0
#: The last that a run tells, and what the node's own agent tells: when they are there, all is. Ray tells every 10 s.
_LAST = (
    "ray_s2i_similarity_bucket",
    "ray_s2i_compute_seconds_total",
    "ray_s2i_pending",
    "ray_node_cpu_utilization",
    "ray_tasks",
)


def scrape() -> str:
    """The page of every node."""
    ports = sorted(node["MetricsExportPort"] for node in ray.nodes() if node["Alive"])
    pages = [urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read() for port in ports]
    return b"\n".join(pages).decode()


@pytest.fixture
def exported(ray_session, objects, bucket, request_for) -> Series:
    """After both jobs: one recording, the same again, and one that is broken."""
    talk = speech(12)
    for key, data in {"a.wav": talk, "b.wav": talk, "c.mp3": (SAMPLES / "not-audio.mp3").read_bytes()}.items():
        objects.put(bucket, f"in/{key}", data)
    request = request_for()
    plan(request)
    illustrate(request)
    # A gauge is gone 20 s after it was last set: what shows in one scrape may be gone in the next.
    pages: list[str] = []
    deadline = time.monotonic() + _WAIT_S
    while not all(any(name in page for page in pages) for name in _LAST) and time.monotonic() < deadline:
        metrics.pending("illustrate", 0)
        time.sleep(2)
        pages.append(scrape())
    return series(*pages[-12:])


@pytest.mark.slow
def test_a_run_exports_what_the_dashboards_ask_for(exported: Series) -> None:
    asked = [(where, query) for where, query in QUERIES if "ray_" in query]
    assert len(asked) > 20
    assert {where: found for where, query in asked if (found := missing(query, exported))} == {}

    outcomes = {(each["s2i_job"], each["status"], each["reason"]) for each in exported["ray_s2i_outcomes_total"]}
    assert outcomes >= {
        ("plan", "ok", "none"),
        ("plan", "skipped", "duplicate"),
        ("plan", "failed", "DecodeError"),
        ("illustrate", "ok", "none"),
    }
    assert {each["stage"] for each in exported["ray_s2i_stage_seconds_count"]} == {"decode", "encode", "draw"}


def test_nothing_is_counted_and_nothing_breaks_without_a_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    metrics.outcome("plan", Status.OK)
    metrics.pending("plan", 3)
    metrics.audio(1.0)
    metrics.drawn(0.5, 10.0, "cuda:0")
    with metrics.timed("decode"):
        pass
