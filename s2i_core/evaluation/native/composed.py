"""Composed pictures as the judges see them: made once to learn from, disturbed at each look, and others to test on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch.nn import functional as F

from s2i_core.corpus.compose import SpriteBook, render, sample_spec
from s2i_core.corpus.spec import SceneSpec, split_of

_CHUNK = 1000


def scenes(
    folder: Path,
    book: SpriteBook,
    count: int,
    size: int,
    seed: int,
    tell: Callable[[str], None],
) -> tuple[list[SceneSpec], NDArray[np.uint8]]:
    """Scenes to learn from with their pictures `(N, S, S, 3)`, kept in `folder`; made once, a thousand at a time.

    They leave out the combinations that the model's training leaves out too.

    Args:
        folder: where they are kept.
        book: what to compose them of.
        count: how many.
        size: pixels a side.
        seed: decides everything.
        tell: told what is being done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "scenes.jsonl"
    if not kept.exists():
        lines = [spec.to_json() for spec in _sample(np.random.default_rng([seed, 0]), book, count, "train")]
        kept.write_text("\n".join(lines), encoding="utf-8")
    specs = [SceneSpec.from_json(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    pieces = []
    for first in range(0, len(specs), _CHUNK):
        path = folder / f"scenes-{first:05d}.safetensors"
        if not path.exists():
            tell(f"scenes from {first} of {len(specs)}")
            pictures = np.stack([render(spec, book, size)[0] for spec in specs[first : first + _CHUNK]])
            temporary = path.with_suffix(".part")
            save_file({"pictures": pictures}, temporary)
            temporary.replace(path)
        pieces.append(load_file(path)["pictures"])
    return specs, np.concatenate(pieces)


def test_scenes(book: SpriteBook, count: int, seed: int) -> list[SceneSpec]:
    """Scenes of combinations that the model's training never shows, other ones than those of the test set."""
    return _sample(np.random.default_rng([seed, 1]), book, count, "test")


def _sample(rng: np.random.Generator, book: SpriteBook, count: int, split: Literal["train", "test"]) -> list[SceneSpec]:
    found: list[SceneSpec] = []
    while len(found) < count:
        spec = sample_spec(rng, book)
        if split_of(spec) == split:
            found.append(spec)
    return found


def as_input(pictures: NDArray[np.uint8], size: int) -> torch.Tensor:
    """Pictures `(B, S, S, 3)` of any size as a network sees them `(B, 3, size, size)`, in -1 to 1."""
    x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    if x.shape[-1] != size:
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return x


def disturb(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Shifted, blurred, noisy and of other contrast `(B, 3, S, S)`, one way for a batch and by chance a row.

    It keeps a network from judging by the crispness of composed pictures.
    """
    size = x.shape[-1]
    x = torch.roll(x, tuple(rng.integers(-2, 3, 2).tolist()), dims=(2, 3))
    small = F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)
    blurred = F.interpolate(small, (size, size), mode="bilinear")
    share = torch.from_numpy(rng.uniform(0, 1, (len(x), 1, 1, 1)) * (rng.random((len(x), 1, 1, 1)) < 0.5)).float()
    x = x + (blurred - x) * share
    x = x * torch.from_numpy(rng.uniform(0.85, 1.1, (len(x), 1, 1, 1))).float()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**62))))
    return x + noise * torch.from_numpy(rng.uniform(0, 0.06, (len(x), 1, 1, 1))).float()
