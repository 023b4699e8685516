"""Whether scenes are like those of before: the distance of two samples, and how likely chance alone makes it as large.

Numbers are compared by the Kolmogorov-Smirnov distance: the largest difference of the shares that lie below a value.
Vectors are compared by the maximum mean discrepancy (MMD) with a Gaussian kernel: Gretton et al., "A Kernel Two-Sample
Test", 2012. Both are 0 for samples that are alike and 1 for those with nothing in common. Chance is what it says: the
same distance is measured with the scenes dealt out anew at random.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]

LEVEL = 0.01
"""How often all three figures together find a difference where there is none, at most."""
MOST = 20_000
"""Scenes of a sample that are compared at most."""
MOST_VECTORS = 1000
"""Vectors of a sample that are compared at most: those of its first scenes, so mix them before."""
_DEALS = 399
_SAME = 0.99
"""Cosine from which a vector is the same but for rounding on another machine."""
_FIGURES = ("vectors", "confidence", "similarity")


@dataclass(frozen=True)
class Sample:
    """What is compared of N scenes.

    Attributes:
        vectors: `(V, E)`, of length 1, of the first V scenes; of all where they have names.
        confidence: `(N,)`.
        similarity: `(N,)`; NaN where a scene has no picture.
        names: `(N,)`, the same for the same scene of another run; none where the scenes are others.
    """

    vectors: Floats
    confidence: Floats
    similarity: Floats
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.confidence)

    def at(self, rows: npt.NDArray[np.intp]) -> Sample:
        """Some of its scenes."""
        names = tuple(self.names[row] for row in rows) if self.names else ()
        return Sample(self.vectors[rows], self.confidence[rows], self.similarity[rows], names)


@dataclass(frozen=True)
class Moved:
    """How far one figure has moved.

    Attributes:
        what: `vectors`, `confidence` or `similarity`.
        amount: the distance, 0 (alike) to 1 (nothing in common).
        chance: how likely chance alone makes it as large.
        before, now: medians; none for vectors.
    """

    what: str
    amount: float
    chance: float
    before: float | None = None
    now: float | None = None

    @property
    def found(self) -> bool:
        """Whether it is more than chance."""
        return self.chance <= LEVEL / len(_FIGURES)

    def described(self) -> str:
        """For people: what moved, from where to where, and by how much."""
        medians = "" if self.before is None or self.now is None else f" from {self.before:.3f} to {self.now:.3f}"
        chance = "below 0.001" if self.chance < 0.001 else f"{self.chance:.3f}"
        told = f"moved{medians}" if self.found else "as before"
        return f"{self.what} {told} (distance {self.amount:.2f}, chance {chance})"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"found": self.found}


def moved(before: Sample, now: Sample) -> list[Moved]:
    """How far vectors, confidence and similarity have moved from one sample to another.

    Where both have names and share nine of ten, scenes are compared each with itself: then a few that moved are enough
    to be found, and the amount of vectors is the share of scenes whose own vector is another one.
    """
    pairs = False
    if before.names and now.names:
        place = {name: row for row, name in enumerate(now.names)}
        same = [(row, place[name]) for row, name in enumerate(before.names) if name in place]
        pairs = len(same) >= 0.9 * max(len(before), len(now))
        if pairs:
            rows = np.array(same, np.intp)
            before, now = before.at(rows[:, 0]), now.at(rows[:, 1])
    if before.vectors.shape[1] != now.vectors.shape[1]:
        amount, chance = 1.0, 0.0  # of another encoder: nothing in common
    elif pairs:
        amount, chance = _turned(before.vectors, now.vectors)
    else:
        amount, chance = _discrepancy(before.vectors[:MOST_VECTORS], now.vectors[:MOST_VECTORS])
    found = [Moved("vectors", amount, chance)]
    for what in _FIGURES[1:]:
        one, other = (np.asarray(getattr(each, what), np.float64) for each in (before, now))
        if pairs:
            known = np.isfinite(one) & np.isfinite(other)
            one, other = one[known], other[known]
        one, other = one[np.isfinite(one)], other[np.isfinite(other)]
        if not (len(one) and len(other)):
            continue
        amount, chance = ks_pairs(one[:MOST_VECTORS], other[:MOST_VECTORS]) if pairs else ks(one, other)
        found.append(Moved(what, amount, chance, float(np.median(one)), float(np.median(other))))
    return found


def ks(one: Floats, other: Floats) -> tuple[float, float]:
    """The Kolmogorov-Smirnov distance of two samples `(N,)`, `(M,)`, and how likely chance makes it as large.

    The chance is Kolmogorov's series with Stephens' correction for small samples; with equal values it is too high.
    """
    both = np.concatenate([one, other])
    distance = float(np.abs(_below(one, both) - _below(other, both)).max())
    root = np.sqrt(len(one) * len(other) / (len(one) + len(other)))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.2:  # the series does not converge there, and the chance is 1 to 12 digits
        return distance, 1.0
    terms = np.arange(1, 101)
    chance = 2 * float(np.sum((-1.0) ** (terms - 1) * np.exp(-2 * (terms * scaled) ** 2)))
    return distance, min(1.0, max(0.0, chance))


def ks_pairs(one: Floats, other: Floats, seed: int = 0) -> tuple[float, float]:
    """The same of two figures of each scene `(N,)`: chance is which of the two is the earlier one."""
    both = np.concatenate([one, other])
    signs = _deal_pairs(len(one), seed)
    order = np.argsort(both, kind="stable")
    below = np.concatenate([signs, -signs], axis=1)[:, order].cumsum(axis=1) / len(one)
    last = np.append(np.diff(both[order]) > 0, True)  # equal values count at once
    distances = np.abs(below[:, last]).max(axis=1)
    return float(distances[0]), _share_as_large(distances)


def _discrepancy(one: Floats, other: Floats, seed: int = 0) -> tuple[float, float]:
    """The root of the MMD of two samples of vectors `(N, E)`, `(M, E)`, and how likely chance makes it as large."""
    both = np.concatenate([one, other]).astype(np.float32)
    squares = np.square(both).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * both @ both.T, 0)
    # The median is that of what is known, not of what has moved: few that are far away must not widen it.
    width = float(np.median(distances[: len(one), : len(one)])) or float(distances.max()) or 1.0
    kernel = np.exp(-distances / width)
    weights = _deal(len(one), len(other), seed)
    statistics = ((weights @ kernel) * weights).sum(axis=1)
    # Samples that are alike have a distance too, by chance: its mean is no part of the amount.
    amount = max(0.0, float(statistics[0] - statistics[1:].mean()))
    return float(np.sqrt(amount / 2)), _share_as_large(statistics)


def _turned(one: Floats, other: Floats) -> tuple[float, float]:
    """Share of scenes whose own vector is another one now; no chance is in it, as the same scene was heard again."""
    share = float((np.einsum("ij,ij->i", one, other, dtype=np.float64) < _SAME).mean())
    return share, float(share == 0)


def _deal(one: int, other: int, seed: int) -> npt.NDArray[np.float32]:
    """Weights of all scenes in the first sample minus the second `(1 + deals, N + M)`; the first row as it is."""
    weights = np.concatenate([np.full(one, 1 / one), np.full(other, -1 / other)]).astype(np.float32)
    dealt = np.random.default_rng(seed).permuted(np.tile(weights, (1 + _DEALS, 1)), axis=1)
    dealt[0] = weights
    return dealt


def _deal_pairs(count: int, seed: int) -> F64:
    """Signs `(1 + deals, N)`: whether a scene's two figures change places; the first row as they are."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (1 + _DEALS, count))
    signs[0] = 1
    return signs


def _share_as_large(statistics: F64) -> float:
    """Share of the deals with a statistic as large as that of the first, which counts too."""
    return float((statistics >= statistics[0] - 1e-12).mean())


def _below(sample: Floats, values: Floats) -> F64:
    return np.searchsorted(np.sort(sample), values, side="right") / len(sample)
