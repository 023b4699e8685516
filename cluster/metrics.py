"""The metrics of the jobs for Prometheus: every Ray node exports them on its metrics port, with the prefix `ray_`.

`infra/dashboards` draws them and has alerts on them. Labels have few fixed values, never a key or an id: each
combination of their values is one time series. None has a name that Prometheus itself sets on what it scrapes (`job`,
`instance`, `pod` …): it would be overwritten. If no Ray runs, nothing is counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import ray
from ray.util.metrics import Counter, Gauge, Histogram

from s2i_core.records import Status

_SECONDS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0]
_SIMILARITY = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8]
_NONE = "none"


class _Metrics:
    def __init__(self) -> None:
        self.outcomes = Counter("s2i_outcomes", "Rows whose outcome is known.", ("s2i_job", "status", "reason"))
        # A gauge of Ray disappears 20 s after it was last set.
        self.pending = Gauge("s2i_pending", "Rows without an outcome, in the job that runs.", ("s2i_job",))
        self.audio_s = Counter("s2i_audio_seconds", "Length of the recordings that were read to their end.")
        self.compute_s = Counter("s2i_compute_seconds", "Time of the denoiser and its GPU, or CPU.", ("device",))
        self.stage_s = Histogram("s2i_stage_seconds", "Time of one call of a stage.", _SECONDS, ("stage",))
        self.similarity = Histogram("s2i_similarity", "Cosine between what was said and what was drawn.", _SIMILARITY)


def outcome(job: str, status: Status, reason: str | None = None) -> None:
    """One more row has its outcome.

    Args:
        job: `plan` or `illustrate`.
        status: the outcome.
        reason: why it was skipped, or the class of the error.
    """
    if metrics := _metrics():
        metrics.outcomes.inc(1, {"s2i_job": job, "status": status.value, "reason": reason or _NONE})


def pending(job: str, rows: int) -> None:
    """How many rows of a job have no outcome yet."""
    if metrics := _metrics():
        metrics.pending.set(rows, {"s2i_job": job})


def audio(seconds: float) -> None:
    """A recording of this length was read to its end."""
    if seconds > 0 and (metrics := _metrics()):
        metrics.audio_s.inc(seconds)


def drawn(similarity: float, compute_ms: float, device: str) -> None:
    """An image was drawn on a device (`cpu`, `cuda:0`), with this similarity (-1 to 1) to its speech."""
    if metrics := _metrics():
        # OpenTelemetry's histograms, through which Ray exports, drop negative values.
        metrics.similarity.observe(max(similarity, 0.0))
        if compute_ms > 0:
            metrics.compute_s.inc(compute_ms / 1000, {"device": device.partition(":")[0]})


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Time the block as one call of a stage."""
    started = time.monotonic()
    try:
        yield
    finally:
        if metrics := _metrics():
            metrics.stage_s.observe(time.monotonic() - started, {"stage": stage})


def _metrics() -> _Metrics | None:
    return _of_session(ray.get_runtime_context().gcs_address) if ray.is_initialized() else None


@lru_cache(maxsize=1)
def _of_session(_gcs_address: str) -> _Metrics:
    """Ray forgets metrics that were made before it was connected, so each cluster that is joined gets a new set."""
    return _Metrics()
