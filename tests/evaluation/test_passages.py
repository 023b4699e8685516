"""Passages name their topic and nothing else that could be drawn."""

import re

import pytest

from s2i_core.english.vocabulary import english
from s2i_core.evaluation.passages import ABOUT, FILLERS, compose

_NAMES = {form for c in english().concepts.values() for n in c.names for form in (n.singular, n.plural) if form}
_DRAWABLE = re.compile(r"\b(" + "|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True)) + r")\b")


@pytest.mark.parametrize("sentence", [*FILLERS, *ABOUT])
def test_no_sentence_names_a_thing_of_the_vocabulary(sentence):
    assert not _DRAWABLE.findall(sentence.lower())


class Exam:
    def __init__(self, book):
        self.tests = type("Tests", (), {"book": book})


def test_a_topic_is_named_twice_and_some_passages_have_none():
    from tiny import tiny_library

    from s2i_core.corpus.compose import SpriteBook

    passages = compose(Exam(SpriteBook(tiny_library())), 5, ["espeak:en+m8"], seed=1)
    assert [passage.topic is None for passage in passages] == [False, False, False, True, True]
    for passage in passages[:3]:
        naming = [sentence for sentence in passage.sentences if re.search(rf"\b{passage.topic}\b", sentence)]
        assert len(naming) == 2
        assert len(passage.sentences) == 5
