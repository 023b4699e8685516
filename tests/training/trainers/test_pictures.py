"""What the image encoder learns from: every style, captioned illustrations, and scenes."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from s2i_core.corpus import folder as folders
from s2i_core.corpus.folder import CAPTIONED_FOLDER, STYLES_FOLDER, read_captioned
from s2i_core.corpus.sources import captioned
from s2i_core.errors import ConfigError
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.training.data import build
from s2i_core.training.data.config import DataConfig
from s2i_core.training.trainers import pictures

WIDTH = 8
CONFIG = pictures.PicturesConfig(steps=2, batch=6, warmup=1, dtype="float32", head_scenes=4)


@pytest.fixture
def styled(folder: Path, tmp_path: Path) -> Path:
    """The data folder, with two of its three things in another style."""
    shutil.copytree(folder, tmp_path / "data")
    own = SpriteLibrary.load(folder / "library")
    infos = [replace(info, style="sketch") for info in own.infos[:2]]
    SpriteLibrary(infos, own.webp[:2]).save(tmp_path / "data" / STYLES_FOLDER)
    return tmp_path / "data"


def encoder() -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(size_px=32, stem=8, stages=((3, 1, 2, 2, 8),), width=8, embedding_width=WIDTH)


def test_a_batch_has_things_in_all_styles_captioned_ones_and_scenes(styled: Path) -> None:
    lessons = pictures.Lessons(styled, CONFIG, 32)
    assert [len(drawn) for drawn in lessons.drawn] == [2, 2, 1]
    assert {book.styles for drawn in lessons.drawn for book, _ in drawn} == {("3d",), ("sketch",)}
    assert len(lessons.held_out) and not {*lessons.held_out} & {*lessons.trained}
    assert len(lessons.held_out) + len(lessons.trained) == len(lessons.library)
    shown, vectors, single = pictures._batch(lessons, CONFIG, np.random.default_rng(0))
    assert shown.shape == (6, 32, 32, 3) and vectors.shape == (6, WIDTH) and single == 4
    again = pictures._batch(lessons, CONFIG, np.random.default_rng(0))
    assert np.array_equal(shown, again[0]) and np.array_equal(vectors, again[1])
    trained = {row.tobytes() for row in lessons.titles[lessons.trained]}
    assert sum(vector.tobytes() in trained for vector in vectors) == 2
    held_out = {row.tobytes() for row in lessons.titles[lessons.held_out]}
    assert not held_out & {row.tobytes() for row in lessons.names}


def test_a_title_that_is_a_concept_is_not_held_out(styled: Path) -> None:
    before = pictures.Lessons(styled, CONFIG, 32)
    vectors = load_file(styled / "captioned.safetensors")["titles"]
    known = int(before.held_out[0])
    vectors[known] = load_file(styled / "teacher.safetensors")["sprites"][0]
    save_file({"titles": vectors}, styled / "captioned.safetensors")
    assert known in pictures.Lessons(styled, CONFIG, 32).trained


def test_scenes_are_drawn_in_other_styles_where_they_can_be(styled: Path) -> None:
    own = pictures.Lessons(styled, CONFIG.model_copy(update={"restyled": 0.0}), 32)
    other = pictures.Lessons(styled, CONFIG.model_copy(update={"restyled": 1.0}), 32)
    rng = np.random.default_rng(0)
    changed = [not np.array_equal(own.scene(place, rng), other.scene(place, rng)) for place in own.scenes]
    assert any(changed) and not all(changed)


def test_the_encoder_learns_and_its_head_is_fitted(styled: Path, tmp_path: Path) -> None:
    trained = encoder()
    pictures.train(styled, tmp_path, CONFIG, trained)
    log = (tmp_path / "pictures.jsonl").read_text()
    assert all(f'"{name}"' in log for name in ("sprite_r1", "styled_r1", "scene_r1", "captioned_r1", "captioned_r10"))
    before = trained.head.weight.clone()
    pictures.fit_head(trained, styled, CONFIG)
    assert torch.isfinite(trained.head.weight).all() and not torch.equal(before, trained.head.weight)


def test_the_fit_is_that_of_ridge_regression_toward_the_layer_that_was_found(folder: Path) -> None:
    config = CONFIG.model_copy(update={"captioned": 0.0, "head_scenes": 0, "head_ridge": 0.1})
    fitted = encoder().eval()
    found = torch.cat([fitted.head.weight.detach().T, fitted.head.bias.detach()[None]]).double()
    pictures.fit_head(fitted, folder, config)
    shown = list(pictures._head_pictures(pictures.Lessons(folder, config, 32), config))
    with torch.no_grad():
        resized = torch.cat([fitted.resize(pictures.as_tensor(picture[None])) for picture, _, _ in shown])
        x = torch.cat([fitted.features(resized).double(), torch.ones(len(shown), 1, dtype=torch.float64)], 1)
    weights = torch.tensor([weight for _, _, weight in shown], dtype=torch.float64)
    found /= (weights * (x @ found).norm(dim=1)).sum() / weights.sum()
    root = weights.sqrt()[:, None]
    ridge = torch.eye(x.shape[1], dtype=torch.float64) * (config.head_ridge * weights.sum()) ** 0.5
    y = torch.from_numpy(np.stack([target for _, target, _ in shown])).double()
    left, right = torch.cat([root * x, ridge]), torch.cat([root * y, ridge @ found])
    expected = torch.linalg.lstsq(left, right).solution
    torch.testing.assert_close(fitted.head.weight.double(), expected[:-1].T, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(fitted.head.bias.double(), expected[-1], atol=1e-4, rtol=1e-3)


def test_what_says_nearly_the_same_is_no_wrong_choice() -> None:
    names = torch.nn.functional.normalize(torch.tensor([[1.0, 0, 0], [1.0, 0.1, 0], [0, 0, 1.0]]), dim=1)
    right = pictures.choice_loss(names[:1], names[:1], names, 0.05)
    wrong = pictures.choice_loss(names[2:], names[:1], names, 0.05)
    assert right < 1e-3 < 5 < wrong


def test_without_the_captioned_ones_it_says_what_to_do_or_learns_from_the_rest(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    shutil.rmtree(old / CAPTIONED_FOLDER)
    (old / "captioned.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"pictures\.captioned=0"):
        pictures.train(old, tmp_path / "out", CONFIG, encoder())
    pictures.train(old, tmp_path / "out", CONFIG.model_copy(update={"captioned": 0.0}), encoder())
    assert "captioned_r1" not in (tmp_path / "out" / "pictures.jsonl").read_text()


def test_a_build_that_exists_gets_them_and_keeps_the_rest(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Teacher:
        def __call__(self, texts: list[str]) -> np.ndarray:
            asked.extend(texts)
            return np.eye(len(texts), WIDTH, dtype=np.float32)

    drawing = captioned.Illustration(
        "x/0", "hound", "dog", (), "", "sketch", "x", "CC0", np.full((128, 128, 4), 9, np.uint8)
    )
    made = [drawing, replace(drawing, id="x/1", title="lighthouse keeper")]
    monkeypatch.setattr(captioned, "load", lambda names: made)
    monkeypatch.setattr(folders, "TextTeacher", Teacher)
    shutil.copy(folder / "teacher.safetensors", tmp_path)
    config = DataConfig()
    build._build_captioned(tmp_path, config)
    library, vectors = read_captioned(tmp_path)
    assert [info.title for info in library.infos] == ["dog", "lighthouse keeper"]
    assert asked == ["a dog", "lighthouse keeper"], "what is a concept has the concept's vector"
    assert (tmp_path / "teacher.safetensors").read_bytes() == (folder / "teacher.safetensors").read_bytes()
    monkeypatch.setattr(captioned, "load", None)
    build._build_captioned(tmp_path, config)
    assert len(asked) == 2 and len(vectors) == 2
    save_file({"titles": vectors[:1]}, tmp_path / "captioned.safetensors")
    with pytest.raises(ConfigError, match="1 vectors for 2"):
        read_captioned(tmp_path)
