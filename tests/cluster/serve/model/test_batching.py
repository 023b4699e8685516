"""Batches by cost: who runs with whom, who is left out, who is refused."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from cluster.serve.model.batching import Abandoned, Batcher, BatchFacts, Expired, QueueFull


class Work:
    """Runs batches when it is let; remembers them."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[tuple[str, float]]] = []

    def __call__(self, items: list[tuple[str, float]], wanted: Callable[[], bool]) -> list[str]:
        self.gate.wait(10)
        if not wanted():
            raise Abandoned
        self.batches.append(items)
        if any(name == "bad" for name, _ in items):
            raise ValueError("bad")
        return [name.upper() for name, _ in items]


def batcher(work: Work, budget: float = 10, **options: object) -> Batcher[tuple[str, float], str]:
    return Batcher(work, lambda item: item[1], budget, **options)


async def first_running(work: Work, batches: Batcher[tuple[str, float], str], cost: float = 1) -> asyncio.Task[str]:
    """Occupies the worker until the gate opens."""
    work.gate.clear()
    task = asyncio.ensure_future(batches(("first", cost)))
    await asyncio.sleep(0.05)
    return task


def test_what_comes_while_one_batch_runs_is_the_next_batch_within_the_budget() -> None:
    async def scenario() -> None:
        work = Work()
        batches = batcher(work, budget=10)
        first = await first_running(work, batches)
        others = [asyncio.ensure_future(batches((name, cost))) for name, cost in [("a", 4), ("b", 6), ("c", 1)]]
        await asyncio.sleep(0.05)
        work.gate.set()
        assert await first == "FIRST"
        assert await asyncio.gather(*others) == ["A", "B", "C"]
        assert [[name for name, _ in batch] for batch in work.batches] == [["first"], ["a", "b"], ["c"]]

    asyncio.run(scenario())


def test_one_item_above_the_budget_runs_alone() -> None:
    async def scenario() -> None:
        work = Work()
        batches = batcher(work, budget=10)
        first = await first_running(work, batches)
        others = [asyncio.ensure_future(batches((name, cost))) for name, cost in [("huge", 99), ("a", 1)]]
        await asyncio.sleep(0.05)
        work.gate.set()
        await asyncio.gather(first, *others)
        assert [[name for name, _ in batch] for batch in work.batches] == [["first"], ["huge"], ["a"]]

    asyncio.run(scenario())


def test_only_equal_groups_run_together_and_the_oldest_goes_first() -> None:
    async def scenario() -> None:
        work = Work()
        batches = batcher(work, budget=10, group=lambda item: item[0][0])
        first = await first_running(work, batches)
        others = [asyncio.ensure_future(batches((name, 1))) for name in ("x1", "y1", "x2", "y2")]
        await asyncio.sleep(0.05)
        work.gate.set()
        await asyncio.gather(first, *others)
        assert [[name for name, _ in batch] for batch in work.batches] == [["first"], ["x1", "x2"], ["y1", "y2"]]

    asyncio.run(scenario())


def test_who_left_or_is_late_is_not_worked_for() -> None:
    async def scenario() -> None:
        work = Work()
        batches = batcher(work)
        first = await first_running(work, batches)
        left = asyncio.ensure_future(batches(("left", 1)))
        late = asyncio.ensure_future(batches(("late", 1), time.time() + 0.01))
        stays = asyncio.ensure_future(batches(("stays", 1)))
        await asyncio.sleep(0.05)
        left.cancel()
        await asyncio.sleep(0)
        assert len(batches) == 2
        work.gate.set()
        await first
        with pytest.raises(Expired):
            await late
        assert await stays == "STAYS"
        assert [[name for name, _ in batch] for batch in work.batches] == [["first"], ["stays"]]

    asyncio.run(scenario())


def test_a_full_queue_refuses_at_once_and_a_place_that_was_left_is_free_again() -> None:
    async def scenario() -> None:
        work = Work()
        batches = batcher(work, max_queued=2)
        first = await first_running(work, batches)
        waiting = [asyncio.ensure_future(batches((name, 1))) for name in "ab"]
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFull):
            await batches(("c", 1))
        waiting[0].cancel()
        await asyncio.sleep(0)
        third = asyncio.ensure_future(batches(("d", 1)))
        await asyncio.sleep(0.05)
        work.gate.set()
        assert await asyncio.gather(first, waiting[1], third) == ["FIRST", "B", "D"]

    asyncio.run(scenario())


def test_a_bad_item_takes_no_other_with_it() -> None:
    async def scenario() -> None:
        work = Work()
        told: list[BatchFacts] = []
        batches = batcher(work, told=told.append)
        first = await first_running(work, batches)
        items = [asyncio.ensure_future(batches((name, 1))) for name in ("a", "bad", "b")]
        await asyncio.sleep(0.05)
        work.gate.set()
        await first
        outcomes = await asyncio.gather(*items, return_exceptions=True)
        assert outcomes[0] == "A" and outcomes[2] == "B" and isinstance(outcomes[1], ValueError)
        await asyncio.sleep(0)
        assert [facts.items for facts in told] == [1, 3] and told[1].waited_s > 0

    asyncio.run(scenario())


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    async def scenario() -> None:
        def slow(items: list[tuple[str, float]], wanted: Callable[[], bool]) -> list[str]:
            time.sleep(0.02 * sum(cost for _, cost in items))
            return [name for name, _ in items]

        batches: Batcher[tuple[str, float], str] = Batcher(slow, lambda item: item[1], 10, max_wait_s=0.5)
        assert batches.wait_s == 0, "nothing is known before the first batch"
        await batches(("known", 10))
        tasks = [asyncio.ensure_future(batches((str(n), 10))) for n in range(10)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refused = await asyncio.gather(*tasks, return_exceptions=True)
        kinds = [isinstance(each, QueueFull) for each in refused]
        assert not any(kinds[:3]) and all(kinds[5:]), kinds
        assert await batches(("later", 1)) == "later", "it goes on"

    asyncio.run(scenario())


def test_what_runs_is_waited_for_as_well() -> None:
    async def scenario() -> None:
        work = Work()
        batches = batcher(work, budget=10, max_wait_s=0.6)
        batches.learn(10, 1.0)  # a batch takes a second
        first = await first_running(work, batches, 10)
        assert 0.8 < batches.wait_s < 1
        with pytest.raises(QueueFull):
            await batches(("a", 1))
        await asyncio.sleep(0.5)
        second = asyncio.ensure_future(batches(("b", 1)))
        await asyncio.sleep(0.01)
        assert 0.4 < batches.wait_s < 0.6, "what is left of the first, and the second"
        with pytest.raises(QueueFull):
            await batches(("c", 1), time.time() + 0.1)
        work.gate.set()
        assert await asyncio.gather(first, second) == ["FIRST", "B"]

    asyncio.run(scenario())


def test_an_idle_worker_begins_whatever_is_thought_of_its_speed() -> None:
    async def scenario() -> None:
        batches = batcher(Work(), max_wait_s=0.1)
        batches.learn(1, 1000)
        assert await batches(("a", 1), time.time() + 5) == "A"

    asyncio.run(scenario())


def test_a_batch_that_nobody_waits_for_ends_and_is_not_tried_alone() -> None:
    async def scenario() -> None:
        begun: list[list[str]] = []
        told: list[BatchFacts] = []

        def steps(items: list[tuple[str, float]], wanted: Callable[[], bool]) -> list[str]:
            begun.append([name for name, _ in items])
            for _ in range(20):
                time.sleep(0.01)
                if not wanted():
                    raise Abandoned
            return [name.upper() for name, _ in items]

        batches: Batcher[tuple[str, float], str] = Batcher(steps, lambda item: item[1], 10, told=told.append)
        first = asyncio.ensure_future(batches(("first", 1)))
        await asyncio.sleep(0.02)
        some = [asyncio.ensure_future(batches((name, 1))) for name in "abc"]
        assert await first == "FIRST"
        await asyncio.sleep(0.02)
        some[0].cancel()
        assert await some[1] == "B" and await some[2] == "C", "of three, two stayed"
        some = [asyncio.ensure_future(batches((name, 1))) for name in "de"]
        await asyncio.sleep(0.05)
        for each in some:
            each.cancel()
        assert await batches(("stays", 1)) == "STAYS"
        assert begun == [["first"], ["a", "b", "c"], ["d", "e"], ["stays"]]
        await asyncio.sleep(0)
        assert told[2].ran_s < told[1].ran_s and len(told) == 4

    asyncio.run(scenario())
