"""Scenes are made once, leave out what the tests ask, and look another way at each look."""

from __future__ import annotations

import numpy as np
import torch
from tiny import tiny_library

from s2i_core.corpus.compose import SpriteBook
from s2i_core.corpus.spec import split_of
from s2i_core.evaluation.native.composed import as_input, disturb, scenes
from s2i_core.evaluation.native.composed import test_scenes as unseen_scenes


def test_scenes_are_made_once_and_without_the_combinations_of_the_test(tmp_path):
    book, told = SpriteBook(tiny_library()), []
    specs, pictures = scenes(tmp_path, book, 12, 32, 5, told.append)
    assert pictures.shape == (12, 32, 32, 3)
    assert {split_of(spec) for spec in specs} == {"train"}
    assert {split_of(spec) for spec in unseen_scenes(book, 4, 5)} == {"test"}
    assert len(told) == 1
    again, same = scenes(tmp_path, book, 12, 32, 5, told.append)
    assert again == specs
    np.testing.assert_array_equal(same, pictures)
    assert len(told) == 1


def test_pictures_of_any_size_become_inputs():
    x = as_input(np.full((2, 128, 128, 3), 255, np.uint8), 64)
    assert x.shape == (2, 3, 64, 64)
    assert float(x.min()) == 1.0


def test_disturbed_pictures_stay_near_and_differ():
    x = torch.zeros(4, 3, 32, 32)
    x[:, :, 8:24, 8:24] = 0.8
    torch.manual_seed(0)
    first, second = (disturb(x, np.random.default_rng(n)) for n in (1, 2))
    assert first.shape == x.shape
    assert float((first - second).abs().mean()) > 0.005
    assert float((first - x).abs().mean()) < 0.25
