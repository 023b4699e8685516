"""Whether the cluster has what a job needs: asks it to grow, and waits for that within bounds.

Without this, a job for which no node ever comes would wait for ever in silence.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources

from cluster.jobs.pools import JOBS
from cluster.jobs.request import JobFailed, JobName
from s2i_core.config import PoolConfig, ResourceConfig

_POLL_S = 1.0


def await_capacity(job: JobName, config: ResourceConfig, nodes: Callable[[], list[Any]] = ray.nodes) -> None:
    """Return once there is room for the minimum of every pool of a job; until then ask an autoscaler for it.

    Raises:
        JobFailed: there is still no room after `config.wait_s`.
    """
    pools = [pool.settings(config) for pool in JOBS[job]]
    workers = [_holds(pool) for pool in pools for _ in range(max(1, pool.minimum))]
    deadline = time.monotonic() + config.wait_s
    asked = False
    try:
        while (lacking := _lacking(workers, nodes())) is not None:
            if not asked:
                request_resources(bundles=workers)
                asked = True
            if time.monotonic() > deadline:
                raise JobFailed(
                    "the cluster",
                    f"after {config.wait_s:g} s it still has no room for a worker that holds {lacking} (job {job})",
                    "Look at its autoscaler (`ray status` on the head): a quota, no such nodes to be had? "
                    "Or ask for less: another preset, or --set resources.….num_gpus.",
                )
            time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())) + 0.01)
    finally:
        if asked:
            request_resources(bundles=[])  # from here on the job's own demand counts


def _holds(pool: PoolConfig) -> dict[str, float]:
    held = {"CPU": pool.num_cpus, "GPU": pool.num_gpus}
    return {name: amount for name, amount in held.items() if amount}


def _lacking(workers: list[dict[str, float]], nodes: list[Any]) -> str | None:
    """What the first worker needs that fits on no living node, trying the largest first; None if all fit."""
    room = [dict(node["Resources"]) for node in nodes if node["Alive"]]
    for worker in sorted(workers, key=lambda held: (held.get("GPU", 0), held.get("CPU", 0)), reverse=True):
        # Nodes without GPUs first: a worker that needs none must not take the place of one that does.
        fits = sorted(
            (node for node in room if all(node.get(name, 0) >= amount for name, amount in worker.items())),
            key=lambda node: node.get("GPU", 0),
        )
        if not fits:
            return " and ".join(f"{amount:g} {name}" for name, amount in worker.items()) or "nothing"
        for name, amount in worker.items():
            fits[0][name] -= amount
    return None
