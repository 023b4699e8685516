"""What is said in each part of the data, by whom, and in which split."""

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_library

from s2i_core.corpus.compose import SpriteBook
from s2i_core.corpus.folder import SPLITS, read_scenes
from s2i_core.training.data import utterances
from s2i_core.training.data.config import DataConfig


def test_splits_hold_what_they_should(folder: Path) -> None:
    rows = list(read_scenes(folder))
    assert {split: sum(row.split == split for row in rows) for split in SPLITS} == {
        "train": 23,
        "voices": 4,
        "combinations": 4,
    }
    assert all(len(row.spec.groups) == 1 for row in rows if row.split == "voices")


def test_the_dictionary_and_the_parts_are_what_they_say() -> None:
    config = DataConfig()
    spoken = utterances.phrases(7, ["lighthouse", "a tall tower"], config)
    assert sorted((utterance.text_id, utterance.text) for utterance in spoken) == [
        (7, "lighthouse"),
        (8, "a tall tower"),
    ]
    engines = [utterances.engine(config.phrase_voices, chance) for chance in np.linspace(0, 0.999, 1000)]
    shares = {engine: engines.count(engine) / 1000 for engine in config.phrase_voices}
    assert shares == pytest.approx(config.phrase_voices, abs=0.01)


def test_every_thing_is_told_of_in_passages_as_often_as_asked() -> None:
    book = SpriteBook(tiny_library())
    config = DataConfig(passages=2)
    spoken = utterances.passages(config, book)
    assert sorted(one.text_id for one in spoken) == sorted(2 * [*range(len(book.library))])
    assert utterances.passages(config, book) == spoken, "the same every time"
    for one in spoken:
        names = [n for name in book.concept(one.text_id).names for n in (name.singular, name.plural) if n]
        assert any(name in one.text for name in names) and ". " in one.text
    assert utterances.passages(DataConfig(bare=0), book) == []
