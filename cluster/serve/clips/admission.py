"""Who is taken, and how long they may wait: what cannot be answered soon is refused at the door, before any work.

A clip waits at several places on its way: for a thread that decodes, for a batch of the encoder, for one of the
generator. `Clips` sees all of them as one queue and refuses, at once, who would wait too long in it. `TimeLeft` goes
with a clip that was taken, and is what it may still wait: a stage that cannot begin within it refuses. So an answer
comes within `max_wait_s` and the time of the work itself, or it is a 503 within `max_wait_s`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cluster.serve import problems
from cluster.serve.metrics import Meter
from cluster.serve.problems import Refusal

_MEMORY_S = 10.0
"""How long what was seen of the speed counts."""
_AT_THE_DOOR = 0.8
"""Share of the longest wait at which the door closes: estimates err, and who was taken should get the picture."""
_CROWD = 1.5
"""So many times as many clips as there were when the speed was seen may be judged by it."""
_LATEST = 0.1
"""Weight of the latest place that was left in what is known of how long they are held."""


class Shares:
    """How much of something each key holds, so that none takes all of it from the others.

    Args:
        most: that one key may hold.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()

    def check(self, key: str | None, retry_after_s: float) -> None:
        """Refuse a key that has its share already; who has none, on this machine, may have everything.

        Raises:
            Refusal: it has.
        """
        if key is not None and self._held[key] >= self._most:
            raise problems.share(retry_after_s)

    @contextmanager
    def take(self, key: str | None) -> Iterator[None]:
        """One more for the time of the block."""
        if key is None:
            yield
            return
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            self._held += Counter()  # without those that hold nothing


class Places:
    """So many may be at work or waiting at a time; more are refused, with a time after which to try again.

    Args:
        kind: for the figures.
        number: of places.
        share: of them, that one key may hold.
        meter: told how many are taken.
    """

    def __init__(self, kind: str, number: int, share: int, meter: Meter) -> None:
        self._kind = kind
        self._number = number
        self._shares = Shares(share)
        self._meter = meter
        self._taken = 0
        self._lasts_s = 1.0

    @contextmanager
    def take(self, key: str | None) -> Iterator[None]:
        """A place for the time of the block.

        Args:
            key: name of the key that takes it; None on this machine, without keys.

        Raises:
            Refusal: there is none, or the key has its share.
        """
        if self._taken >= self._number:
            raise problems.busy(self._lasts_s)
        self._shares.check(key, self._lasts_s)
        self._count(1)
        started = time.monotonic()
        try:
            with self._shares.take(key):
                yield
        finally:
            self._count(-1)
            self._lasts_s += _LATEST * (time.monotonic() - started - self._lasts_s)

    def _count(self, change: int) -> None:
        self._taken += change
        self._meter.places(self._kind, self._taken)


class Clips:
    """The clips at work or waiting in one ingress replica, by what they cost.

    How long a new one would wait is what they cost over the speed at which clips were answered of late: so it holds
    for any number of replicas behind it. Few clips do not keep all replicas busy, nor fill their batches: what they
    say of the speed is forgotten when many come, and nothing is known until as many were answered. So long the stages
    behind it refuse.

    Args:
        number: of clips, at most.
        share: of them, that one key may have.
        max_wait_s: the longest wait; who would come near it is refused.
        meter: told how many there are.
    """

    def __init__(self, number: int, share: int, max_wait_s: float, meter: Meter) -> None:
        self._number = number
        self._shares = Shares(share)
        self._max_wait_s = _AT_THE_DOOR * max_wait_s
        self._meter = meter
        self._taken = 0
        self._cost = 0.0
        # Cost that was answered and the seconds that it took, the latest weighing most; how many were answered, and how
        # many clips there were at most, which is forgotten as fast.
        self._answered, self._busy_s = 0.0, 0.0
        self._answers, self._crowd = 0, 0.0
        self._since = 0.0  # the latest answer, or when the first of those who are here came

    @property
    def wait_s(self) -> float:
        """Seconds until what is here is answered; 0 where nothing is here, or too little was answered yet."""
        known = self._answers >= self._crowd and self._taken <= _CROWD * self._crowd
        if not self._taken or not known:
            return 0.0
        # A part is done already, though its answer is still to come. What should be done by now and is not will take
        # as long again as it is late.
        return abs(self._cost * self._busy_s / self._answered - (time.monotonic() - self._since))

    def check(self, key: str | None = None) -> None:
        """Refuse before anything was read where a clip would wait too long.

        Raises:
            Refusal: it would; `Retry-After` says when it would not, if nobody else came. Or the key has its share.
        """
        if self._taken >= self._number:
            raise problems.busy(self.wait_s / self._taken)
        if (wait_s := self.wait_s) > self._max_wait_s:
            raise problems.busy(wait_s - self._max_wait_s)
        self._shares.check(key, max(1.0, wait_s))

    @contextmanager
    def take(self, cost: float, key: str | None = None) -> Iterator[None]:
        """A place for the time of the block.

        Raises:
            Refusal: as `check`.
        """
        self.check(key)
        self._count(1, cost)
        answered = 0.0
        try:
            with self._shares.take(key):
                yield
            answered = cost
        except Refusal as refusal:
            # Of a clip that could not be used, the service has done what there was to do.
            answered = cost if refusal.status != 503 else 0.0
            raise
        finally:
            crowd = self._taken
            self._count(-1, -cost)
            if answered:
                self._learn(answered, crowd)

    def _learn(self, cost: float, crowd: int) -> None:
        """So much was answered while there were so many clips."""
        now = time.monotonic()
        if crowd > _CROWD * self._crowd:
            self._answered = self._busy_s = 0.0
            self._answers = 0
        kept = math.exp((self._since - now) / _MEMORY_S)
        self._crowd = max(float(crowd), self._crowd * kept)
        self._busy_s = self._busy_s * kept + _MEMORY_S * (1 - kept)
        self._answered = self._answered * kept + cost
        self._answers += 1
        self._since = now

    def _count(self, change: int, cost: float) -> None:
        if not self._taken:
            self._since = time.monotonic()
        self._taken += change
        self._cost = self._cost + cost if self._taken else 0.0
        self._meter.places("clips", self._taken)


@dataclass
class TimeLeft:
    """What is left to a clip that was taken."""

    deadline: float
    """By when the answer is wanted, on the clock of `time.time()`."""
    wait_s: float
    """How long it may still wait, in all the queues that are left."""

    @property
    def begin_by(self) -> float:
        """By when the next stage must begin with it, on the clock of `time.time()`."""
        return min(self.deadline, time.time() + self.wait_s)

    def waited(self, seconds: float) -> None:
        """It has waited so long for a stage."""
        self.wait_s = max(0.0, self.wait_s - seconds)

    def refusal(self, retry_after_s: float) -> Refusal:
        """What to say where a stage did not begin in time."""
        hurried = self.deadline < time.time() + self.wait_s
        return problems.late(retry_after_s) if hurried else problems.busy(retry_after_s)

    def timeout(self) -> asyncio.Timeout:
        """Ends the block at the deadline, with TimeoutError."""
        return asyncio.timeout(max(0.0, self.deadline - time.time()))
