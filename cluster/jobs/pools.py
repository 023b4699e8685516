"""The pools of workers: each stage declares its own once, and what a job needs from a cluster follows from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from s2i_core.config import PoolConfig, ResourceConfig


@dataclass(frozen=True)
class Pool:
    """The workers of one stage.

    Attributes:
        name: that of their settings in `ResourceConfig`.
        concurrency: calls that one of them runs at a time; the stage must support that.
        asks_store: whether they read or write objects.
    """

    name: str
    concurrency: int = 1
    asks_store: bool = False

    def settings(self, config: ResourceConfig) -> PoolConfig:
        """How many workers there are, and what each holds."""
        found: PoolConfig = getattr(config, self.name)
        return found


DECODE = Pool("decode", asks_store=True)
ENCODE = Pool("encode")
GENERATE = Pool("generate", concurrency=2, asks_store=True)

JOBS: Mapping[str, tuple[Pool, ...]] = {"plan": (DECODE, ENCODE), "illustrate": (GENERATE,)}
"""The pools that each job needs at the same time."""


def held(config: ResourceConfig, device: Literal["num_cpus", "num_gpus"]) -> float:
    """CPUs or GPUs that all workers of the larger job hold when its pools are at their maximum."""
    most: float = max(
        sum(pool.maximum * getattr(pool, device) for pool in (each.settings(config) for each in pools))
        for pools in JOBS.values()
    )
    return most
