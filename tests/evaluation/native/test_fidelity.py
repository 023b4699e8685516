"""Distances between sets of features whose values are known."""

import numpy as np
import pytest

from s2i_core.evaluation.native.fidelity import frechet, kernel, precision_recall


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((400, 6))


def test_a_set_is_at_no_distance_from_itself(features):
    assert frechet(features, features) == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_of_a_shift_is_its_square(features):
    assert frechet(features, features + np.eye(6)[0] * 3) == pytest.approx(9, abs=1e-6)


def test_the_frechet_distance_of_a_scaled_set(features):
    exact = (1 - 2) ** 2 * np.trace(np.cov(features, rowvar=False)) + (features.mean(0) ** 2).sum()
    assert frechet(features, 2 * features) == pytest.approx(exact, rel=1e-6)


def test_the_kernel_distance_is_unbiased_and_sees_a_shift(features):
    assert abs(kernel(features[:200], features[200:])) < 0.1
    assert kernel(features[:200], features[200:] + 1) > 1


def test_precision_and_recall_of_copies_of_a_part(features):
    precision, recall = precision_recall(features, np.repeat(features[:5], 4, axis=0))
    assert precision.value == 1
    assert recall.value < 0.1
    far, _ = precision_recall(features, features + 100)
    assert far.value == 0
