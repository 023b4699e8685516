"""Intervals, ranks and areas against values worked out by hand."""

import numpy as np
import pytest

from s2i_core.evaluation.statistics import auc, mean, ranks, recalls, share


def test_wilsons_interval():
    figure = share([True] * 8 + [False] * 2)
    assert figure.value == 0.8
    assert figure.n == 10
    # Wilson 1927, z = 1.96.
    assert (figure.low, figure.high) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert share([]).n == 0


def test_a_share_of_one_is_not_certain():
    assert share([True] * 5).low < 0.6


def test_the_mean_lies_in_its_interval():
    figure = mean([1.0, 2.0, 3.0, 4.0])
    assert figure.low <= figure.value == 2.5 <= figure.high


def test_ranks_count_who_is_nearer_and_ties_against():
    candidates = np.eye(3, dtype=np.float32)
    queries = np.array([[0.9, 0.4, 0.1], [0.5, 0.5, 0.0]], np.float32)
    assert ranks(queries, candidates, [1, 1]).tolist() == [2, 2]
    assert ranks(queries, candidates, [0, 2]).tolist() == [1, 3]


def test_recall_at_k_and_the_mean_reciprocal_rank():
    at_1, at_5, at_10, reciprocal = recalls(np.array([1, 2, 6, 11]))
    assert [figure.value for figure in (at_1, at_5, at_10)] == [0.25, 0.5, 0.75]
    assert reciprocal.value == pytest.approx((1 + 1 / 2 + 1 / 6 + 1 / 11) / 4)


def test_the_area_is_the_chance_of_the_right_order():
    assert auc([2.0, 3.0], [1.0, 0.0]).value == 1.0
    assert auc([1.0], [1.0]).value == 0.5
