"""Figures with their number of samples and a 95 % interval, and the tables that they stand in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964
_RESAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """A measured value.

    Attributes:
        value: the value.
        n: of how many samples.
        low, high: 95 % interval.
    """

    value: float
    n: int
    low: float
    high: float


Cell = str | int | float | Figure | None


@dataclass(frozen=True)
class Table:
    """A table of the report; a cell is a text, a number or a `Figure`."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Part:
    """What one part of the evaluation found.

    Attributes:
        tables: for people.
        figures: by name, for the targets and for programs.
        pictures: image files by name, with what to write under them, for the page.
    """

    tables: Sequence[Table]
    figures: dict[str, Figure] = field(default_factory=dict)
    pictures: Sequence[tuple[str, str]] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def share(right: Sequence[bool] | NDArray[np.bool_]) -> Figure:
    """How many of the answers are right, with Wilson's interval (1927)."""
    n = len(right)
    if n == 0:
        return Figure(math.nan, 0, math.nan, math.nan)
    p = float(np.mean(right))
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Figure(p, n, max(0.0, middle - half), min(1.0, middle + half))


def mean(values: Sequence[float] | NDArray[np.floating]) -> Figure:
    """The mean, with a bootstrap percentile interval."""
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        return Figure(math.nan, 0, math.nan, math.nan)
    means = found[np.random.default_rng(0).integers(len(found), size=(_RESAMPLES, len(found)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Figure(float(found.mean()), len(found), float(low), float(high))


def median(values: Sequence[float]) -> Figure:
    """The median, with the 5 % and 95 % quantiles instead of an interval."""
    low, middle, high = np.quantile(np.asarray(values), (0.05, 0.5, 0.95))
    return Figure(float(middle), len(values), float(low), float(high))


def auc(higher: Sequence[float], lower: Sequence[float]) -> Figure:
    """Probability that one of the first is above one of the second (ROC-AUC), with a bootstrap interval."""
    a, b = np.asarray(higher, dtype=np.float64), np.asarray(lower, dtype=np.float64)
    if not len(a) or not len(b):
        return Figure(math.nan, 0, math.nan, math.nan)
    wins = (a[:, None] > b).astype(np.float64) + 0.5 * (a[:, None] == b)
    rng = np.random.default_rng(0)
    means = [
        wins[rng.integers(len(a), size=len(a))][:, rng.integers(len(b), size=len(b))].mean() for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(means, (0.025, 0.975))
    return Figure(float(wins.mean()), len(a) + len(b), float(low), float(high))


def ranks(
    queries: NDArray[np.float32], candidates: NDArray[np.float32], targets: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.int64]:
    """Place of each query's right candidate among all by cosine, from 1; who is as near counts as nearer.

    Args:
        queries: `(N, E)`, L2-normalised.
        candidates: `(M, E)`, L2-normalised.
        targets: places among the candidates `(N,)`.
    """
    scores = queries @ candidates.T
    own = scores[np.arange(len(queries)), np.asarray(targets)]
    above = scores >= own[:, None]
    above[np.arange(len(queries)), np.asarray(targets)] = False
    return np.asarray(above.sum(1) + 1, dtype=np.int64)


def recalls(found: NDArray[np.int64], ks: Sequence[int] = (1, 5, 10)) -> list[Figure]:
    """Recall at each k, and the mean reciprocal rank at the end."""
    return [*(share(found <= k) for k in ks), mean(1 / found)]


def cell(value: object) -> str:
    """A cell of a table as text; a figure with its interval."""
    if isinstance(value, Figure):
        value = {"value": value.value, "n": value.n, "low": value.low, "high": value.high}
    if isinstance(value, dict):
        if not value["n"]:
            return ""
        digits = 0 if abs(value["value"]) >= 100 else 1 if abs(value["value"]) >= 10 else 2
        middle = f"{value['value']:.{digits}f}"
        if value["low"] == value["high"]:
            return middle
        return f"{middle} ({value['low']:.{digits}f}–{value['high']:.{digits}f})"
    return "" if value is None else str(value)
