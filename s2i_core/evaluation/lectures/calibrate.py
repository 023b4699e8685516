"""How a listener's confidence becomes a probability: fitted on the lectures of development, which are not reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from s2i_core.evaluation.lectures.idle import recordings
from s2i_core.evaluation.lectures.score import Judged
from s2i_core.evaluation.lectures.spoken import CHANNELS, Lecture, lectures, through

PRECISIONS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""For which the limits of confidence are kept with a grounding."""
Limit: TypeAlias = tuple[float, float]
EDGES = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)
"""Of the bins of confidence; what is below the first is not looked at."""
KINDS: tuple[Literal["neural", "robotic"], ...] = ("neural", "robotic")
_FEWEST = 20
_STEPS = 50


def development(takes: int = 1) -> Iterator[tuple[str, Lecture, NDArray[np.float32]]]:
    """What a confidence is fitted on: its condition, what is said, and how it comes through `(T,)`.

    The lectures of development by neural voices through every channel and by robotic ones, and talk that names nothing.
    """
    for kind in KINDS:
        for lecture in lectures("dev", kind, takes):
            for channel in CHANNELS if kind == "neural" else CHANNELS[:1]:
                yield f"{kind} voices, {channel}", lecture, through(lecture, channel)
        for idle in recordings(kind):
            yield f"{kind} voices, {idle.title}", idle, idle.sound


def fit(judged: Sequence[Judged]) -> tuple[float, float]:
    """Slope and offset of the logistic curve over the log odds of the confidences (Platt 1999), by Newton's method.

    What is neither right nor wrong does not count. The targets are drawn in a little, as Platt does, so that a listener
    that is always right below some limit has a curve, too.

    Raises:
        ValueError: there is nothing right, or nothing wrong.
    """
    counted = [one for one in judged if one.right is not None]
    right = np.array([bool(one.right) for one in counted])
    hits, misses = int(right.sum()), int((~right).sum())
    if not hits or not misses:
        raise ValueError(f"a curve needs right and wrong answers, and there are {hits} and {misses}")
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (misses + 2))
    x = np.stack([log_odds(np.array([one.confidence for one in counted])), np.ones(len(counted))], axis=1)
    curve = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-x @ curve))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (target - p))
        curve += np.clip(step, -1, 1)
    return float(curve[0]), float(curve[1])


def limits(judged: Sequence[Judged], confidence: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> list[Limit]:
    """Pairs of a precision and the lowest confidence from which what is heard has it, where it is reached.

    Args:
        judged: with the confidences that were fitted to.
        confidence: the curve, from those to probabilities.
    """
    counted = sorted((one for one in judged if one.right is not None), key=lambda one: -one.confidence)
    sure = confidence(np.array([one.confidence for one in counted], np.float32))
    right = np.cumsum([bool(one.right) for one in counted]) / np.arange(1, len(counted) + 1)
    found = []
    for precision in PRECISIONS:
        # Of the first few, one mistake would decide.
        good = np.flatnonzero((right >= precision) & (np.arange(len(counted)) >= _FEWEST))
        if len(good):
            found.append((precision, float(sure[good[-1]])))
    return found


def log_odds(confidence: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of shares, kept away from 0 and 1 as `Grounding.confidence` does."""
    bounded = np.clip(confidence.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(bounded / (1 - bounded)))


@dataclass(frozen=True)
class Bin:
    """What was heard with about the same confidence: which it was on average, and which of it is right."""

    confidence: float
    right: tuple[bool, ...]


def reliability(judged: Sequence[Judged], edges: Sequence[float] = EDGES) -> list[Bin]:
    """What was heard, by confidence (Naeini et al., "Obtaining well calibrated probabilities", 2015); none is empty."""
    counted = [one for one in judged if one.right is not None]
    found = []
    for low, high in pairwise(edges):
        own = [one for one in counted if low <= one.confidence < high]
        if own:
            found.append(Bin(float(np.mean([one.confidence for one in own])), tuple(bool(one.right) for one in own)))
    return found


def calibration_error(bins: Sequence[Bin]) -> float:
    """How far confidence is from the share that is right, on average over what was heard; NaN for nothing heard."""
    total = sum(len(one.right) for one in bins)
    apart = sum(len(one.right) * abs(one.confidence - np.mean(one.right)) for one in bins)
    return float(apart / total) if total else float("nan")
