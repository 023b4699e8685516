"""A judge learns to tell three discs apart, and its training can be cut off."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import tiny_library

from s2i_core.errors import ConfigError
from s2i_core.evaluation import judges
from s2i_core.evaluation.judges import Judges, JudgesConfig
from s2i_core.models.reference import Slot
from s2i_core.training.compose import SpriteBook, bare_spec, render
from s2i_core.training.spec import Group, SceneSpec

CONFIG = JudgesConfig(scenes=24, steps=40, batch=12, save_every=20)


@pytest.fixture(scope="module")
def book() -> SpriteBook:
    return SpriteBook(tiny_library())


@pytest.fixture(scope="module")
def judge(book, tmp_path_factory) -> Judges:
    return judges.train(tmp_path_factory.mktemp("judges"), book, CONFIG)


def test_it_names_what_it_learnt(book, judge):
    specs = [bare_spec(np.random.default_rng(n), book, n % 3) for n in range(12)]
    pictures = np.stack([render(spec, book, 128)[0] for spec in specs])
    right = judge.right(pictures, specs, book)
    assert sum(right["object"]) >= 9
    assert [len(right[aspect]) for aspect in ("number", "colour", "setting", "relation")] == [0, 0, 0, 0]
    wrong = judge.right(pictures[[1, 2, 0]], specs[:3], book)
    assert sum(wrong["object"]) < sum(right["object"][:3])


def test_only_what_a_scene_tells_is_asked(book, judge):
    groups = (Group(0, "red", count=2), Group(1, "green", colour="green"))
    slots = tuple(Slot(n, ("red", "green")[n], (0.3 + 0.4 * n, 0.5, 0.3, 0.3)) for n in (0, 1))
    spec = SceneSpec(groups, slots, "grass", 0, relation="left", told_setting=True)
    right = judge.right(render(spec, book, 64)[0][None], [spec], book)
    assert {aspect: len(found) for aspect, found in right.items()} == {
        "object": 1,
        "number": 1,
        "colour": 1,
        "setting": 1,
        "relation": 1,
    }


def test_features_are_one_vector_a_picture_of_any_size(book, judge):
    small, large = (np.full((2, size, size, 3), 200, np.uint8) for size in (64, 128))
    np.testing.assert_allclose(judge.features(small), judge.features(large), atol=1e-4)


def test_a_finished_judge_is_not_trained_again(book, tmp_path, judge):
    with pytest.raises(ConfigError, match="no judge is trained"):
        Judges.load(tmp_path)
    told: list[str] = []
    config = CONFIG.model_copy(update={"steps": 2, "save_every": 1})
    judges.train(tmp_path, book, config, told.append)
    assert told[-1].startswith("judge: step 2 of 2")
    told.clear()
    assert judges.train(tmp_path, book, config, told.append).concepts == ("red", "green", "blue")
    assert not told
