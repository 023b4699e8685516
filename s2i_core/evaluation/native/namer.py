"""The namer: a small network that says which thing of the library a piece of a picture shows, and in which colour.

It is trained on pieces of composed pictures around the things in them, so that neighbours and backgrounds are seen too,
and on combinations of thing and colour or setting that leave out those of the test. It shares nothing with the model
that it judges. Every thing has a single drawing in a style, so that a few thousand steps are enough. It also learns
places where nothing stands: else it would name what sticks into an empty one, and things would be counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from s2i_core.corpus.compose import SpriteBook
from s2i_core.corpus.spec import SceneSpec
from s2i_core.evaluation.native.composed import as_input, disturb
from s2i_core.learning.checkpoint import say
from s2i_core.learning.loop import Loop, LoopConfig
from s2i_core.models.decoders.native.recolour import COLOURS
from s2i_core.models.decoders.native.reference import Slot

COLOUR_NAMES = tuple(COLOURS)
PICTURE_PX, CROP_PX = 128, 64
_EMPTY = 0.1
"""Share of the crops of a step in which nothing stands."""
_REPAINTED = 0.5
"""Share of the things in a colour of the scene's choice that are seen in yet another."""
_FREE = 0.3
"""How much of a place a thing may cover for it to count as empty."""
_SAME = 0.5
"""How much of a place another must cover to be the same place."""
_ROOM = 1.1
"""Side of a crop, over the longer side of the box."""
_NONE = -100  # what cross-entropy ignores


class NamerConfig(LoopConfig):
    """How much and how long."""

    steps: int = Field(2500, gt=0, description="Optimizer steps.")
    batch: int = Field(128, gt=1, description="Crops a step.")
    lr: float = Field(2e-3, gt=0, description="Learning rate.")
    save_every: int = Field(100, gt=0, description="Steps between saves.")
    seed: int = Field(13, ge=0, description="Decides everything.")


class Namer(nn.Module):
    """Crops `(B, 3, 64, 64)` in -1 to 1 to scores of things and of colours; the last thing is that there is none.

    Args:
        concepts: how many things it knows.
    """

    def __init__(self, concepts: int, width: int = 128, hidden: int = 192) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            convolution(3, 32), convolution(32, 64), convolution(64, width), Block(width),
            nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16 * width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(),
        )  # fmt: skip
        self.things = nn.Linear(hidden, concepts + 1)
        self.colours = nn.Linear(hidden, len(COLOUR_NAMES))

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of things `(B, concepts + 1)` and of colours `(B, colours)`."""
        features = self.trunk(crops)
        return self.things(features).float(), self.colours(features).float()


class Block(nn.Module):
    """Two convolutions beside a shortcut, `(B, D, H, W)` to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(convolution(width, width, 1), nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The features `(B, D, H, W)`, changed."""
        return F.relu(x + self.norm(self.inner(x)))


def convolution(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    """A convolution of 3 by 3, normalised: `(B, inputs, H, W)` to `(B, outputs, H / stride, W / stride)`."""
    layer = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def cut(pictures: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """The squares around boxes, with a little room, a box a picture.

    Args:
        pictures: `(B, 3, S, S)`.
        boxes: `(B, 4)`, centre and extent as shares of the frame.

    Returns:
        `(B, 3, 64, 64)`; beyond the frame its edge goes on.
    """
    half = (_ROOM * boxes[:, 2:].amax(1)).clamp(min=0.03)
    zero = torch.zeros_like(half)
    rows = [torch.stack([half, zero, 2 * boxes[:, 0] - 1], 1), torch.stack([zero, half, 2 * boxes[:, 1] - 1], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [len(boxes), 3, CROP_PX, CROP_PX], align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class Seen:
    """What stands in the places of a picture.

    Attributes:
        boxes: `(N, 4)`.
        things: logits `(N, concepts + 1)`.
        colours: logits `(N, colours)`.
    """

    boxes: NDArray[np.float32]
    things: NDArray[np.float32]
    colours: NDArray[np.float32]

    def count(self, concept: int) -> int:
        """How many places show the thing; of two that lie mostly on each other one counts."""
        kept: list[NDArray[np.float32]] = []
        for box in self.boxes[self.things.argmax(1) == concept] if len(self.boxes) else ():
            if not kept or covered(box, np.stack(kept)).max() < _SAME:
                kept.append(box)
        return len(kept)

    def colour(self, concept: int) -> int | None:
        """The colour, as a place in `COLOUR_NAMES`, of the place that looks most like the thing; `None` without any."""
        return int(self.colours[self._likest(concept)].argmax()) if len(self.boxes) else None

    def stand(self, first: int, second: int, relation: str) -> bool:
        """Whether the places that look most like two things are two, and stand to each other as is said."""
        if not len(self.boxes) or self._likest(first) == self._likest(second):
            return False
        return stands(self.boxes[self._likest(first)], self.boxes[self._likest(second)], relation)

    def _likest(self, concept: int) -> int:
        return int(self.things[:, concept].argmax())


def stands(first: NDArray[np.float32], second: NDArray[np.float32], relation: str) -> bool:
    """Whether a box `(4,)` is left of, right of, above or in front of another."""
    low = np.maximum(first[:2] - first[2:] / 2, second[:2] - second[2:] / 2)
    high = np.minimum(first[:2] + first[2:] / 2, second[:2] + second[2:] / 2)
    shared_width, shared_height = (high - low) / np.minimum(first[2:], second[2:])
    if relation in {"left", "right"}:
        toward = second[0] - first[0] if relation == "left" else first[0] - second[0]
        return bool(toward > 0 and shared_width < 0.5)
    if relation == "above":
        return bool(first[1] < second[1] and shared_width > 0 and shared_height < 0.5)
    # Who is in front covers some of the other and stands lower in the frame.
    lower = first[1] + first[3] / 2 > second[1] + second[3] / 2
    return bool(lower and shared_width > 0 and shared_height > 0)


@torch.inference_mode()
def look(namer: Namer, pictures: NDArray[np.uint8], slots: Sequence[Sequence[Slot]]) -> list[Seen]:
    """What stands in the places `slots` of each of the pictures `(B, S, S, 3)`."""
    namer.eval()
    found = []
    for picture, places in zip(pictures, slots, strict=True):
        boxes = np.array([slot.box for slot in places], dtype=np.float32).reshape(-1, 4)
        x = as_input(picture[None], PICTURE_PX).expand(len(boxes), -1, -1, -1)
        things, colours = namer(cut(x, torch.from_numpy(boxes))) if len(boxes) else (torch.empty(0, 0),) * 2
        found.append(Seen(boxes, things.numpy(), colours.numpy()))
    return found


def train(
    folder: Path,
    book: SpriteBook,
    specs: Sequence[SceneSpec],
    pictures: NDArray[np.uint8],
    config: NamerConfig,
    tell: Callable[[str], None] = say,
) -> Namer:
    """Train the namer on scenes and their pictures `(N, S, S, 3)`; goes on from `folder` where it was cut off."""
    concepts = book.library.concepts
    crops = _Crops(specs, book, concepts)
    torch.manual_seed(config.seed)
    namer: Namer = Namer(len(concepts)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(namer.parameters(), lr=config.lr, weight_decay=0.02)
    loop = Loop(folder / "namer.pt", config, {"namer": namer}, optimizer, clip=2.0, tell=tell)

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        rows, boxes, truth, colour, repainted = crops.draw(rng, config.batch)
        x = cut(as_input(pictures[rows], PICTURE_PX), torch.from_numpy(boxes))
        mirrored = torch.from_numpy(rng.random(len(x)) < 0.25)[:, None, None, None]
        # Colours change places: a thing must be known in colours that training leaves out.
        x[repainted] = x[repainted][:, torch.from_numpy(rng.permutation(3))]
        x = disturb(torch.where(mirrored, x.flip(3), x), rng).to(memory_format=torch.channels_last)
        with loop.precision():
            things, colours = namer(x)
        right = torch.from_numpy(truth)
        loss = F.cross_entropy(things, right)
        loss = loss + 0.5 * F.cross_entropy(colours, torch.from_numpy(colour), ignore_index=_NONE)
        return loss, {"loss": loss, "right": (things.argmax(1) == right).float().mean()}

    loop.run(step, save_every=config.save_every)
    return namer


def colour_of(slot: Slot, book: SpriteBook) -> str | None:
    """The colour that a slot is seen in: given, or the drawing's own where it has a single one."""
    paint = book.painter.paint_of(slot.sprite)
    return slot.colour or (paint.colour if paint else None)


class _Crops:
    """What there is to be cut out of scenes: each slot's picture `(N,)`, box `(N, 4)`, thing and colour `(N,)`."""

    def __init__(self, specs: Sequence[SceneSpec], book: SpriteBook, concepts: Sequence[str]) -> None:
        place = {concept: n for n, concept in enumerate(concepts)}
        slots = [(row, slot) for row, spec in enumerate(specs) for slot in spec.slots]
        self._nothing = len(concepts)
        self._pictures = np.array([row for row, _ in slots])
        self._boxes = np.array([slot.box for _, slot in slots], dtype=np.float32)
        self._things = np.array([place[slot.concept] for _, slot in slots])
        seen = [colour_of(slot, book) for _, slot in slots]
        self._colours = np.array([COLOUR_NAMES.index(colour) if colour else _NONE for colour in seen])
        self._painted = np.array([slot.colour is not None for _, slot in slots])
        self._taken = [np.array([slot.box for slot in spec.slots], dtype=np.float32) for spec in specs]
        # Rare things count for more, or those with much company would be most of every batch.
        weight = np.bincount(self._things, minlength=len(concepts))[self._things] ** -0.5
        self._chance = weight / weight.sum()

    def draw(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Some of them `(count,)`: pictures, boxes a little off `(count, 4)`, things, colours, whom to repaint."""
        some = rng.choice(len(self._things), count, p=self._chance)
        pictures, things, colours = self._pictures[some], self._things[some], self._colours[some]
        boxes = _jitter(self._boxes[some], rng)
        repainted = self._painted[some] & (rng.random(count) < _REPAINTED)
        colours[repainted] = _NONE
        for n in range(round(_EMPTY * count)):
            place = np.concatenate([rng.uniform(0.1, 0.9, 2), boxes[n, 2:]]).astype(np.float32)
            if covered(place, self._taken[pictures[n]]).max() < _FREE:
                boxes[n], things[n], colours[n] = place, self._nothing, _NONE
        return pictures, boxes, things, colours, repainted


def covered(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of the smaller of two boxes the other covers: of a box `(4,)` and each of others `(N, 4)`, `(N,)`."""
    low = np.maximum(box[:2] - box[2:] / 2, others[:, :2] - others[:, 2:] / 2)
    high = np.minimum(box[:2] + box[2:] / 2, others[:, :2] + others[:, 2:] / 2)
    smaller = np.minimum(box[2:].prod(), others[:, 2:].prod(1))
    return np.asarray((high - low).clip(min=0).prod(1) / smaller.clip(min=1e-6), dtype=np.float32)


def _jitter(boxes: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Boxes as a layout might have them that is a little off `(B, 4)`."""
    size = boxes[:, 2:].max(1, keepdims=True)
    shift = rng.normal(0, 0.06, (len(boxes), 2)).clip(-0.15, 0.15) * size
    scale = np.exp(rng.normal(0, 0.12, (len(boxes), 1)).clip(-0.3, 0.3))
    return np.concatenate([boxes[:, :2] + shift, boxes[:, 2:] * scale], axis=1).astype(np.float32)
