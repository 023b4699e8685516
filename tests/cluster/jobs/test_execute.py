"""A row that kills its worker is lost alone, and the caller sees it."""

from __future__ import annotations

import os

import pyarrow as pa
import pytest

from cluster.jobs.execute import StageCall, stream
from s2i_core.config import PoolConfig, ResourceConfig

pytestmark = pytest.mark.usefixtures("ray_session")


def test_a_row_that_kills_its_worker() -> None:
    class Deadly:
        """Dies at some numbers; a class in a function travels to the workers by value."""

        def __init__(self, at: list[int]) -> None:
            self._at = at

        def __call__(self, batch: pa.Table) -> pa.Table:
            if set(self._at) & set(batch["number"].to_pylist()):
                os._exit(1)
            return batch

    numbers = set(range(12))
    config = ResourceConfig(max_attempts=2)
    calls = [StageCall(Deadly, ([5],), PoolConfig(batch_size=3))]

    def came_out(given: list[pa.Table], *, alone: bool) -> set[int]:
        return {number for table in stream(given, calls, config, alone=alone) for number in table["number"].to_pylist()}

    together = came_out([pa.table({"number": list(range(n, n + 3))}) for n in range(0, 12, 3)], alone=False)
    lost = numbers - together
    assert 5 in lost
    alone = came_out([pa.table({"number": [number]}) for number in sorted(lost)], alone=True)
    assert together | alone == numbers - {5}
