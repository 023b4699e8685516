"""Runs stages over rows with Ray Data and streams the results."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from ray.data import Dataset
from ray.util.annotations import RayDeprecationWarning

from cluster.jobs.limits import Budget
from cluster.jobs.resources import full, pool
from cluster.jobs.watch import Execution, Introduce, Stalled
from s2i_core.config import PoolConfig, ResourceConfig
from s2i_core.logs import Log

#: Small blocks: the next stage and the driver get first results soon, and a worker that dies loses little.
BLOCK_BYTES = 512 << 10
_STALLS = 5
_LOG = Log("jobs")


@dataclass(frozen=True)
class StageCall:
    """A stage, the arguments of its workers, and the pool that they run in.

    `concurrency`: calls that one worker runs at a time; the stage must support that.
    """

    stage: type
    arguments: tuple[Any, ...]
    pool: PoolConfig
    concurrency: int = 1

    @classmethod
    def of(cls, stage: type[Any], config: ResourceConfig, *arguments: Any) -> StageCall:
        """A call of the stage in the pool that it declares."""
        return cls(stage, arguments, stage.pool.settings(config), stage.pool.concurrency)


def run(
    source: Callable[[bool], Dataset],
    missing: Sized,
    stages: Sequence[StageCall],
    config: ResourceConfig,
    budget: Budget,
    *,
    block_bytes: int = BLOCK_BYTES,
    log: Log = _LOG,
) -> Iterator[pa.Table]:
    """The results of the stages, until nothing is missing, everything was tried, or the budget is spent.

    If results stop coming, the execution is abandoned and what is missing goes in again. What is still missing at the
    end of an execution was lost with its workers and gets a second chance: one row per call and one call per worker, so
    that a row that kills its worker takes no others with it. Rows that are missing after that are left to the caller.

    Args:
        source: returns the rows that are missing now; its argument is true for the second chance.
        missing: shrinks as the caller takes results.
        stages: first to last.
        config: how often, and for how long, to try.
        budget: what the workers hold is charged to it.
        block_bytes: rows travel in blocks of about this size.
        log: of the job.
    """
    alone, stalls = False, 0
    while missing and not budget.spent:
        try:
            yield from stream(source(alone), stages, config, budget, alone=alone, block_bytes=block_bytes)
        except Stalled as error:
            stalls += 1
            log.warning("results stopped coming; what is missing goes in again", error=str(error), rows=len(missing))
            if stalls == _STALLS:
                return
            continue
        if alone:
            return
        alone = True


def stream(
    dataset: Dataset,
    stages: Sequence[StageCall],
    config: ResourceConfig,
    budget: Budget,
    *,
    alone: bool,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[pa.Table]:
    """The rows from the last stage, as soon as they are ready, in any order.

    Rows of a block whose worker dies repeatedly are left out, and the others continue: the caller sees what is
    missing. Ray's own limit on lost blocks would end the run, and its retries would go on for ever.

    Raises:
        Stalled: results stopped coming.
    """
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    settings = dataset.context
    settings.target_max_block_size = block_bytes
    settings.max_errored_blocks = -1
    settings.enable_progress_bars = False
    settings.print_on_execution_start = False
    settings.execution_no_progress_timeout_s = -1  # `Execution` sees to that
    settings.custom_execution_callback_classes = [Introduce]
    scaling = settings.autoscaling_config
    grow_at = min(full(concurrency=call.concurrency, alone=alone) for call in stages)
    settings.autoscaling_config = replace(
        scaling, actor_pool_util_upscaling_threshold=min(scaling.actor_pool_util_upscaling_threshold, grow_at)
    )
    retries = 0 if alone else config.max_attempts - 1
    # Ray has no other way yet to limit the retries of an actor's tasks.
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
    yield from Execution(dataset, config, budget)
