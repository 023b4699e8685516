"""The curve gives back the probabilities that answers were drawn with."""

import numpy as np
import pytest

from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.sources import wordnet
from s2i_core.evaluation.lectures import unnamed
from s2i_core.evaluation.lectures.calibrate import calibration_error, fit, limits, log_odds, reliability
from s2i_core.evaluation.lectures.idle import texts_of
from s2i_core.evaluation.lectures.score import Judged


def answers(slope, offset, count=4000):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.02, 0.98, count)
    truly = 1 / (1 + np.exp(-(slope * log_odds(confidence) + offset)))
    return [Judged(float(c), bool(rng.random() < p), True, 0.0, "owl") for c, p in zip(confidence, truly, strict=True)]


@pytest.mark.parametrize("curve", [(1.0, 0.0), (0.6, -1.0), (1.8, 0.7)])
def test_the_curve_is_found(curve):
    assert fit(answers(*curve)) == pytest.approx(curve, abs=0.12)


def test_what_is_neither_right_nor_wrong_does_not_count():
    judged = answers(1.0, 0.0, 500)
    assert fit([*judged, *(Judged(0.9, None, False, 0.0, "monk") for _ in range(500))]) == fit(judged)


def test_a_perfect_listener_has_a_finite_curve():
    judged = [Judged(0.9, True, True, 0.0, "owl")] * 9 + [Judged(0.1, False, False, 0.0, "owl")] * 9
    slope, offset = fit(judged)
    assert 0 < slope < 5
    assert abs(offset) < 1


def test_one_kind_of_answer_is_not_enough():
    with pytest.raises(ValueError, match="1 and 0"):
        fit([Judged(0.9, True, True, 0.0, "owl")])


def test_limits_are_where_a_precision_is_still_kept():
    judged = answers(1.0, 0.0)
    kept = dict(limits(judged, lambda share: share))
    for precision, limit in kept.items():
        right = [one.right for one in judged if one.confidence >= limit]
        assert np.mean(right) == pytest.approx(precision, abs=0.01)
    assert kept[0.6] < kept[0.8] < kept[0.95]
    assert limits(judged[:10], lambda share: share) == []  # too few to tell


def test_a_probability_is_right_as_often_as_it_says():
    bins = reliability(answers(1.0, 0.0, 20_000))
    assert [len(one.right) for one in bins] == pytest.approx([20_000 / 10] * 10, rel=0.25)
    assert calibration_error(bins) < 0.02
    boasting = reliability([Judged(0.9, n == 0, True, 0.0, "owl") for n in range(10)])
    assert calibration_error(boasting) == pytest.approx(0.8)
    assert np.isnan(calibration_error(reliability([])))


def test_idle_talk_of_development_says_none_of_what_is_reported(monkeypatch):
    for name in ("nouns", "other_words", "adverbs"):
        monkeypatch.setattr(wordnet, name, frozenset)
    monkeypatch.setattr(wordnet, "persons", lambda: (("Ann",), ("Miller",)))
    monkeypatch.setattr(wordnet, "examples", lambda count: ["all is well", "so be it"])
    said = dict(texts_of(Lexicon([], {"lantern": "artifact"}), np.random.default_rng(0), 3))
    assert {title: len(texts) for title, texts in said.items()} == {
        "names": 3, "letters and numbers": 3, "other languages": 3, "laughter": 3, "remarks": 6,
    }  # fmt: skip
    reported = {line for texts in unnamed._SAID.values() for line in texts}
    assert reported.isdisjoint(text for texts in said.values() for text in texts)
