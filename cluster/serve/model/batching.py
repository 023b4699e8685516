"""Batches by what they cost: while one batch runs, the next one fills.

A batch is never waited for: an idle worker takes what is there, and a busy one finds all that has come meanwhile. So
one request alone is as fast as without batching, and the batches grow with the load.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cluster.serve.messages import BatchFacts, Refused

Item = TypeVar("Item")
Result = TypeVar("Result")


_LATEST = 0.2
"""Weight of the latest batch in what is known of the speed."""


class QueueFull(Exception):
    """There is no place left in the queue, or the work would begin too late."""


class Expired(Exception):
    """The work did not begin in time."""


class Abandoned(Exception):
    """Nobody waits for the batch any more; raised by the function that runs it."""


@dataclass(eq=False)
class _Entry(Generic[Item, Result]):
    item: Item
    cost: float
    group: Hashable
    begin_by: float
    future: asyncio.Future[Result]
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[Item, Result]):
    """Runs a function on batches in one thread of its own.

    Items keep their order; a batch holds items of one group, and at most `budget` of cost unless one item alone costs
    more. Whoever was cancelled or has waited too long is left out. Where a batch fails, its items are tried alone.

    Args:
        run: a batch to as many results; called in the thread, one call at a time. Its second argument tells whether
            anybody still waits for one of them: where nobody does, it may stop and raise `Abandoned`.
        cost: of an item.
        budget: of a batch.
        group: only equal ones run together.
        max_queued: items that may wait.
        max_wait_s: longest wait that an item may expect, by how fast batches ran so far.
        told: called after each batch, in the event loop.
    """

    def __init__(
        self,
        run: Callable[[list[Item], Callable[[], bool]], Sequence[Result]],
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
        # Seconds and cost of what ran so far, the latest weighing most.
        self._ran_s, self._ran_cost = 0.0, 0.0
        self._told = told
        self._queue: deque[_Entry[Item, Result]] = deque()
        self._running: list[_Entry[Item, Result]] = []
        self._since = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._worker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Items that wait."""
        return sum(not entry.future.done() for entry in self._queue)

    @property
    def wait_s(self) -> float:
        """Seconds until an item that comes now would begin, by how fast batches ran so far; 0 before the first."""
        cost_s = self._ran_s / self._ran_cost if self._ran_cost else 0.0
        waiting_s = cost_s * sum(entry.cost for entry in self._queue if not entry.future.done())
        running_s = cost_s * sum(entry.cost for entry in self._running) - (time.monotonic() - self._since)
        return waiting_s + max(0.0, running_s if self._wanted(self._running) else 0.0)

    def learn(self, cost: float, seconds: float) -> None:
        """So much cost took so long: also of work outside of it, as of warming up."""
        self._ran_s = (1 - _LATEST) * self._ran_s + _LATEST * seconds
        self._ran_cost = (1 - _LATEST) * self._ran_cost + _LATEST * max(cost, 1e-9)

    async def __call__(self, item: Item, begin_by: float = float("inf")) -> Result:
        """The result for one item; cancel it, and the work is not done, or stopped where nobody else waits for it.

        Args:
            item: what to work on.
            begin_by: on the clock of `time.time()`; work that has not begun by then is not begun.

        Raises:
            QueueFull: at once: no place, or it would not begin in time.
            Expired: it has not begun in time.
            Exception: what the function raised for this item.
        """
        if len(self._queue) >= self._max_queued and len(self) >= self._max_queued:
            raise QueueFull
        # An idle worker begins at once, whatever is thought of its speed.
        if (wait_s := self.wait_s) and wait_s > min(self._max_wait_s, begin_by - time.time()):
            raise QueueFull
        loop = asyncio.get_running_loop()
        entry = _Entry[Item, Result](item, self._cost(item), self._group(item), begin_by, loop.create_future())
        self._queue.append(entry)
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await entry.future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._take():
            self._running, self._since = batch, time.monotonic()
            outcomes = await loop.run_in_executor(self._thread, self._outcomes, batch)
            self._running = []
            facts = BatchFacts(
                len(batch),
                sum(entry.cost for entry in batch),
                self._since - min(entry.since for entry in batch),
                time.monotonic() - self._since,
                len(self),
            )
            if not any(isinstance(outcome, Abandoned) for outcome in outcomes):
                self.learn(facts.cost, facts.ran_s)
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
            if entry.begin_by < now:
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

    def _outcomes(self, batch: list[_Entry[Item, Result]]) -> list[Result | Exception]:
        """One for each; in the thread."""
        try:
            results = list(self._run([entry.item for entry in batch], lambda: self._wanted(batch)))
            if len(results) != len(batch):
                raise RuntimeError(f"{len(batch)} items gave {len(results)} results")
            return [*results]
        except Exception as error:  # noqa: BLE001 -- becomes the outcome of the item that caused it
            if len(batch) == 1 or isinstance(error, Abandoned):
                return [error] * len(batch)
        return [outcome for entry in batch for outcome in self._outcomes([entry])]

    @staticmethod
    def _wanted(batch: Sequence[_Entry[Item, Result]]) -> bool:
        """Whether anybody still waits for one of them."""
        return not all(entry.future.done() for entry in batch)


async def or_refused(work: Awaitable[Result]) -> Result | Refused:
    """The result; where it did not begin, why, as a value."""
    try:
        return await work
    except QueueFull:
        return Refused.FULL
    except Expired:
        return Refused.LATE
