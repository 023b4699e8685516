"""Batches by what they cost: while one batch runs, the next one fills.

A batch is never waited for: an idle worker takes what is there, and a busy one finds all that has come meanwhile. So
one request alone is as fast as without batching, and the batches grow with the load.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


_LATEST = 0.2
"""Weight of the latest batch in what is known of the speed."""


class QueueFull(Exception):
    """There is no place left in the queue, or the wait would be too long."""


class Expired(Exception):
    """The deadline passed before the work began."""


@dataclass(frozen=True)
class BatchFacts:
    """What is known of a batch that ran."""

    items: int
    cost: float
    waited_s: float
    """How long its oldest item waited."""
    ran_s: float


@dataclass(eq=False)
class _Entry(Generic[Item, Result]):
    item: Item
    cost: float
    group: Hashable
    deadline: float
    future: asyncio.Future[Result]
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[Item, Result]):
    """Runs a function on batches in one thread of its own.

    Items keep their order; a batch holds items of one group, and at most `budget` of cost unless one item alone costs
    more. Whoever was cancelled or is past the deadline is left out. Where a batch fails, its items are tried alone.

    Args:
        run: a batch to as many results; called in the thread, one call at a time.
        cost: of an item.
        budget: of a batch.
        group: only equal ones run together.
        max_queued: items that may wait.
        max_wait_s: longest wait that an item may expect, by how fast batches ran so far.
        told: called after each batch, in the event loop.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        cost: Callable[[Item], float],
        budget: float,
        *,
        group: Callable[[Item], Hashable] = lambda _: None,
        max_queued: int = 64,
        max_wait_s: float = float("inf"),
        told: Callable[[BatchFacts], None] = lambda _: None,
    ) -> None:
        self._run = run
        self._cost = cost
        self._budget = budget
        self._group = group
        self._max_queued = max_queued
        self._max_wait_s = max_wait_s
        self._cost_s: float | None = None  # seconds that a unit of cost takes
        self._told = told
        self._queue: deque[_Entry[Item, Result]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._worker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Items that wait."""
        return sum(not entry.future.done() for entry in self._queue)

    @property
    def wait_s(self) -> float:
        """Seconds that what waits will take, by how fast batches ran so far; 0 before the first."""
        return (self._cost_s or 0) * sum(entry.cost for entry in self._queue if not entry.future.done())

    async def __call__(self, item: Item, deadline: float = float("inf")) -> Result:
        """The result for one item.

        Args:
            item: what to work on.
            deadline: on the clock of `time.time()`; work that has not begun by then is not begun.

        Raises:
            QueueFull: at once.
            Expired: the deadline passed.
            Exception: what the function raised for this item.
        """
        if len(self._queue) >= self._max_queued and len(self) >= self._max_queued:
            raise QueueFull
        if self.wait_s > self._max_wait_s:
            raise QueueFull
        loop = asyncio.get_running_loop()
        entry = _Entry[Item, Result](item, self._cost(item), self._group(item), deadline, loop.create_future())
        self._queue.append(entry)
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await entry.future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._take():
            started = time.monotonic()
            items = [entry.item for entry in batch]
            outcomes = await loop.run_in_executor(self._thread, self._each_or_alone, items)
            facts = BatchFacts(
                len(batch),
                sum(entry.cost for entry in batch),
                started - min(entry.since for entry in batch),
                time.monotonic() - started,
            )
            took = facts.ran_s / max(facts.cost, 1e-9)
            self._cost_s = took if self._cost_s is None else self._cost_s + _LATEST * (took - self._cost_s)
            for entry, outcome in zip(batch, outcomes, strict=True):
                if entry.future.done():
                    continue
                if isinstance(outcome, Exception):
                    entry.future.set_exception(outcome)
                else:
                    entry.future.set_result(outcome)
            self._told(facts)

    def _take(self) -> list[_Entry[Item, Result]]:
        """The next batch; empty where nobody waits."""
        now = time.time()
        alive: deque[_Entry[Item, Result]] = deque()
        for entry in self._queue:
            if entry.future.done():
                continue
            if entry.deadline < now:
                entry.future.set_exception(Expired())
            else:
                alive.append(entry)
        batch: list[_Entry[Item, Result]] = []
        left: deque[_Entry[Item, Result]] = deque()
        cost, full = 0.0, False
        for entry in alive:
            fits = not batch or (entry.group == batch[0].group and cost + entry.cost <= self._budget and not full)
            if fits:
                batch.append(entry)
                cost += entry.cost
            else:
                # One that does not fit is not overtaken by smaller ones of its group for ever.
                full = full or entry.group == batch[0].group
                left.append(entry)
        self._queue = left
        return batch

    def _each_or_alone(self, items: list[Item]) -> list[Result | Exception]:
        try:
            results = list(self._run(items))
            if len(results) != len(items):
                raise RuntimeError(f"{len(items)} items gave {len(results)} results")
            return [*results]
        except Exception as error:  # noqa: BLE001 -- becomes the outcome of the item that caused it
            if len(items) == 1:
                return [error]
        return [outcome for item in items for outcome in self._each_or_alone([item])]
