"""Composed talk names everything that can be drawn, in any place, and by the names that people use."""

import re

import numpy as np
import pytest

from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.sources import wordnet
from s2i_core.english.vocabulary import Concept, Name
from s2i_core.training.grounding import sentences
from s2i_core.training.grounding.sentences import FRAMES, Composer, Contrasts

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


def test_phrases_name_something(lexicon, monkeypatch):
    monkeypatch.setattr(wordnet, "examples", lambda count: ["he fed animal1", "all is well", "a thing2 fell"])
    monkeypatch.setattr(wordnet, "definitions", lambda count: [])
    assert sorted(sentences.phrases(lexicon, 10, np.random.default_rng(0))) == ["a thing2 fell", "he fed animal1"]


@pytest.fixture
def people(lexicon, monkeypatch):
    monkeypatch.setattr(wordnet, "persons", lambda: (("Ann", "Alan"), ("Miller", "Fox", "Kettle")))
    animal = Concept("", (Name("kettle", "kettles", "count"), Name("fox", "foxes", "count")), "animal", "plain")
    others = [Concept("", (Name(f"{k}0", f"{k}0s", "count"),), k, "plain") for k in KINDS]
    return Lexicon([animal, *others], {"lantern": "artifact"})


def test_things_stand_beside_what_sounds_like_them(lexicon, monkeypatch):
    monkeypatch.setattr(wordnet, "words", lambda count: ["bare", "of"])
    spelled = {"bear": "bˈɛɹ", "beer": "bˈɪɹ", "bare": "bˈæɹ", "of": "ʌv"}
    things = Lexicon([Concept("", (Name("bear", "bears", "count"),), "animal", "plain")], {"beer": "food"})
    contrasts = Contrasts(things, spelled.__getitem__, np.random.default_rng(0))
    said = [contrasts.sentence() for _ in range(200)]
    assert all(re.search(r"\bbears?\b", text) for text in said)
    # A noun may be a thing, another word is nothing.
    assert any(re.search(r"\bbeers?\b", text) for text in said)
    assert any("Bare" in text for text in said)
    assert not any("bare" in text for text in said)


def test_more_texts_begin_as_fewer(people, monkeypatch):
    monkeypatch.setattr(wordnet, "examples", lambda count: ["he fed a fox", "all is well", "a kettle fell", "so be it"])
    monkeypatch.setattr(wordnet, "definitions", lambda count: [])
    monkeypatch.setattr(wordnet, "words", lambda count: ["kennel"])
    texts = [sentences.texts(people, count, str, np.random.default_rng(0)) for count in (30, 60)]
    assert texts[0] == texts[1][:30]
    assert {"he fed a fox", "a kettle fell"} <= set(texts[1])
