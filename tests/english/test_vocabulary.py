import pytest

from s2i_core.corpus.backgrounds import SETTINGS
from s2i_core.english.vocabulary import Name, article, english, plural_of


@pytest.mark.parametrize(
    ("name", "plural"),
    [("mouse", "mice"), ("goose", "geese"), ("wolf", "wolves"), ("brown leaf", "brown leaves"), ("knife", "knives"),
     ("dog", "dogs"), ("fox", "foxes"), ("strawberry", "strawberries"), ("monkey", "monkeys"), ("sheep", "sheep"),
     ("woman doctor", "women doctors"), ("glass of milk", "glasses of milk"), ("man with a beard", "men with beards"),
     ("rice", None), ("scissors", None)],
)  # fmt: skip
def test_plurals_of_the_vocabulary(name, plural):
    assert english()[name].names[0].plural == plural


@pytest.mark.parametrize(
    ("word", "expected"),
    [("owl", "an"), ("unicorn", "a"), ("hourglass", "an"), ("x-ray", "an"), ("umbrella", "an"), ("ufo", "a"),
     ("one humped camel", "a"), ("eye", "an"), ("house", "a")],
)  # fmt: skip
def test_articles(word, expected):
    assert article(word) == expected


def test_plural_by_rule():
    assert [plural_of(noun) for noun in ("box", "bunch of grapes", "lady", "toy", "fireman", "snow leopard")] == [
        "boxes", "bunches of grapes", "ladies", "toys", "firemen", "snow leopards",
    ]  # fmt: skip


def test_counting():
    dog, rice, scissors = Name("dog", "dogs", "count"), Name("rice", None, "mass"), Name("scissors", None, "plural")
    assert dog.indefinite() == "a dog"
    assert dog.indefinite("old") == "an old dog"
    assert dog.counted(3, "red") == "three red dogs"
    assert rice.counted(1) == "rice"
    assert scissors.indefinite("orange") == "orange scissors"
    with pytest.raises(ValueError, match="counted"):
        rice.counted(2)


def test_an_unknown_concept_is_a_countable_thing():
    concept = english()["sprocket box"]
    assert (concept.names[0].plural, concept.category, concept.home) == ("sprocket boxes", "thing", "plain")


def test_the_vocabulary_is_sound():
    concepts = english().concepts.values()
    assert len(concepts) > 2000
    assert len({concept.hexcode or concept.drawing for concept in concepts}) == len(concepts), "one drawing, one thing"
    assert all(bool(concept.hexcode) != bool(concept.drawing) for concept in concepts)
    spoken = [name.singular for concept in concepts for name in concept.names]
    assert len(set(spoken)) == len(spoken), "one name must not mean two things"
    for concept in concepts:
        assert concept.home == "plain" or concept.home.partition("@")[0] in SETTINGS
        for name in concept.names:
            assert name.singular == name.singular.lower().strip()
            assert name.singular.isascii()
            assert (name.plural is not None) == (name.number == "count")
