"""Words that sound alike are paired, and what is told instead of one is counted."""

import numpy as np

from s2i_core.evaluation import near_sounds
from s2i_core.evaluation.lectures.score import TimedMention
from s2i_core.evaluation.lectures.spoken import Lecture
from s2i_core.evaluation.near_sounds import Answer, Asked, pairs

SOUNDS = {
    "ship": "ʃˈɪp",
    "sheep": "ʃˈiːp",
    "boat": "bˈoʊt",
    "goat": "ɡˈoʊt",
    "cat": "kˈæt",
    "caterpillar": "kˈæɾɚpˌɪlɚ",
    "moon": "mˈuːn",
}


def test_pairs_sound_alike_and_mean_something_else(monkeypatch):
    monkeypatch.setattr(near_sounds, "phonemes_of", SOUNDS.__getitem__)
    titles = [*SOUNDS, "polar bear"]
    vectors = dict(zip(titles, np.eye(len(titles), dtype=np.float32), strict=True))
    alike, within = pairs(titles, vectors)
    assert {("sheep", "ship"), ("boat", "goat")} <= set(alike)
    assert within == [("cat", "caterpillar")]
    taken = [title for pair in alike for title in pair]
    assert len(taken) == len(set(taken))
    # A boat is a ship to the eye: they are no pair whatever they sound like.
    vectors["sheep"] = vectors["ship"]
    assert ("sheep", "ship") not in pairs(titles, vectors)[0]


def asked(title, kind="robotic"):
    said = (TimedMention(0.5, 1.0, frozenset({title}), True),)
    return Asked(title, kind, Lecture(title, title, "v", np.zeros(16000, np.float32), said, ()))


def test_what_is_told_instead_is_counted_beside_an_older_model():
    said = [asked("ship"), asked("sheep"), asked("ship"), asked("goat")]
    now = {0: Answer(True, ()), 1: Answer(False, ("ship",)), 2: Answer(False, ("sheep",)), 3: Answer(False, ())}
    before = {0: Answer(False, ("sheep",)), 2: Answer(False, ("sheep",))}  # it knows no sheep and no goat
    figures = {}
    summary = near_sounds._summary(said, now, before, figures)
    assert [row[1] for row in summary.rows][:2] == ["model", "older model"]
    assert (figures["robotic_right"].value, figures["robotic_right_before"].value) == (0.5, 0.0)
    worst = near_sounds._worst(said, now, before)
    assert worst.rows == [["ship", "sheep", 2, 1, 2], ["sheep", "ship", 1, 1, None]]
    near_sounds._summary(said, now, {}, figures)
    assert (figures["robotic_right"].value, figures["robotic_wrong"].value) == (0.25, 0.5)
