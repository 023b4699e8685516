"""Composed talk names everything that can be drawn, in any place, and by the names that people use."""

import re

import numpy as np
import pytest

from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.sources import wordnet
from s2i_core.corpus.sources.captions import Concept, Name
from s2i_core.training.grounding import sentences
from s2i_core.training.grounding.sentences import FRAMES, Composer

KINDS = ("animal", "food", "vehicle", "person", "building", "thing", "plant", "body")


@pytest.fixture
def lexicon(monkeypatch):
    for name in ("nouns", "other_words", "adverbs"):
        monkeypatch.setattr(wordnet, name, frozenset)
    concepts = [Concept("", (Name(f"{k}{n}", f"{k}{n}s", "count"),), k, "plain") for k in KINDS for n in range(3)]
    return Lexicon(concepts, {f"wild {kind}": kind for kind in ("animal", "artifact", "place", "person")})


def test_every_frame_is_filled(lexicon):
    composer = Composer(lexicon, np.random.default_rng(0))
    said = [composer.sentence() for _ in range(600)]
    assert not any(re.search(r"[\[\]]", text) for text in said)
    assert all(re.search(r"[a-z]", text) for text in said)
    assert all(frame.count("[") == len(sentences._SLOT.findall(frame)) for frame in FRAMES)


def test_all_things_of_a_kind_are_named_before_any_is_named_again(lexicon):
    composer = Composer(lexicon, np.random.default_rng(0))
    turns = [composer._next("animal") for _ in range(400)]
    drawn = [number for number in turns if number < lexicon.drawn]
    assert all(len(set(drawn[n : n + 3])) == 3 for n in range(0, len(drawn) - 3, 3))
    assert 0.6 < len(drawn) / len(turns) < 0.8


def test_the_same_seed_says_the_same(lexicon):
    said = [[Composer(lexicon, np.random.default_rng(3)).sentence() for _ in range(1)] for _ in range(2)]
    assert said[0] == said[1]


def test_phrases_name_something_and_empty_talk_nothing(lexicon, monkeypatch):
    quoted = ["he fed animal1", "all is well", "a thing2 fell", "so be it"]
    monkeypatch.setattr(wordnet, "examples", lambda count: quoted)
    monkeypatch.setattr(wordnet, "definitions", lambda count: [])
    rng = np.random.default_rng(0)
    assert sorted(sentences.phrases(lexicon, 10, rng)) == ["a thing2 fell", "he fed animal1"]
    nothing = sentences.empty(lexicon, 6, rng)
    assert len(nothing) == 6
    assert {"all is well", "so be it"} <= set(nothing)
    assert not any(lexicon.named_in(text) for text in nothing)
