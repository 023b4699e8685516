"""Throughput with 1, 16 and 64 simulated accelerators: a stage that holds one for a fixed time, over the ideal.

The job's own machinery (`cluster.jobs.execute`) hands out the work; each worker holds one simulated accelerator, which
takes the same time for every batch and no CPU. Counted from when all workers are up until the last full round.
"""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
from ray.data import Dataset, from_arrow

from cluster.jobs.execute import StageCall
from cluster.jobs.execute import run as execute
from cluster.jobs.limits import Budget
from cluster.local import local_ray
from s2i_core.config import LimitConfig, PoolConfig, ResourceConfig
from tests.bench.results import Options

_HOLD_S = 2.0
_ROUNDS = 12
_CPUS = 0.01


class Accelerator:
    """Takes `_HOLD_S` for a batch of any size, on a device that is busy meanwhile."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        time.sleep(_HOLD_S)
        return batch.append_column("ended", pa.array([time.time()] * batch.num_rows))


def run(options: Options) -> dict[str, Any]:
    """Each size in turn, in a Ray of its own."""
    sizes = (1, 2) if options.quick else (1, 16, 64)
    rates: dict[int, float] = {}
    lost = 0
    for workers in sizes:
        rates[workers], missing = _measure(workers)
        lost += missing
    one = rates[1]
    return {
        **{f"ratio_{workers}": round(rates[workers] / (workers * one), 3) for workers in sizes[1:]},
        "batches_a_s": {str(workers): round(rate, 3) for workers, rate in rates.items()},
        "over_ideal_of_one": round(one * _HOLD_S, 3),
        "hold_s": _HOLD_S,
        "rows_lost": lost,
    }


def _measure(workers: int) -> tuple[float, int]:
    batches = workers * _ROUNDS
    missing = set(range(batches))

    def source(alone: bool) -> Dataset:
        del alone
        return from_arrow([pa.table({"number": [number]}) for number in sorted(missing)])

    pool = PoolConfig(initial=workers, minimum=workers, maximum=workers, num_cpus=_CPUS, batch_size=1)
    ends: list[float] = []
    with local_ray(2):
        calls = [StageCall(Accelerator, (), pool)]
        for table in execute(source, missing, calls, ResourceConfig(), Budget(LimitConfig())):
            ends += table["ended"].to_pylist()
            missing.difference_update(table["number"].to_pylist())
    ends.sort()
    # The first round waits for workers to start, and the last one for the last batch.
    steady = ends[2 * workers : -workers]
    return (len(steady) - 1) / (steady[-1] - steady[0]), len(missing)
