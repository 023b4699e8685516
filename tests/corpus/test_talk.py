"""Ordinary talk: what names a thing, what names nothing, and what is kept for tests."""

import re

import numpy as np

from s2i_core.corpus import talk
from s2i_core.english.vocabulary import Name, english
from s2i_core.evaluation.passages import ABOUT, FILLERS

VIOLIN = Name("violin", "violins", "count")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def test_a_passage_names_the_thing_once_or_twice_among_remarks() -> None:
    rng = np.random.default_rng(0)
    passages = [talk.passage(VIOLIN, rng) for _ in range(200)]
    named = [sum(word in {"violin", "violins"} for word in words(text)) for text in passages]
    assert set(named) == {1, 2}
    lengths = {text.count(". ") + 1 for text in passages}
    assert lengths == {2, 3, 4, 5, 6}
    assert len(set(passages)) == len(passages)


def test_remarks_are_one_to_three_sentences_in_lower_case() -> None:
    rng = np.random.default_rng(0)
    said = [talk.remarks(rng) for _ in range(300)]
    assert {text.count(". ") + 1 for text in said} == {1, 2, 3}
    assert not any(text.endswith(".") or "{" in text or "  " in text for text in said)


def test_remarks_name_nothing_that_the_library_shows() -> None:
    names = {name.singular for concept in english().concepts.values() for name in concept.names}
    rng = np.random.default_rng(0)
    said = {word for _ in range(3000) for word in words(talk.remark(rng))}
    whoever = {word for who in talk._WHO for word in words(who)}
    assert said & names <= whoever


def test_the_talk_of_the_evaluation_is_not_said_in_training() -> None:
    rng = np.random.default_rng(0)
    said = " ".join(talk.passage(VIOLIN, rng).lower() for _ in range(2000))
    for kept in (*FILLERS, *(frame.format(np="the violin") for frame in ABOUT)):
        assert kept.lower().rstrip(".?") not in said
