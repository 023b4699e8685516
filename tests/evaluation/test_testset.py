"""The test set holds what training never shows, and survives a library in another order."""

from itertools import islice

import pytest

from s2i_core.corpus.compose import SpriteBook
from s2i_core.corpus.spec import split_of
from s2i_core.evaluation import testset
from s2i_core.evaluation.testset import DRAWN
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.weights import LIBRARY_FOLDER, shipped_checkpoint


@pytest.fixture(scope="module")
def book() -> SpriteBook:
    return SpriteBook(SpriteLibrary.load(shipped_checkpoint() / LIBRARY_FOLDER).as_drawn)


@pytest.fixture(scope="module")
def scenes(book) -> list[testset.Phrase]:
    return list(islice(testset._phrases(book), DRAWN))


def test_scenes_are_of_unseen_combinations_and_each_third_tests_something_else(scenes):
    assert {split_of(phrase.spec) for phrase in scenes} == {"test"}
    third = DRAWN // 3
    assert all(phrase.spec.groups[0].colour for phrase in scenes[:third])
    assert all(phrase.spec.groups[0].count > 1 for phrase in scenes[third : 2 * third])
    assert all(phrase.spec.relation for phrase in scenes[2 * third :])
    assert len({phrase.caption for phrase in scenes}) == DRAWN


def test_the_same_set_is_made_again(book, scenes):
    assert list(islice(testset._phrases(book), 5)) == scenes[:5]


def test_a_phrase_is_read_back_with_the_sprites_of_the_library_at_hand(book, scenes):
    turned = SpriteLibrary(book.library.infos[::-1], book.library.webp[::-1])
    read = testset._from_json(testset._to_json(scenes[0]), turned)
    assert (read.said, read.caption) == (scenes[0].said, scenes[0].caption)
    group = read.spec.groups[0]
    assert turned.infos[group.sprite].concept == group.concept == scenes[0].spec.groups[0].concept
    assert group.sprite != scenes[0].spec.groups[0].sprite
