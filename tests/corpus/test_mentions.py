"""Example phrases of a dictionary that name one thing, and what they say about other things of its kind."""

from functools import partial

import numpy as np
import pytest

from s2i_core.corpus.mentions import Mention, Mentions
from s2i_core.corpus.sources import wordnet
from s2i_core.english.vocabulary import Concept, Name

OWL, CAT = Name("owl", "owls", "count"), Name("cat", "cats", "count")
CONCEPTS = [
    Concept("", (CAT,), "animal", "plain"),
    Concept("", (OWL, Name("night bird", "night birds", "count")), "animal", "plain"),
    Concept("", (Name("train", "trains", "count"),), "vehicle", "plain"),
    Concept("", (Name("cheese", None, "mass"),), "food", "plain"),
]


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordnet, "nouns", partial(frozenset, ["station", "sleep"]))
    monkeypatch.setattr(wordnet, "other_words", partial(frozenset, ["sleep", "slowly"]))


def said(phrases: list[str], concept: str, count: int = 9) -> set[str]:
    """What is said about a concept, its own sentences and those of its kin, without what stands around them."""
    sentences = Mentions(phrases, CONCEPTS).say(concept, count, np.random.default_rng(0))
    return {max(text.split(". "), key=lambda each: concept in each) for text in sentences}


def test_a_phrase_is_about_the_one_thing_that_it_names() -> None:
    assert said(["she fed the cats", "thank you"], "cat") == {"she fed the cats"}
    assert said(["every little cat, they say"], "cat") == {"every little cat they say"}


def test_a_phrase_about_two_things_is_about_neither() -> None:
    assert said(["the cat chased the train"], "cat") == set()
    assert said(["the cat chased the train"], "train") == set()


def test_verbs_and_parts_of_other_nouns_are_not_meant() -> None:
    assert said(["he trains hard", "near the train station"], "train") == set()
    assert said(["the old train slowly left"], "train") == {"the old train slowly left"}


def test_kin_are_told_of_in_each_others_phrases_in_number_and_with_the_right_article() -> None:
    assert said(["feed a cat first", "she fed the cats"], "owl") == {"feed an owl first", "she fed the owls"}
    assert said(["feed a cat first"], "train") == set(), "a vehicle is no animal"


def test_other_names_take_their_turns() -> None:
    phrases = [f"the cat is {how}" for how in ("old", "new", "red", "here")]
    sentences = Mentions(phrases, CONCEPTS).say("owl", 4, np.random.default_rng(0))
    assert (
        sum("the owl is" in text for text in sentences) == sum("the night bird is" in text for text in sentences) == 2
    )


def test_what_cannot_be_counted_is_not_made_several_or_single() -> None:
    cheese = CONCEPTS[3].names[0]
    scissors = Name("scissors", None, "plural")
    assert Mention("cat", ("the",), "cat", (), False).about(cheese) == "the cheese"
    assert Mention("cat", ("a",), "cat", (), False).about(cheese) is None
    assert Mention("cat", ("a", "big"), "cat", (), False).about(cheese) is None
    assert Mention("cat", ("two",), "cats", (), True).about(cheese) is None
    assert Mention("cat", ("the",), "cats", ("here",), True).about(scissors) == "the scissors here"
    assert Mention("cat", ("the",), "cat", (), False).about(scissors) is None


def test_some_stand_between_phrases_that_name_nothing() -> None:
    phrases = ["thank you", "never again", *(f"the cat is number {n}" for n in range(60))]
    sentences = Mentions(phrases, CONCEPTS).say("cat", 60, np.random.default_rng(0))
    wrapped = [text.split(". ") for text in sentences if ". " in text]
    assert len(sentences) == len(set(sentences)) == 30, "half of them its own; it has no kin"
    assert 4 <= len(wrapped) <= 16
    for first, middle, last in wrapped:
        assert "cat" in middle and {first, last} <= {"thank you", "never again"}
