"""The door, what a clip may wait, and the batches behind it, at twice the capacity: on a clock of its own.

No machine is too busy for it: two minutes of load pass in a second, always the same.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.serve.clips import admission
from cluster.serve.clips.admission import Clips, TimeLeft
from cluster.serve.metrics import Meter
from cluster.serve.model import batching
from cluster.serve.model.batching import Batcher, Expired, QueueFull
from cluster.serve.problems import Refusal

_WAIT_S = 6.0
_PICTURE = 6.0  # cost, as of the preset cpu
_DRAW_S = 1 / 30  # a unit of cost; so five pictures a second
_BATCH_COST = 64.0
_HEAR_S = 0.2


class _Clock(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time, and what runs in a thread takes what it says that it took."""

    def __init__(self) -> None:
        self.now, self.took_s = 1000.0, 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        self.took_s = 0.0
        result = func(*args)
        future = self.create_future()
        self.call_later(self.took_s, lambda: future.done() or future.set_result(result))
        return future


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits for somebody else"
        self._clock.now += max(0.0, timeout)
        return super().select(0)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[_Clock], Coroutine[Any, Any, None]]], None]:
    """Runs a scenario on the clock."""

    def run(scenario: Callable[[_Clock], Coroutine[Any, Any, None]]) -> None:
        loop = _Clock()
        for module in (admission, batching):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=loop.time, time=loop.time))
        try:
            loop.run_until_complete(scenario(loop))
        finally:
            loop.close()

    return run


@dataclass
class Asked:
    """What became of a request."""

    ok: bool
    took_s: float


def service(loop: _Clock) -> Callable[[float], Coroutine[Any, Any, Asked]]:
    """A service with one encoder and one generator; what it gives asks for pictures of that cost."""
    clips = Clips(64, 64, _WAIT_S, Meter("ingress"))

    def batcher(unit_s: float, budget: float) -> Batcher[float, None]:
        def work(items: list[float], wanted: Callable[[], bool]) -> list[None]:
            loop.took_s += 0.05 + unit_s * sum(items)
            return [None] * len(items)

        batches = Batcher(work, lambda item: item, budget, max_wait_s=_WAIT_S)
        batches.learn(_PICTURE, 0.05 + unit_s * _PICTURE)  # as from warming up
        return batches

    encoder, generator, threads = batcher(0.03, 30), batcher(_DRAW_S, _BATCH_COST), asyncio.Semaphore(4)

    async def ask(cost: float) -> Asked:
        came = loop.time()
        try:
            with clips.take(_PICTURE + cost):
                time_left = TimeLeft(came + 30, _WAIT_S)
                async with threads:
                    time_left.waited(loop.time() - came)
                    await asyncio.sleep(_HEAR_S)
                for stage, size in ((encoder, 4.0), (generator, cost)):
                    since = loop.time()
                    await stage(size, time_left.begin_by)
                    time_left.waited(max(0.0, loop.time() - since - 0.05 - 0.03 * size))
        except (QueueFull, Expired, Refusal):
            return Asked(False, loop.time() - came)
        return Asked(True, loop.time() - came)

    return ask


@pytest.mark.parametrize("burst", [0, 60])
@pytest.mark.parametrize("images", [(1,), (1, 1, 1, 4)], ids=["alike", "some of four"])
def test_at_twice_the_capacity_waiting_is_bounded_and_nothing_is_lost_of_the_capacity(
    run: Any, burst: int, images: tuple[int, ...]
) -> None:
    async def scenario(loop: _Clock) -> None:
        ask = service(loop)
        mean = _PICTURE * sum(images) / len(images)
        capacity = 1 / (_DRAW_S * mean)
        asked = [asyncio.ensure_future(ask(_PICTURE)) for _ in range(burst)]
        for number in range(round(2 * capacity * 120)):
            await asyncio.sleep(0.5 / capacity)
            asked.append(asyncio.ensure_future(ask(_PICTURE * images[number % len(images)])))
        outcomes = await asyncio.gather(*asked)
        taken = sorted(each.took_s for each in outcomes if each.ok)
        refused = sorted(each.took_s for each in outcomes if not each.ok)
        work_s = 4 * _HEAR_S + _BATCH_COST * _DRAW_S + 0.1
        assert taken[-1] < _WAIT_S + work_s, "who is taken waits longer than is promised"
        assert refused[-1] < _WAIT_S + work_s and refused[len(refused) // 2] < 0.01, "not refused at once"
        assert len(taken) > 0.85 * capacity * 120, "more are refused than must be"

    run(scenario)


def test_below_the_capacity_nobody_is_refused(run: Any) -> None:
    async def scenario(loop: _Clock) -> None:
        ask = service(loop)
        asked = []
        for _ in range(400):
            await asyncio.sleep(_DRAW_S * _PICTURE / 0.8)
            asked.append(asyncio.ensure_future(ask(_PICTURE)))
        assert all(each.ok and each.took_s < 1.5 for each in await asyncio.gather(*asked))

    run(scenario)


def test_what_one_at_a_time_took_says_nothing_of_many_at_once(run: Any) -> None:
    async def scenario(loop: _Clock) -> None:
        ask = service(loop)

        async def client(requests: int) -> list[Asked]:
            return [await ask(_PICTURE) for _ in range(requests)]

        for _ in range(2):
            assert all(each.ok for each in await client(30))
            # Each waits a little more than three seconds, of six.
            outcomes = await asyncio.gather(*(client(10) for _ in range(16)))
            assert all(each.ok for asked in outcomes for each in asked)

    run(scenario)
