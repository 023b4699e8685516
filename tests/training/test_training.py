"""Every step of training on tiny parts: it runs, and a run that was cut off ends like one that was not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tiny import tiny_library

from s2i_core.errors import ModelError
from s2i_core.models.denoiser import Denoiser
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.models.projection import QueryTransformer
from s2i_core.models.reference import Slot
from s2i_core.training import align, checkpoint, data, diffuse, pictures
from s2i_core.training.compose import SpriteBook

WIDTH = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with random frames and vectors instead of speech and a teacher."""
    path = tmp_path_factory.mktemp("data")
    library = tiny_library()
    library.save(path / "library")
    data._build_scenes(path, data.DataConfig(scenes=20, bare=1, tests=4), SpriteBook(library))
    rows = list(data.read_scenes(path))
    rng = np.random.default_rng(0)
    for split in data.SPLITS:
        texts = np.array([i for i, row in enumerate(rows) if row.split == split])
        (path / f"frames-{split}").mkdir()
        shard = {
            "frames_200": rng.normal(size=(len(texts), 50, WIDTH)).astype(np.float16),
            "texts_200": texts,
        }
        save_file(shard, path / f"frames-{split}" / "shard-0000000.safetensors")
    unit = [rng.normal(size=(count, WIDTH)).astype(np.float32) for count in (len(rows), len(library))]
    scenes, sprites = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in unit)
    save_file({"scenes": scenes, "sprites": sprites}, path / "teacher.safetensors")
    return path


def projection() -> QueryTransformer:
    torch.manual_seed(0)
    return QueryTransformer(
        width=WIDTH, depth=1, heads=2, mlp_width=16, num_queries=4, token_width=WIDTH, embedding_width=WIDTH
    )


def test_splits_hold_what_they_should(folder: Path) -> None:
    rows = list(data.read_scenes(folder))
    assert {split: sum(row.split == split for row in rows) for split in data.SPLITS} == {
        "train": 23,
        "voices": 4,
        "combinations": 4,
    }
    assert all(len(row.spec.groups) == 1 for row in rows if row.split == "voices")


def test_align_resumes_exactly(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = align.AlignConfig(steps=4, batch=6, warmup=1, evaluate_every=2, dtype="float32")
    whole = projection()
    align.train(folder, tmp_path / "whole", whole, config)

    class Cut(Exception):
        pass

    def evaluate_once(*_: object) -> dict[str, float]:
        raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(align, "evaluate", evaluate_once)
        align.train(folder, tmp_path / "cut", projection(), config)
    resumed = projection()
    align.train(folder, tmp_path / "cut", resumed, config)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    before = projection()
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), whole.parameters(), strict=True))
    frozen = "layers.0.cross_attention.k.weight"
    torch.testing.assert_close(before.state_dict()[frozen], whole.state_dict()[frozen])


def test_pictures_and_diffuse_learn_something(folder: Path, tmp_path: Path) -> None:
    encoder = ImageEncoder(size_px=32, widths=(8, 8), blocks=(1, 1), embedding_width=WIDTH)
    start = [p.clone() for p in encoder.parameters()]
    pictures.train(folder, tmp_path, pictures.PicturesConfig(steps=2, batch=6, warmup=1, dtype="float32"), encoder)
    assert any(not torch.equal(a, b) for a, b in zip(start, encoder.parameters(), strict=True))

    config = diffuse.DiffuseConfig(steps=3, batch=2, size_px=32, warmup=1, dtype="float32")
    torch.manual_seed(0)
    denoiser = Denoiser(token_width=WIDTH, embedding_width=WIDTH, widths=(8, 16), head_width=8, groups=4)
    average = diffuse.train(folder, tmp_path, projection(), config, denoiser)
    log = (tmp_path / "diffuse.jsonl").read_text()
    assert "error" in log
    assert all(torch.isfinite(p).all() for p in average.parameters())
    again = Denoiser.from_config(denoiser.config)
    assert checkpoint.resume(tmp_path / diffuse.CHECKPOINT, {"average": again}) == 3


def test_what_says_the_same_is_no_negative() -> None:
    target = torch.eye(4)[[0, 0, 1, 2]]
    perfect = align.contrastive_loss(target, target, 0.05)
    assert perfect < 1e-3


def test_references_are_dropped_moved_and_exchanged() -> None:
    slots = (Slot(0, "red", (0.3, 0.5, 0.2, 0.2)), Slot(1, "green", (0.7, 0.5, 0.2, 0.2)))
    config = diffuse.DiffuseConfig(drop_canvas=0.2, drop_sprite=0.2, wrong_sprite=0.2, moved=0.5)
    rng = np.random.default_rng(0)
    seen = [diffuse.disturb(slots, 3, config, rng) for _ in range(200)]
    assert {len(kept) for kept in seen} == {0, 1, 2}
    assert {slot.sprite for kept in seen for slot in kept} == {0, 1, 2}
    assert len({slot.box for kept in seen for slot in kept}) > 50


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="no training state"):
        checkpoint.resume(tmp_path / "state.pt", {})
