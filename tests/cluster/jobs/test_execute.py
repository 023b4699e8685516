"""A row that kills its worker is lost alone; where results stop coming, what is missing goes in again."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ray.data import Dataset, from_arrow

from cluster.jobs.execute import StageCall, run, stream
from cluster.jobs.limits import Budget
from s2i_core.config import LimitConfig, PoolConfig, ResourceConfig
from s2i_core.logs import Log

pytestmark = pytest.mark.usefixtures("ray_session")

NUMBERS = set(range(12))
NO_LIMITS = LimitConfig()


def source(missing: set[int]) -> Callable[[bool], Dataset]:
    def dataset(alone: bool) -> Dataset:
        numbers, size = sorted(missing), 1 if alone else 3
        blocks = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        return from_arrow([pa.table({"number": block}) for block in blocks])

    return dataset


def test_a_row_that_kills_its_worker() -> None:
    class Deadly:
        """Dies at some numbers; a class in a function travels to the workers by value."""

        def __init__(self, at: list[int]) -> None:
            self._at = at

        def __call__(self, batch: pa.Table) -> pa.Table:
            if set(self._at) & set(batch["number"].to_pylist()):
                os._exit(1)
            return batch

    missing = set(NUMBERS)
    budget = Budget(NO_LIMITS)
    calls = [StageCall(Deadly, ([5],), PoolConfig(batch_size=3))]
    for table in run(source(missing), missing, calls, ResourceConfig(max_attempts=2), budget):
        missing.difference_update(table["number"].to_pylist())
    assert missing == {5}
    assert budget.cpu_s > 0
    assert budget.gpu_s == 0


def hanging() -> type:
    class Hanging:
        """Waits for ever at number 5, but only the first time that this happens to anybody."""

        def __init__(self, mark: str) -> None:
            self._mark = Path(mark)

        def __call__(self, batch: pa.Table) -> pa.Table:
            if 5 in batch["number"].to_pylist() and not self._mark.exists():
                self._mark.touch()
                time.sleep(1000)
            return batch

    return Hanging


class Told(Log):
    """Keeps the facts of its warnings."""

    def __init__(self) -> None:
        super().__init__("told")
        self.facts: list[dict[str, Any]] = []

    def warning(self, message: str, **facts: Any) -> None:
        assert "goes in again" in message
        self.facts.append(facts)


def test_what_hangs_goes_in_again(tmp_path: Path) -> None:
    missing = set(NUMBERS)
    calls = [StageCall(hanging(), (str(tmp_path / "mark"),), PoolConfig(batch_size=3))]
    told = Told()
    for table in run(source(missing), missing, calls, ResourceConfig(stall_s=4), Budget(NO_LIMITS), log=told):
        missing.difference_update(table["number"].to_pylist())
    assert not missing
    assert told.facts
    assert all("no result came for" in fact["error"] and fact["rows"] >= 3 for fact in told.facts)


def test_a_spent_budget_ends_it() -> None:
    missing = set(NUMBERS)

    class Slow:
        def __call__(self, batch: pa.Table) -> pa.Table:
            time.sleep(1.5)
            return batch

    calls = [StageCall(Slow, (), PoolConfig(batch_size=1, num_cpus=1))]
    budget = Budget(LimitConfig(cpu_seconds=5))
    for table in run(source(missing), missing, calls, ResourceConfig(), budget):
        missing.difference_update(table["number"].to_pylist())
    assert missing
    assert budget.spent == "limits.cpu_seconds = 5"


@pytest.mark.parametrize("alone", [False, True])
def test_a_busy_pool_grows(alone: bool) -> None:
    class Slow:
        def __call__(self, batch: pa.Table) -> pa.Table:
            time.sleep(0.5)
            return batch.append_column("worker", pa.array([os.getpid()] * batch.num_rows))

    blocks = from_arrow([pa.table({"number": [number]}) for number in range(200)])
    pool = PoolConfig(initial=1, minimum=1, maximum=2, num_cpus=0.1, batch_size=1)
    calls = [StageCall(Slow, (), pool, concurrency=2)]
    workers: set[int] = set()
    with contextlib.closing(stream(blocks, calls, ResourceConfig(), Budget(NO_LIMITS), alone=alone)) as tables:
        for table in tables:
            workers |= set(table["worker"].to_pylist())
            if len(workers) == 2:
                break
    assert len(workers) == 2
