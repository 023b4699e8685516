"""Precision, recall and time of what a listener hears, on cases that can be counted by hand."""

import math

import pytest

from s2i_core.evaluation.lectures.score import Guess, TimedMention, judge, resampled, score

OWL = TimedMention(1.0, 1.4, frozenset({"owl", "bird"}), True)
SHIP = TimedMention(3.0, 3.4, frozenset({"ship"}), True)
MONK = TimedMention(5.0, 5.4, frozenset({"bald man"}), False)


def test_what_is_right_is_right_at_its_time_only():
    heard = [Guess("owl", 1.3, 0.9), Guess("ship", 1.3, 0.8), Guess("ship", 3.9, 0.7), Guess("ship", 4.1, 0.6)]
    judged = judge(heard, [OWL, SHIP])
    assert [one.right for one in judged] == [True, False, True, False]
    assert judged[0].off_s == pytest.approx(0.1)
    assert judged[2].off_s == pytest.approx(0.7)
    assert math.isnan(judged[1].off_s)


def test_the_second_of_a_double_is_wrong_and_the_surer_one_counts():
    judged = judge([Guess("bird", 1.2, 0.5), Guess("owl", 1.6, 0.9)], [OWL])
    assert [(one.title, one.right) for one in judged] == [("owl", True), ("bird", False)]


def test_what_need_not_be_shown_is_neither_right_nor_wrong():
    judged = judge([Guess("bald man", 5.1, 0.9), Guess("bald man", 5.3, 0.8), Guess("king", 5.2, 0.7)], [MONK])
    assert [one.right for one in judged] == [None, None, False]


def test_a_mention_said_twice_is_found_twice():
    again = TimedMention(2.0, 2.4, OWL.accepted, True)
    judged = judge([Guess("owl", 1.2, 0.9), Guess("owl", 2.1, 0.8)], [OWL, again])
    assert [one.right for one in judged] == [True, True]


def test_the_curve_is_counted_over_all_recordings():
    first = ([Guess("owl", 1.2, 0.9), Guess("ship", 1.3, 0.5)], [OWL, MONK])
    second = ([Guess("ship", 3.1, 0.7), Guess("owl", 3.1, 0.7)], [SHIP])
    found = score([first, second], minutes=2.0)
    assert [(point.limit, point.shown) for point in found.curve] == [(0.9, 1), (0.7, 3), (0.5, 4)]
    assert [point.precision for point in found.curve] == [1.0, pytest.approx(2 / 3), 0.5]
    assert [point.recall for point in found.curve] == [0.5, 1.0, 1.0]
    assert (found.needed, found.recall, found.limit) == (2, 0.5, 0.9)
    assert found.average_precision == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert found.off_s == pytest.approx(0.0)
    assert found.at_recall(0.9) == pytest.approx(2 / 3)


def test_a_listener_that_is_never_sure_enough_has_no_recall():
    found = score([([Guess("ship", 1.0, 0.9), Guess("owl", 1.2, 0.1)], [OWL])], 1.0)
    assert (found.recall, found.limit, math.isnan(found.off_s)) == (0.0, math.inf, True)
    silent = score([([], [OWL])], 1.0)
    assert (silent.curve, silent.recall, silent.average_precision, silent.at_recall(0.1)) == ((), 0.0, 0.0, 0.0)


def test_intervals_draw_the_same_recordings_for_every_listener():
    good = ([Guess("owl", 1.2, 0.9)], [OWL])
    bad = ([Guess("ship", 1.2, 0.9)], [OWL])
    draws = resampled([[good, bad, good, bad], [good, bad, good, bad], [bad] * 4], times=50)
    assert draws.shape == (50, 3, 2)
    assert (draws[:, 0] == draws[:, 1]).all()
    assert (draws[:, 2] == 0).all()
    assert draws[:, 0, 1].min() < 0.25 < draws[:, 0, 1].max()
