"""People's clips are lectures in which a thing counts wherever it is heard."""

from dataclasses import dataclass

import numpy as np
import pytest

from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.sources import wordnet
from s2i_core.english.vocabulary import Concept, Name
from s2i_core.evaluation.lectures import people
from s2i_core.evaluation.lectures.people import clip, clips
from s2i_core.evaluation.lectures.score import Guess, judge


@dataclass(frozen=True)
class Fake:
    text: str
    source: str = "asterisk"

    @property
    def words(self):
        return len(self.text.split())

    def waveform(self):
        return np.zeros(32_000, np.float32)


@pytest.fixture
def lexicon(monkeypatch):
    monkeypatch.setattr(wordnet, "nouns", frozenset)
    monkeypatch.setattr(wordnet, "other_words", lambda: frozenset({"saw"}))
    return Lexicon([Concept("", (Name(name, f"{name}s", "count"),), "thing", "plain") for name in ("saw", "hat")], {})


def test_a_thing_counts_anywhere_in_its_clip(lexicon):
    made = clip(Fake("please take the hat"), lexicon)
    assert [(said.start_s, said.end_s, said.needed) for said in made.said] == [(0.0, 2.0, True)]
    # Besides its own title, those that the passages accept for the same word.
    assert made.said[0].accepted >= {"hat", "sun hat", "top hat"}
    assert [one.right for one in judge([Guess("top hat", 1.9, 0.9)], made.said)] == [True]


def test_what_may_be_a_verb_need_not_be_found_but_in_a_name(lexicon):
    assert [said.needed for said in clip(Fake("we saw it"), lexicon).said] == [False]
    assert [said.needed for said in clip(Fake("saw"), lexicon).said] == [True]


def test_a_clip_that_names_nothing_makes_everything_wrong(lexicon):
    made = clip(Fake("thank you"), lexicon)
    assert [one.right for one in judge([Guess("hat", 0.5, 0.9)], made.said)] == [False]


def test_of_clips_that_name_nothing_every_fourth_is_taken(lexicon, monkeypatch):
    monkeypatch.setattr(people, "Lexicon", lambda *_: lexicon)
    told = [Fake(text) for text in ("thank you", "the hat", "one", "two", "three", "a hat", "four")]
    monkeypatch.setattr(people.human, "recordings", lambda: told)
    assert [made.title for made in clips()] == ["the hat", "three", "a hat"]
