"""From the settings of a pool to the arguments for Ray."""

from __future__ import annotations

import math
from typing import Any

from ray.data import ActorPoolStrategy

from cluster.jobs.pools import held
from s2i_core.config import PoolConfig, ResourceConfig

IN_FLIGHT = 2
"""Blocks that one worker is given at a time: those it works on, and those waiting for it."""


def pool(config: PoolConfig, *, retries: int, concurrency: int = 1, alone: bool = False) -> dict[str, Any]:
    """Arguments for `map_batches` that make a stage run in an autoscaling pool of actors.

    Ray restarts a worker that dies, without limit; the rows that it held are tried `retries` times more, so that rows
    that kill their worker cannot hold up the others for ever.

    Args:
        retries: further tries of a block after its worker died.
        concurrency: blocks that one worker processes at a time.
        alone: give a worker only one block, so that a block that kills it takes no others with it.
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
    """Ray's measure of a pool's utilisation when each of its workers has all the blocks that it may have.

    A pool grows from a threshold of this measure on; a threshold above it would never be reached.
    """
    return 1.0 if alone else IN_FLIGHT / concurrency


def logical_cpus(config: ResourceConfig) -> int:
    """CPUs that a cluster needs for all pools of the larger job at their maximum at once."""
    return max(1, math.ceil(held(config, "num_cpus")))
