"""Names, letters, numbers, other languages and laughter name nothing, whatever they sound like."""

import re

import numpy as np
import pytest

from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.nothing_said import FOREIGN, NothingSaid, empty
from s2i_core.corpus.sources import wordnet
from s2i_core.english.vocabulary import Concept, Name
from s2i_core.evaluation.lectures import unnamed


@pytest.fixture
def people(monkeypatch):
    for name in ("nouns", "other_words", "adverbs"):
        monkeypatch.setattr(wordnet, name, frozenset)
    monkeypatch.setattr(wordnet, "persons", lambda: (("Ann", "Alan"), ("Miller", "Fox", "Kettle")))
    animal = Concept("", (Name("kettle", "kettles", "count"), Name("fox", "foxes", "count")), "animal", "plain")
    return Lexicon([animal], {"lantern": "artifact"})


def test_people_letters_and_numbers_name_nothing_whatever_they_are_called(people):
    said = NothingSaid(people, np.random.default_rng(0))
    names = {said.name() for _ in range(300)}
    surnames = {name.split()[-1] for name in names}
    assert {"Miller", "Kettle", "Lantern"} <= surnames
    # Those that the evaluation names are kept for it.
    assert {"Fox", "Alan"}.isdisjoint(word for name in names for word in name.split())
    for text in (*names, *(said.spelled() for _ in range(300))):
        assert not any(named.thing is not None for named in people.named_in(text)), text
        assert people.nothing_in(text)
        assert "{" not in text


def test_things_are_named_among_names_only_if_somebody_fills_them_in(people):
    rng = np.random.default_rng(0)
    plain, filled = NothingSaid(people, rng), NothingSaid(people, rng, lambda frame: re.sub(r"\[.*?\]", "a fox", frame))
    assert not any(people.named_in(plain.about_people()) for _ in range(200))
    about = [filled.about_people() for _ in range(200)]
    assert not any(re.search(r"[\[\]{}]", text) for text in about)
    assert any(people.named_in(text) for text in about)


def test_other_languages_and_laughter_have_no_word_that_names(people):
    said = NothingSaid(people, np.random.default_rng(0))
    for text in (*(said.foreign() for _ in range(200)), *(said.uttered() for _ in range(50))):
        assert not people.named_in(text)
        assert people.nothing_in(text)
    # What the evaluation says is kept for it.
    asked = " ".join(unnamed._SAID["other languages"]).lower()
    assert not any(text.lower() in asked for texts in FOREIGN.values() for text in texts)


def test_empty_talk_is_half_quoted(people, monkeypatch):
    monkeypatch.setattr(wordnet, "examples", lambda count: ["he fed a fox", "all is well", "so be it"])
    nothing = empty(people, 6, np.random.default_rng(0))
    assert len(nothing) == 6
    assert {"all is well", "so be it"} <= set(nothing)
    assert not any(people.named_in(text) for text in nothing)
