"""Where texts name things, and where nobody can tell."""

import pytest

from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.sources import wordnet
from s2i_core.english.vocabulary import Concept, Name


def concept(name, *synonyms, plural="", number="count"):
    names = [Name(name, plural or f"{name}s", number), *(Name(other, f"{other}s", "count") for other in synonyms)]
    return Concept("", tuple(names), "thing", "plain")


@pytest.fixture
def lexicon(monkeypatch):
    monkeypatch.setattr(wordnet, "nouns", lambda: frozenset({"bear", "polar bear", "watch", "station", "train"}))
    monkeypatch.setattr(wordnet, "other_words", lambda: frozenset({"bear", "watch", "train", "down", "slow"}))
    monkeypatch.setattr(wordnet, "adverbs", lambda: frozenset({"down"}))
    concepts = [concept("bear"), concept("polar bear"), concept("watch", "clock", plural="watches"), concept("train")]
    return Lexicon(concepts, {"lantern": "artifact", "clock": "artifact", "down": "body", "nobody": "person"})


def found(lexicon, text):
    return [
        (text[named.start : named.end], None if named.thing is None else lexicon.things[named.thing].caption)
        for named in lexicon.named_in(text)
    ]


def test_the_library_comes_first_and_keeps_its_synonyms(lexicon):
    assert lexicon.drawn == 4
    assert [thing.caption for thing in lexicon.things] == ["a bear", "a polar bear", "a watch", "a train", "a lantern"]
    assert lexicon.of("clocks") == lexicon.of("Watch") == 2
    assert lexicon.of("down") is lexicon.of("nobody") is None


def test_names_are_found_in_singular_and_plural_with_their_places(lexicon):
    assert found(lexicon, "two lanterns, the clocks") == [("lanterns", "a lantern"), ("clocks", "a watch")]


def test_the_longest_name_counts_unless_a_stop_parts_it(lexicon):
    assert found(lexicon, "the polar bears")[0] == ("polar bears", "a polar bear")
    assert found(lexicon, "it was polar. the bear") == [("bear", "a bear")]


def test_what_may_be_a_verb_is_certain_only_after_a_determiner(lexicon):
    assert found(lexicon, "I cannot bear it") == [("bear", None)]
    assert found(lexicon, "an old bear sat") == [("bear", "a bear")]
    assert found(lexicon, "they watch the slow train") == [("watch", None), ("train", "a train")]


def test_what_is_part_of_another_noun_is_not_certain(lexicon):
    assert found(lexicon, "the train station") == [("train", None)]


def test_a_possessive_names_its_owner(lexicon):
    assert found(lexicon, "the bear’s lantern") == [("bear’s", "a bear"), ("lantern", "a lantern")]


def test_what_begins_with_a_capital_or_a_digit_names_nothing(lexicon):
    text = "I saw Mr Bear, the Bear family, a bear, B and 8 clocks"
    assert found(lexicon, text) == [("bear", "a bear"), ("clocks", "a watch")]
    assert [text[start:end] for start, end in lexicon.nothing_in(text)] == ["Mr", "Bear", "Bear", "B", "8"]


def test_a_name_does_not_go_on_across_one_that_names_nothing(lexicon):
    assert found(lexicon, "the polar B bear") == [("bear", "a bear")]


def test_what_a_library_lacks_is_beyond_it_whatever_the_vocabulary_knows(lexicon):
    assert [thing.caption for thing in lexicon.beyond({"bear", "watch"})] == ["a polar bear", "a train", "a lantern"]
