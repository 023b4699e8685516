"""How much of what is named was heard, how much of what was heard is named, and how far off in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SLACK_S = 0.5
"""A thing is heard at its place if it is heard at most so long before or after it is said."""
PRECISION = 0.85
"""Of a listener that people would put up with."""


@dataclass(frozen=True)
class Guess:
    """What a listener makes of a moment.

    Attributes:
        title: of the library.
        at_s: the middle of it.
        confidence: the larger, the surer; any scale.
    """

    title: str
    at_s: float
    confidence: float


@dataclass(frozen=True)
class TimedMention:
    """What is named, and when; see `passages.Marked`."""

    start_s: float
    end_s: float
    accepted: frozenset[str]
    needed: bool


Recorded: TypeAlias = tuple[Sequence[Guess], Sequence[TimedMention]]
"""What was heard in a recording, and what was said in it."""


@dataclass(frozen=True)
class Judged:
    """One thing heard.

    Attributes:
        confidence: the listener's.
        right: None where it is neither right nor wrong.
        needed: whether it finds something that has to be found.
        off_s: from the middle of what was said; NaN where it is not right.
        title: what was heard.
    """

    confidence: float
    right: bool | None
    needed: bool
    off_s: float
    title: str


@dataclass(frozen=True)
class Point:
    """A listener at one limit of confidence: what it shows at that or more."""

    limit: float
    precision: float
    recall: float
    shown: int


@dataclass(frozen=True)
class Score:
    """Over some recordings.

    Attributes:
        curve: a point for each limit, from the surest.
        recall: the largest at `PRECISION` or better, 0 where no limit gives that.
        average_precision: mean precision over recall from 0 to 1, what is never found counting 0.
        off_s: median distance in time of what is right, at that limit; NaN where nothing is.
        needed: how many mentions there were to find.
        minutes: how long the recordings are.
        limit: of the point of `recall`; infinite where there is none.
    """

    curve: tuple[Point, ...]
    recall: float
    average_precision: float
    off_s: float
    needed: int
    minutes: float
    limit: float

    def at_recall(self, recall: float) -> float:
        """The best precision at this recall or more, 0 where it is never reached."""
        return max((point.precision for point in self.curve if point.recall >= recall), default=0.0)


def judge(heard: Sequence[Guess], said: Sequence[TimedMention]) -> list[Judged]:
    """Set what was heard in one recording against what was said, the surest first.

    Each mention can be found once: the same thing heard twice where it is said once is wrong the second time.
    """
    judged: list[Judged] = []
    found: set[int] = set()
    for one in sorted(heard, key=lambda one: -one.confidence):
        near = [
            place
            for place, mention in enumerate(said)
            if one.title in mention.accepted and mention.start_s - SLACK_S <= one.at_s <= mention.end_s + SLACK_S
        ]
        free = [place for place in near if place not in found]
        best = min(free, key=lambda place: abs(one.at_s - _middle(said[place])), default=None)
        if best is None:
            # What needs no picture may have several.
            optional = any(not said[place].needed for place in near)
            judged.append(Judged(one.confidence, None if optional else False, False, float("nan"), one.title))
            continue
        found.add(best)
        needed = said[best].needed
        off_s = abs(one.at_s - _middle(said[best]))
        judged.append(Judged(one.confidence, True if needed else None, needed, off_s, one.title))
    return judged


def score(recordings: Sequence[Recorded], minutes: float) -> Score:
    """Score a listener: what it heard in each recording, and what was said there."""
    judged = [one for heard, said in recordings for one in judge(heard, said)]
    needed = _needed(recordings)
    curve = _curve(judged, needed)
    best = curve.best
    limit = float(curve.limit[best]) if best is not None else float("inf")
    off_s = [one.off_s for one in judged if one.right and one.confidence >= limit]
    points = zip(curve.limit, curve.precision, curve.recall, curve.shown, strict=True)
    return Score(
        curve=tuple(Point(float(at), float(precise), float(found), int(shown)) for at, precise, found, shown in points),
        recall=curve.recall_at_precision,
        average_precision=curve.average_precision,
        off_s=float(np.median(off_s)) if off_s else float("nan"),
        needed=needed,
        minutes=minutes,
        limit=limit,
    )


def resampled(listeners: Sequence[Sequence[Recorded]], times: int = 200) -> NDArray[np.float64]:
    """Recall at `PRECISION` and average precision of listeners to the same recordings, drawn anew with replacement.

    Args:
        listeners: for each, what it heard in every recording and what was said there.
        times: how often; the draws are the same for all, so that ratios of them are of like with like.

    Returns:
        `(times, listeners, 2)`.
    """
    rng = np.random.default_rng(0)
    judged = [[(judge(*one), _needed([one])) for one in recordings] for recordings in listeners]
    found = np.zeros((times, len(listeners), 2))
    for turn in range(times):
        chosen = rng.integers(len(judged[0]), size=len(judged[0]))
        for who, own in enumerate(judged):
            curve = _curve([one for row in chosen for one in own[row][0]], sum(own[row][1] for row in chosen))
            found[turn, who] = curve.recall_at_precision, curve.average_precision
    return found


@dataclass(frozen=True)
class _Curve:
    """The points of a curve, as arrays `(P,)`."""

    limit: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    shown: NDArray[np.int64]

    @property
    def best(self) -> int | None:
        """Place of the largest recall at `PRECISION` or better."""
        good = np.flatnonzero(self.precision >= PRECISION)
        return int(good[self.recall[good].argmax()]) if len(good) else None

    @property
    def recall_at_precision(self) -> float:
        """That recall, 0 where there is none."""
        return 0.0 if self.best is None else float(self.recall[self.best])

    @property
    def average_precision(self) -> float:
        """The mean over recall of the best precision at this recall or more, as is usual."""
        ceiling = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float(np.diff(self.recall, prepend=0.0) @ ceiling)


def _curve(judged: Sequence[Judged], needed: int) -> _Curve:
    counted = sorted((one for one in judged if one.right is not None), key=lambda one: -one.confidence)
    limit = np.array([one.confidence for one in counted], np.float64)
    right = np.cumsum([bool(one.right) for one in counted]).astype(np.float64)
    shown = np.arange(1, len(counted) + 1)
    # Ties belong to one limit: the last of them counts for all.
    last = np.append(limit[1:] < limit[:-1], True)[: len(counted)]
    recall = right / needed if needed else np.zeros(len(counted))
    return _Curve(limit[last], (right / shown)[last], recall[last], shown[last])


def _needed(recordings: Sequence[Recorded]) -> int:
    return sum(mention.needed for _, said in recordings for mention in said)


def _middle(mention: TimedMention) -> float:
    return (mention.start_s + mention.end_s) / 2
