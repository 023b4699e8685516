"""Judges learn to tell three discs apart, and the shipped ones know the shipped library's things."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from tiny import tiny_library

from s2i_core.corpus.compose import SpriteBook, bare_spec, render
from s2i_core.corpus.spec import Group, SceneSpec
from s2i_core.errors import ConfigError, ModelError
from s2i_core.evaluation.native import judges
from s2i_core.evaluation.native.composed import test_scenes as unseen_scenes
from s2i_core.evaluation.native.judges import Judges, JudgesConfig, judge_digest, shipped
from s2i_core.evaluation.native.namer import NamerConfig
from s2i_core.evaluation.native.scenery import SceneryConfig
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.decoders.native.reference import Slot
from s2i_core.weights import LIBRARY_FOLDER, shipped_checkpoint

CONFIG = JudgesConfig(
    scenes=24, tests=6, scenery=SceneryConfig(steps=6, batch=6), namer=NamerConfig(steps=40, batch=12, save_every=20)
)
CONCEPTS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def book() -> SpriteBook:
    return SpriteBook(tiny_library())


@pytest.fixture(scope="module")
def folder(book, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judges")
    judges.train(folder, book, CONFIG)
    return folder


@pytest.fixture(scope="module")
def judge(folder) -> Judges:
    return Judges.load(folder, CONCEPTS)


def test_it_names_what_it_learnt(book, judge):
    specs = [bare_spec(np.random.default_rng(n), book, n % 3) for n in range(12)]
    slots = [spec.slots for spec in specs]
    pictures = np.stack([render(spec, book, 128)[0] for spec in specs])
    right = judge.right(pictures, specs, slots)
    assert sum(right["object"]) >= 9
    assert [len(right[aspect]) for aspect in ("number", "colour", "setting", "relation")] == [0, 0, 0, 0]
    wrong = judge.right(pictures[[1, 2, 0]], specs[:3], slots[:3])
    assert sum(wrong["object"]) < sum(right["object"][:3])


def test_where_nothing_is_to_be_nothing_is_right(book, judge):
    spec = bare_spec(np.random.default_rng(0), book, 0)
    assert judge.right(render(spec, book, 128)[0][None], [spec], [()])["object"] == [False]


def test_only_what_a_scene_tells_is_asked(book, judge):
    groups = (Group(0, "red", count=2), Group(1, "green", colour="green"))
    slots = tuple(Slot(n, ("red", "green")[n], (0.3 + 0.4 * n, 0.5, 0.3, 0.3)) for n in (0, 1))
    spec = SceneSpec(groups, slots, "grass", 0, relation="left", told_setting=True)
    right = judge.right(render(spec, book, 64)[0][None], [spec], [spec.slots])
    assert {aspect: len(found) for aspect, found in right.items()} == {
        "object": 1,
        "number": 1,
        "colour": 1,
        "setting": 1,
        "relation": 1,
    }


def test_features_are_one_vector_a_picture_of_any_size(judge):
    small, large = (np.full((2, size, size, 3), 200, np.uint8) for size in (64, 128))
    np.testing.assert_allclose(judge.features(small), judge.features(large), atol=1e-4)


def test_finished_judges_are_not_trained_again(book, folder):
    told: list[str] = []
    assert judges.train(folder, book, CONFIG, told.append).concepts == CONCEPTS
    assert not told
    card = json.loads((folder / "judge.json").read_text("utf-8"))
    assert card["steps"] == {"scenery": 6, "namer": 40}
    assert card["accuracy"]["object"]["n"] == 6
    assert card["digest"] == judge_digest(folder)


def test_a_judge_that_is_missing_damaged_or_of_another_library_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match="no judge is trained here"):
        Judges.load(tmp_path, CONCEPTS)
    with pytest.raises(ConfigError, match="3 things and the library has 4; not in both: violet"):
        Judges.load(folder, (*CONCEPTS, "violet"))
    other = shutil.copytree(folder, tmp_path / "other", ignore=shutil.ignore_patterns("scenes", "*.pt"))
    (other / "namer.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelError, match="not a judge"):
        Judges.load(other, CONCEPTS)
    assert judge_digest(other) != judge_digest(folder)


def test_the_shipped_judges_are_right_about_pictures_of_unseen_combinations():
    library = SpriteLibrary.load(shipped_checkpoint() / LIBRARY_FOLDER).as_drawn
    book = SpriteBook(library.styled("3d"))
    judge = Judges.load(shipped(), book.library.concepts)
    specs = unseen_scenes(book, 60, seed=41)
    several = [spec for spec in specs if any(group.count > 1 for group in spec.groups)]
    specs = several[:8] + [spec for spec in specs if spec not in several][:20]
    pictures = np.stack([render(spec, book, 128)[0] for spec in specs])
    right = judge.right(pictures, specs, [spec.slots for spec in specs])
    for aspect, least in {"object": 0.8, "number": 0.7, "setting": 0.8, "colour": 0.7, "relation": 0.8}.items():
        assert len(right[aspect]) >= 4
        assert np.mean(right[aspect]) >= least, aspect
    # Pictures of other scenes: the judges can say no.
    wrong = judge.right(np.roll(pictures, 1, axis=0), specs, [spec.slots for spec in specs])
    assert np.mean(wrong["object"]) < 0.2


def test_the_shipped_judges_are_small_and_say_what_they_are():
    card = json.loads((shipped() / "judge.json").read_text("utf-8"))
    assert card["digest"] == judge_digest(shipped())
    assert card["accuracy"]["object"]["right"] >= 0.85 * card["accuracy"]["object"]["n"]
    assert sum(path.stat().st_size for path in shipped().iterdir()) < 4e6
