from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny import tiny_library

from s2i_core.training import data
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
    phrases = 5
    for part in data.PARTS:
        texts = np.array([i for i, row in enumerate(rows) if row.split == (part if part in data.SPLITS else "train")])
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
    return path
