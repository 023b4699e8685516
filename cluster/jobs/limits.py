"""What a job uses, and when it must stop: the limits set by its owner (`LimitConfig`)."""

from __future__ import annotations

import time
from typing import Any

from cluster.jobs.pools import GENERATE, JOBS
from s2i_core.config import LimitConfig, PoolConfig, ResourceConfig
from s2i_core.storage.objects import S3Settings


class Budget:
    """The meter of one job.

    Attributes:
        cpu_s: CPU-seconds that its workers have held so far, idle or not.
        gpu_s: the same for GPUs.
    """

    def __init__(self, limits: LimitConfig) -> None:
        self.cpu_s = 0.0
        self.gpu_s = 0.0
        self._limits = limits
        self._started = time.monotonic()

    def use(self, elapsed_s: float, cpus: float, gpus: float) -> None:
        """Charge devices that workers held for a time."""
        self.cpu_s += elapsed_s * cpus
        self.gpu_s += elapsed_s * gpus

    def facts(self, left: int) -> dict[str, Any]:
        """Fields of the job's summary; `left` rows have no outcome."""
        used = {"cpu_s": round(self.cpu_s, 1), "gpu_s": round(self.gpu_s, 1), "cost": round(self.cost, 4)}
        return {"left": left, "stopped": self.spent if left else None} | used

    @property
    def cost(self) -> float:
        """Cost so far, at the prices of the limits."""
        return (self.gpu_s * self._limits.gpu_hour_price + self.cpu_s * self._limits.cpu_hour_price) / 3600

    @property
    def spent(self) -> str | None:
        """The limit that is reached; None while the job may continue."""
        used = {
            "deadline_s": time.monotonic() - self._started,
            "gpu_seconds": self.gpu_s,
            "cpu_seconds": self.cpu_s,
            "cost": self.cost,
        }
        for name, value in used.items():
            most = getattr(self._limits, name)
            if most is not None and value >= most:
                return f"limits.{name} = {most:g}"
        return None


def remaining(limits: LimitConfig, *, elapsed_s: float, cpu_s: float, gpu_s: float) -> LimitConfig | None:
    """The limits for a run's next job, less what the run has used; None if nothing is left."""
    cost = (gpu_s * limits.gpu_hour_price + cpu_s * limits.cpu_hour_price) / 3600
    used = {"deadline_s": elapsed_s, "gpu_seconds": gpu_s, "cpu_seconds": cpu_s, "cost": cost}
    left = {name: getattr(limits, name) - value for name, value in used.items() if getattr(limits, name) is not None}
    if any(value <= 0 for value in left.values()):
        return None
    return limits.model_copy(update=left)


def within(resources: ResourceConfig, limits: LimitConfig) -> ResourceConfig:
    """Resources reduced so that all workers together have no more open requests to S3 than the limits allow.

    A decoding worker reads one object at a time; a generating one writes `write_concurrency` files at a time.
    """
    most = limits.s3_requests
    if most is None:
        return resources
    asking = [pool for pools in JOBS.values() for pool in pools if pool.asks_store]
    fewer = {pool.name: _at_most(pool.settings(resources), most) for pool in asking}
    writing = max(1, min(resources.write_concurrency, most // fewer[GENERATE.name].maximum))
    return resources.model_copy(update=fewer | {"write_concurrency": writing})


def connections(store: S3Settings, resources: ResourceConfig) -> S3Settings:
    """The store with no more connections per process than one worker needs."""
    return store.model_copy(update={"max_connections": max(1, min(store.max_connections, resources.write_concurrency))})


def _at_most(pool: PoolConfig, workers: int) -> PoolConfig:
    sizes = {name: min(getattr(pool, name), workers) for name in ("initial", "minimum", "maximum")}
    return pool.model_copy(update=sizes)
