"""Drift: how often a shift of 5 % of scenes is found, and how often one is where there is none, of 20 each.

Scenes are drawn about sixty topics, in as many dimensions as the shipped model's vectors have; what is shifted of a
thousand is about something else that they have in common, as after a fault. Of 10,000 figures of similarity as many
lose 0.3, three times their spread.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import numpy as np

from s2i_core.analysis.drift import LEVEL, Sample, ks, moved
from tests.bench.results import Options

_DIMENSIONS = 384
_TOPICS = 60


def draw(seed: int, count: int = 1000, *, named: bool = False) -> Sample:
    """Scenes about the same topics, whatever the seed."""
    topics = np.random.default_rng(0).normal(size=(_TOPICS, _DIMENSIONS))
    random = np.random.default_rng(1000 + seed)
    vectors = topics[random.integers(0, _TOPICS, count)] + 0.7 * random.normal(size=(count, _DIMENSIONS))
    names = tuple(map(str, range(count))) if named else ()
    return Sample(_unit(vectors), random.normal(0.5, 0.1, count), random.normal(0.4, 0.1, count), names)


def shifted(sample: Sample, share: float, seed: int) -> Sample:
    """The same, of which a share is about something else."""
    random = np.random.default_rng(2000 + seed)
    rows = random.permutation(len(sample))[: round(share * len(sample))]
    vectors = sample.vectors.copy()
    other = random.normal(size=_DIMENSIONS)
    vectors[rows] = _unit(other + 0.7 * random.normal(size=(len(rows), _DIMENSIONS)))
    return Sample(vectors, sample.confidence, sample.similarity, sample.names)


def _similarities(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3000 + seed)
    before, now = random.normal(0.4, 0.1, (2, 10_000))
    now[:500] -= 0.3
    return before, now


def _unit(vectors: np.ndarray) -> np.ndarray:
    made: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return made


def run(options: Options) -> dict[str, Any]:
    """Compare, and count."""
    times = 3 if options.quick else 20
    vectors = similarity = pairs = alarms = pair_alarms = 0
    took = []
    for seed in range(times):
        before, now = draw(seed), draw(100 + seed)
        begun = time.monotonic()
        vectors += moved(before, shifted(now, 0.05, seed))[0].found
        took.append(time.monotonic() - begun)
        alarms += any(each.found for each in moved(before, now))
        similarity += ks(*_similarities(seed))[1] <= LEVEL / 3
        same = draw(seed, 100, named=True)
        rounded = Sample(
            same.vectors + 1e-4 * now.vectors[:100],
            same.confidence + 1e-5 * now.confidence[:100],
            same.similarity + 1e-5 * now.similarity[:100],
            same.names,
        )
        pairs += moved(same, shifted(rounded, 0.05, seed))[0].found
        pair_alarms += any(each.found for each in moved(same, rounded))
        print(f"  {seed + 1} of {times}", file=sys.stderr, flush=True)
    return {
        "vectors_found": vectors,
        "false_alarms": alarms,
        "similarity_found": similarity,
        "same_scenes_found": pairs,
        "same_scenes_false_alarms": pair_alarms,
        "of": times,
        "compare_s": round(statistics.median(took), 2),
    }
