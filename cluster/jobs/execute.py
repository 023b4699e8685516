"""Runs stages over blocks with Ray Data and streams what comes out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray.data
from ray.util.annotations import RayDeprecationWarning

from cluster.jobs.resources import pool
from s2i_core.config import PoolConfig, ResourceConfig

#: Small blocks: the next stage and the driver get the first results soon, and a worker that dies loses little.
_BLOCK_BYTES = 512 << 10


@dataclass(frozen=True)
class StageCall:
    """A stage, what its workers are made with, and the pool they run in.

    `concurrency`: calls that one worker runs at a time; the stage must bear that.
    """

    stage: type
    arguments: tuple[Any, ...]
    pool: PoolConfig
    concurrency: int = 1


def stream(
    blocks: Iterable[pa.Table], stages: Iterable[StageCall], config: ResourceConfig, *, alone: bool
) -> Iterator[pa.Table]:
    """The rows that come out of the last stage, as soon as they do, in any order.

    Rows of a block whose worker dies time and again are left out, and the others go on: the caller sees what is
    missing. Ray's own limit on lost blocks would end the run, and its retries would go on for ever.

    Args:
        blocks: what goes into the first stage.
        stages: first to last.
        config: how often a block is tried.
        alone: the second chance of rows whose worker died: one row a call, one call a worker, so that a row that kills
            its worker takes no other along.
    """
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    dataset = ray.data.from_arrow(list(blocks))
    settings = dataset.context
    settings.target_max_block_size = _BLOCK_BYTES
    settings.max_errored_blocks = -1
    settings.enable_progress_bars = False
    settings.print_on_execution_start = False
    retries = 0 if alone else config.max_attempts - 1
    # Ray has no other way yet to bound the retries of an actor's tasks.
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated", category=RayDeprecationWarning)
    for call in stages:
        dataset = dataset.map_batches(
            call.stage,
            fn_constructor_args=call.arguments,
            batch_size=1 if alone else call.pool.batch_size,
            batch_format="pyarrow",
            zero_copy_batch=True,
            **pool(call.pool, retries=retries, concurrency=call.concurrency, alone=alone),
        )
    for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        if batch.num_rows:
            yield batch
