"""What has moved is found, what has not is not: with a twentieth of the scenes, over twenty draws."""

from __future__ import annotations

import numpy as np
import pytest

from s2i_core.analysis.drift import Sample, ks, ks_pairs, moved
from tests.bench.drift import draw, shifted


def test_a_twentieth_that_is_about_something_else_is_found_and_nothing_is_not() -> None:
    found = [moved(draw(seed), shifted(draw(seed + 100), 0.05, seed))[0].found for seed in range(3)]
    alarms = [any(each.found for each in moved(draw(seed), draw(seed + 100))) for seed in range(3)]
    assert all(found) and not any(alarms)


def test_of_the_same_scenes_few_are_enough_and_rounding_is_nothing() -> None:
    random = np.random.default_rng(3)
    before = draw(0, 60, named=True)
    rounded = Sample(
        before.vectors + 1e-4 * random.normal(size=before.vectors.shape),
        before.confidence + 1e-5 * random.normal(size=60),
        before.similarity,
        before.names,
    )
    assert not any(each.found for each in moved(before, rounded))
    vectors = moved(before, shifted(rounded, 0.05, 1))[0]
    assert vectors.found and vectors.amount == pytest.approx(0.05)
    lower = Sample(before.vectors, before.confidence - 0.03, before.similarity, before.names)
    by = {each.what: each for each in moved(before, lower)}
    assert by["confidence"].found and not by["vectors"].found and not by["similarity"].found


def test_another_encoder_has_nothing_in_common() -> None:
    one, other = draw(0, 30), draw(1, 30)
    narrow = Sample(other.vectors[:, :8], other.confidence, other.similarity)
    assert moved(one, narrow)[0].amount == 1.0 and moved(one, narrow)[0].found


def test_scenes_without_pictures_have_no_similarity() -> None:
    one = draw(0, 30)
    none = Sample(one.vectors, one.confidence, np.full(30, np.nan))
    assert [each.what for each in moved(none, one)] == ["vectors", "confidence"]


def test_the_distance_and_its_chance_are_those_of_the_books() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, 300), random.normal(0.3, 1, 400)
    distance, chance = ks(one, other)
    assert distance == pytest.approx(_largest_difference(one, other))
    assert chance < 0.01
    # Kolmogorov's limit: a distance of 1.36 / root is seen by chance one time in twenty.
    many = np.arange(10_000.0)
    assert ks(many, many + 1.36 / np.sqrt(5_000) * 10_000)[1] == pytest.approx(0.05, abs=0.01)
    assert ks(one, one) == (0.0, 1.0)
    assert ks_pairs(one, one) == (0.0, 1.0)
    assert ks_pairs(one, one + 0.2)[1] <= 0.0033


def _largest_difference(one: np.ndarray, other: np.ndarray) -> float:
    return max(abs((one <= each).mean() - (other <= each).mean()) for each in np.concatenate([one, other]))
