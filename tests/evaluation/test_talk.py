"""Tables of what is heard in talk: the model beside the cascades, on the same recordings."""

import numpy as np
import pytest

from s2i_core.evaluation import talk
from s2i_core.evaluation.lectures.heard import Hearing
from s2i_core.evaluation.lectures.score import Guess, TimedMention
from s2i_core.evaluation.lectures.spoken import Lecture

SAID = (TimedMention(1.0, 1.4, frozenset({"owl"}), True), TimedMention(3.0, 3.4, frozenset({"ship"}), True))


class Talk:
    """Two recordings; the model finds all, base one of two, tiny.en nothing."""

    takes = 1
    least = 0.85

    def by_model(self, voices, channel="clean"):
        lecture = Lecture("t", "topic", "v", np.zeros(16000 * 60, np.float32), SAID, ())
        return [Hearing(lecture, lecture.sound, [], [], 3.0)] * 2

    def guesses(self, who, voices, channel="clean"):
        known = {None: [Guess("owl", 1.2, 0.9), Guess("ship", 3.4, 0.8)], "base": [Guess("owl", 1.2, 0.7)]}
        return [known.get(who, [Guess("fox", 1.0, 0.5)])] * 2

    def of_model(self, hearing):
        return self.guesses(None, "neural")[0]


def test_recall_is_set_beside_the_cascades():
    figures = {}
    table = talk._named(Talk(), figures)
    assert figures["neural_recall"].value == 1.0
    assert figures["neural_recall_cascade_base"].value == 0.5
    assert figures["neural_recall_of_cascade"].value == 2.0
    assert figures["neural_recall_cascade_tiny_en"].value == 0.0
    assert (figures["neural_told_recall"].value, figures["neural_told_precision"].value) == (0.5, 1.0)
    assert figures["telephone_off_s"].value == pytest.approx(0.1)
    assert "people_off_s" not in figures
    assert len(table.rows) == 3 * len(talk.CONDITIONS) + 1
    assert table.rows[1][0] == "2 min, 4 named"


def test_a_peer_that_hears_nothing_has_no_ratio():
    none = np.zeros(3)
    assert np.isnan(talk._ratio(0.5, 0.0, none, none).value)


def test_confidence_is_set_against_what_is_right():
    figures = {}
    table = talk._reliability(Talk(), figures)
    assert figures["neural_calibration_error"].value == pytest.approx(0.15)
    assert [row[1] for row in table.rows[:3]] == [0.8, 0.9, "off, on average"]
