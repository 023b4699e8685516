"""From the settings of a pool to what Ray is asked for."""

from __future__ import annotations

import math
from typing import Any

from ray.data import ActorPoolStrategy

from cluster.jobs.pools import held
from s2i_core.config import PoolConfig, ResourceConfig

IN_FLIGHT = 2
"""Blocks that one worker is given at a time: those it works on, and those that wait for it."""


def pool(config: PoolConfig, *, retries: int, concurrency: int = 1, alone: bool = False) -> dict[str, Any]:
    """Arguments for `map_batches` that make a stage run in an autoscaling pool of actors.

    Ray starts a worker that dies again, without end; the rows it held are tried `retries` times more, so that rows
    that kill their worker cannot hold up the others for ever.

    Args:
        retries: tries of a block after its worker died.
        concurrency: blocks that one worker has in hand at a time.
        alone: give a worker one block only, so that a block that kills it takes no other along.
    """
    arguments: dict[str, Any] = {
        "compute": ActorPoolStrategy(
            min_size=config.minimum,
            max_size=config.maximum,
            initial_size=config.initial,
            max_concurrent_calls_per_actor=1 if alone else concurrency,
            enable_true_multi_threading=concurrency > 1 and not alone,
            max_tasks_in_flight_per_actor=1 if alone else IN_FLIGHT,
        ),
        "num_cpus": config.num_cpus,
        "max_task_retries": retries,
    }
    if config.num_gpus:
        arguments["num_gpus"] = config.num_gpus
    if config.memory_bytes:
        arguments["memory"] = config.memory_bytes
    return arguments


def full(*, concurrency: int = 1, alone: bool = False) -> float:
    """Ray's measure of how busy a pool is when each of its workers has all blocks that it is given.

    A pool is made larger from some such measure on; one above this would never be reached, and the pool never grow.
    """
    return 1.0 if alone else IN_FLIGHT / concurrency


def logical_cpus(config: ResourceConfig) -> int:
    """CPUs that a cluster must have for all pools of the larger job at their maximum at once."""
    return max(1, math.ceil(held(config, "num_cpus")))
