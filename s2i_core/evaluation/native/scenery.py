"""The judge of whole pictures: a small network that says where a scene is set, trained on composed pictures alone.

Its features are the space of FID and its like; so that they speak of more than the ground, it also learns which things
of the library are in a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from s2i_core.corpus.backgrounds import SETTING_NAMES
from s2i_core.corpus.spec import SceneSpec
from s2i_core.evaluation.native.composed import as_input, disturb
from s2i_core.evaluation.native.namer import Block, convolution
from s2i_core.learning.checkpoint import say
from s2i_core.learning.loop import Loop, LoopConfig

SIZE = 64
_CHUNK = 500


class SceneryConfig(LoopConfig):
    """How long."""

    steps: int = Field(1000, gt=0, description="Optimizer steps.")
    batch: int = Field(80, gt=1, description="Pictures a step.")
    lr: float = Field(2e-3, gt=0, description="Learning rate.")
    save_every: int = Field(100, gt=0, description="Steps between saves.")
    seed: int = Field(7, ge=0, description="Decides everything.")


class Scenery(nn.Module):
    """Pictures `(B, 3, 64, 64)` in -1 to 1 to their settings.

    Args:
        concepts: how many things may be in them.
        width: of the features.
    """

    def __init__(self, concepts: int, width: int = 96) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            convolution(3, 24), convolution(24, 48), Block(48), convolution(48, width), Block(width)
        )
        self.setting = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, len(SETTING_NAMES)))
        self.things = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, concepts))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """One vector a picture `(B, 2 D)`: mean and maximum over its places."""
        features = self.trunk(pictures).float()
        return torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)


@torch.inference_mode()
def summarise(scenery: Scenery, pictures: NDArray[np.uint8]) -> torch.Tensor:
    """The vectors `(B, 2 D)` of pictures `(B, S, S, 3)` of any size."""
    return torch.cat([scenery(x) for x in torch.split(as_input(pictures, SIZE), 64)])


def train(
    folder: Path,
    concepts: Sequence[str],
    specs: Sequence[SceneSpec],
    pictures: NDArray[np.uint8],
    config: SceneryConfig,
    tell: Callable[[str], None] = say,
) -> Scenery:
    """Train on scenes and their pictures `(N, S, S, 3)`; goes on from `folder` where it was cut off."""
    place = {concept: n for n, concept in enumerate(concepts)}
    settings = torch.tensor([SETTING_NAMES.index(spec.setting) for spec in specs])
    things = torch.zeros(len(specs), len(concepts))
    for row, spec in enumerate(specs):
        for group in spec.groups:
            things[row, place[group.concept]] = 1 / len(spec.groups)
    small = np.concatenate([_shrunk(pictures[n : n + _CHUNK]) for n in range(0, len(pictures), _CHUNK)])
    torch.manual_seed(config.seed)
    scenery: Scenery = Scenery(len(concepts)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(scenery.parameters(), lr=config.lr, weight_decay=0.02)
    loop = Loop(folder / "scenery.pt", config, {"scenery": scenery}, optimizer, clip=2.0, tell=tell)

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        rows = rng.choice(len(specs), config.batch, replace=False)
        x = disturb(as_input(small[rows], SIZE), rng).to(memory_format=torch.channels_last)
        with loop.precision():
            vectors = scenery(x)
        found = scenery.setting(vectors)
        loss = F.cross_entropy(found, settings[rows]) + F.cross_entropy(scenery.things(vectors), things[rows])
        return loss, {"loss": loss, "right": (found.argmax(1) == settings[rows]).float().mean()}

    loop.run(step, save_every=config.save_every)
    return scenery


def _shrunk(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures `(N, S, S, 3)` at the size that the network sees `(N, 64, 64, 3)`."""
    x = ((as_input(pictures, SIZE) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(x.permute(0, 2, 3, 1).contiguous().numpy(), dtype=np.uint8)
