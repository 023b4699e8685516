from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny import tiny_library

from s2i_core.corpus.compose import SpriteBook
from s2i_core.corpus.folder import CAPTIONED_FOLDER, PARTS, SPLITS, read_scenes
from s2i_core.models.decoders.native.library import SPRITE_SIZE, SpriteInfo, SpriteLibrary
from s2i_core.training.data import build
from s2i_core.training.data.config import DataConfig

WIDTH = 8
CAPTIONED = 30


def captioned_library() -> SpriteLibrary:
    """Bars of different lengths, each with a title of its own."""
    sprites = np.zeros((CAPTIONED, SPRITE_SIZE, SPRITE_SIZE, 4), np.uint8)
    for n, sprite in enumerate(sprites):
        sprite[50:78, 10 : 40 + 2 * n] = (8 * n, 40, 200, 255)
    infos = [
        SpriteInfo(f"bars/{n}", f"bar {n}", f"bar {n}", "shape", "outline", "tests", "CC0-1.0")
        for n in range(CAPTIONED)
    ]
    return SpriteLibrary.from_arrays(infos, sprites)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with random frames and vectors instead of speech and a teacher."""
    path = tmp_path_factory.mktemp("data")
    library = tiny_library()
    library.save(path / "library")
    build._build_scenes(path, DataConfig(scenes=20, bare=1, tests=4), SpriteBook(library))
    rows = list(read_scenes(path))
    rng = np.random.default_rng(0)
    phrases = 5
    for part in PARTS:
        texts = np.array([i for i, row in enumerate(rows) if row.split == (part if part in SPLITS else "train")])
        if part == "phrases":
            texts = np.arange(len(rows), len(rows) + phrases)
        (path / f"frames-{part}").mkdir()
        shard = {
            "frames_200": rng.normal(size=(len(texts), 50, WIDTH)).astype(np.float16),
            "texts_200": texts,
        }
        save_file(shard, path / f"frames-{part}" / "shard-0000000.safetensors")
    counts = {"scenes": len(rows), "phrases": phrases, "sprites": len(library)}
    unit = {name: rng.normal(size=(count, WIDTH)).astype(np.float32) for name, count in counts.items()}
    save_file({n: x / np.linalg.norm(x, axis=1, keepdims=True) for n, x in unit.items()}, path / "teacher.safetensors")
    captioned_library().save(path / CAPTIONED_FOLDER)
    titles = rng.normal(size=(CAPTIONED, WIDTH)).astype(np.float32)
    save_file({"titles": titles / np.linalg.norm(titles, axis=1, keepdims=True)}, path / "captioned.safetensors")
    return path
