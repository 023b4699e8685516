"""Train the image encoder: pictures to the text teacher's vectors, so that they meet speech in one space.

It learns from three kinds of pictures: single illustrations of the concepts in every style, captioned illustrations of
many other things, and composed scenes, drawn in every style too. A tenth of the captioned titles is held out: no
drawing of it is trained on, and how well it is recognised tells what the encoder makes of a customer's own drawings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load_file
from torch.nn import functional as F

from s2i_core.corpus.compose import SpriteBook, render, restyle
from s2i_core.corpus.folder import SAME, SceneRow, held_out, read_captioned, read_scenes, style_books
from s2i_core.learning.loop import Loop, LoopConfig
from s2i_core.models.decoders.native.library import RGBA, SpriteLibrary
from s2i_core.models.decoders.native.reference import Slot, SpritePainter
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.training.trainers.align import contrastive_loss

T = TypeVar("T")

CHECKPOINT = "pictures.pt"
_SAME_TEXT = 0.999
"""Likeness of the teacher's vectors above which two names are the same."""


class PicturesConfig(LoopConfig):
    """How long and how fast."""

    steps: int = Field(700, gt=0, description="Optimizer steps.")
    batch: int = Field(96, gt=1, description="Pictures a step and process.")
    alone: float = Field(0.3, gt=0, le=1, description="Share of single illustrations of the concepts, in all styles.")
    captioned: float = Field(
        0.25, ge=0, le=1, description="Share of captioned illustrations; the rest are composed scenes. 0: without them."
    )
    restyled: float = Field(0.7, ge=0, le=1, description="Share of the scenes drawn in another style if it has them.")
    lr_pretrained: float = Field(3e-4, gt=0, description="Learning rate of the layers that ImageNet taught.")
    lr_new: float = Field(1e-3, gt=0, description="Learning rate of the last layer and the norm before it.")
    temperature: float = Field(0.05, gt=0, description="Temperature of the contrastive loss.")
    head_scenes: int = Field(3000, ge=0, description="Composed scenes in the closed-form fit of the last layer.")
    head_white: float = Field(8.0, gt=0, description="Weight of an illustration on white in that fit.")
    head_ridge: float = Field(
        3.0, gt=0, description="What it costs to leave the layer that training found, as a multiple of all weights."
    )
    evaluate_every: int = Field(150, gt=0, description="Steps between evaluations and saves.")


def single(library: SpriteLibrary, painter: SpritePainter, sprite: int, size: int, rng: np.random.Generator) -> RGBA:
    """A sprite somewhere on a plain ground, `(size, size, 3)` uint8: what library images look like, and then some."""
    ground = np.ones(3) if rng.random() < 0.3 else rng.uniform(0.5, 1.0, 3)
    frame = np.empty((size, size, 3), dtype=np.float32)
    frame[:] = ground
    side = rng.uniform(0.5, 0.98)
    extent_w, extent_h = library.extent(sprite)
    w, h = extent_w * side, extent_h * side
    cx, cy = 0.5 + rng.uniform(-1, 1) * (1 - w) / 2, 0.5 + rng.uniform(-1, 1) * (1 - h) / 2
    painter.paste(frame, Slot(sprite, "", (cx, cy, w, h), flip=bool(rng.random() < 0.3)))
    return np.asarray((frame.clip(0, 1) * 255).round(), dtype=np.uint8)


def on_white(rgba: RGBA) -> RGBA:
    """A sprite on white, as the pipeline embeds a library: `(H, W, 4)` to `(H, W, 3)` uint8."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.asarray((rgba[..., :3] * alpha + 255 * (1 - alpha)).round(), dtype=np.uint8)


class Lessons:
    """The pictures of a data folder and what each shows.

    Args:
        data: the folder.
        config: says whether the captioned illustrations are wanted, and how often scenes are restyled.
        size: side of the pictures.

    Attributes:
        books: the concepts' illustrations, a book for each style.
        drawn: for each concept its illustrations, each as the book of its style and its place there.
        rows, scenes: the composed scenes, and the places of those to train on.
        library, painter: the captioned illustrations; without any where they are not wanted.
        trained, held_out: places of those to train on, and of those to test on.
        sprites, plain, titles: the teacher's vectors `(N, E)` of concepts, scenes and titles.

    Raises:
        ConfigError: the captioned illustrations are wanted and not built.
    """

    def __init__(self, data: Path, config: PicturesConfig, size: int) -> None:
        self.size, self._restyled = size, config.restyled
        self.books = style_books(data)
        self.drawn = [
            [(book, member) for book in self.books for member in book.library.members(info.concept)[:1]]
            for info in self.books[0].library.infos
        ]
        teacher = load_file(data / "teacher.safetensors")
        self.sprites, self.plain = teacher["sprites"], teacher["scenes"]
        self.rows: list[SceneRow] = list(read_scenes(data))
        self.scenes = np.array([place for place, row in enumerate(self.rows) if row.split == "train"])
        self.library, self.titles = SpriteLibrary([], []), np.zeros((0, self.sprites.shape[1]), np.float32)
        if config.captioned:
            self.library, self.titles = read_captioned(data)
        # Each is drawn in another size every time, so that keeping the resized ones would gain nothing.
        self.painter = SpritePainter(self.library, cache_bytes=2**20)
        kept_back = held_out([info.title for info in self.library.infos], self.titles, self.sprites)
        self.trained, self.held_out = np.nonzero(~kept_back)[0], np.nonzero(kept_back)[0]

    @cached_property
    def names(self) -> NDArray[np.float32]:
        """The vectors of all that a single illustration of the training may show, each once `(K, E)`."""
        return np.unique(np.concatenate([self.sprites, self.titles[self.trained]]), axis=0)

    def alone(self, concept: int, rng: np.random.Generator) -> RGBA:
        """A concept by itself, in a style by chance: `(size, size, 3)` uint8."""
        book, sprite = self.drawn[concept][int(rng.integers(len(self.drawn[concept])))]
        return single(book.library, book.painter, sprite, self.size, rng)

    def captioned(self, place: int, rng: np.random.Generator) -> RGBA:
        """A captioned illustration by itself: `(size, size, 3)` uint8."""
        return single(self.library, self.painter, place, self.size, rng)

    def scene(self, place: int, rng: np.random.Generator) -> RGBA:
        """A composed scene, in its own style or by chance in another that has all of it: `(size, size, 3)` uint8."""
        spec, book = self.rows[place].spec, self.books[0]
        if len(self.books) > 1 and rng.random() < self._restyled:
            other = self.books[1 + int(rng.integers(len(self.books) - 1))]
            if (drawn := restyle(spec, other)) is not None:
                spec, book = drawn, other
        return render(spec, book, self.size)[0]


def train(data: Path, out: Path, config: PicturesConfig, encoder: ImageEncoder) -> None:
    """Train in place; goes on from `out/pictures.pt` where there is one.

    Raises:
        ConfigError: the data lack the captioned illustrations, and the settings want them.
    """
    # Depthwise convolutions are a third faster so, on CPUs and GPUs alike.
    encoder.to(memory_format=torch.channels_last)
    loop = Loop(out / CHECKPOINT, config, {"encoder": encoder}, _optimizer(encoder, config))
    lessons = Lessons(data, config, encoder.config.size_px)
    names = torch.from_numpy(lessons.names).to(loop.device)

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        pictures, vectors_of, alone = _batch(lessons, config, rng)
        targets = torch.from_numpy(vectors_of).to(loop.device)
        with loop.precision():
            vectors = encoder(as_tensor(pictures).to(loop.device, memory_format=torch.channels_last))
        choice = choice_loss(vectors[:alone], targets[:alone], names, config.temperature)
        loss = contrastive_loss(vectors, targets, config.temperature) + choice
        return loss, {"loss": loss, "choice": choice}

    loop.run(step, save_every=config.evaluate_every, evaluate=lambda: _evaluate(encoder, lessons))


def _optimizer(encoder: ImageEncoder, config: PicturesConfig) -> torch.optim.AdamW:
    """With a learning rate for the pretrained layers, and one for what is new."""
    new = [*encoder.norm.parameters(), *encoder.head.parameters()]
    pretrained = [p for part in (encoder.first, encoder.blocks, encoder.last) for p in part.parameters()]
    return torch.optim.AdamW(
        [{"params": pretrained, "lr": config.lr_pretrained}, {"params": new, "lr": config.lr_new}],
        betas=(0.9, 0.98),
        weight_decay=0.05,
    )


def _batch(
    lessons: Lessons, config: PicturesConfig, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32], int]:
    """Pictures `(B, S, S, 3)`, the vectors of what they show `(B, E)`, and how many show one thing: those first."""
    size = config.batch
    concepts = rng.choice(len(lessons.drawn), min(round(size * config.alone), len(lessons.drawn)), replace=False)
    wanted = min(round(size * config.captioned), size - len(concepts), len(lessons.trained))
    others = rng.choice(lessons.trained, wanted, replace=False)
    scenes = rng.choice(lessons.scenes, size - len(concepts) - len(others), replace=False)
    pictures = [lessons.alone(int(n), rng) for n in concepts]
    pictures += [lessons.captioned(int(n), rng) for n in others]
    pictures += [lessons.scene(int(n), rng) for n in scenes]
    vectors = np.concatenate([lessons.sprites[concepts], lessons.titles[others], lessons.plain[scenes]])
    return np.stack(pictures), vectors, len(concepts) + len(others)


def choice_loss(vectors: torch.Tensor, targets: torch.Tensor, names: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy of choosing what is shown among all names: more negatives than a batch holds.

    Args:
        vectors: of the pictures `(B, E)`, L2-normalised.
        targets: of what they show `(B, E)`, each one of the names.
        names: `(K, E)`. Others that say nearly the same are no negatives.
        temperature: of the softmax.
    """
    likeness = targets @ names.T
    right = likeness.argmax(1)
    same = (likeness > SAME).scatter(1, right[:, None], False)
    return F.cross_entropy((vectors @ names.T / temperature).masked_fill(same, -1e4), right)


@torch.inference_mode()
def fit_head(encoder: ImageEncoder, data: Path, config: PicturesConfig) -> None:
    """Fit the last layer in closed form: ridge regression from the pooled features to the teacher's vectors.

    Gradient steps with a contrastive loss order the pictures and leave their vectors far from the teacher's; the
    regression brings them nearer to where speech points. It is drawn to the layer that training found, scaled to unit
    vectors, and not to zero: so it keeps that order. Every illustration counts on white, as a library embeds it, and on
    another ground; composed scenes keep the head from learning single things only.

    Raises:
        ConfigError: the data lack the captioned illustrations, and the settings want them.
    """
    encoder.eval()
    lessons = Lessons(data, config, encoder.config.size_px)
    found = torch.cat([encoder.head.weight.T, encoder.head.bias[None]]).double().cpu()
    gram = torch.zeros(len(found), len(found), dtype=torch.float64)
    moment = torch.zeros_like(found)
    total = lengths = 0.0
    # Summed up batch by batch: the pictures of all the illustrations at once would take gigabytes.
    for some in _batched(_head_pictures(lessons, config), 128):
        resized = [encoder.resize(as_tensor(picture[None])) for picture, _, _ in some]
        features = encoder.features(torch.cat(resized).to(encoder.device)).double().cpu()
        x = torch.cat([features, torch.ones(len(some), 1, dtype=torch.float64)], dim=1)
        y = torch.from_numpy(np.stack([target for _, target, _ in some])).double()
        weights = torch.tensor([weight for _, _, weight in some], dtype=torch.float64)
        gram += x.T @ (weights[:, None] * x)
        moment += x.T @ (weights[:, None] * y)
        lengths += float(weights @ (x @ found).norm(dim=1))
        total += float(weights.sum())
    found *= total / lengths
    penalty = config.head_ridge * total * torch.eye(len(found), dtype=torch.float64)
    solution = found + torch.linalg.solve(gram + penalty, moment - gram @ found)
    encoder.head.weight.copy_(solution[:-1].T)
    encoder.head.bias.copy_(solution[-1])


def _head_pictures(
    lessons: Lessons, config: PicturesConfig
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], float]]:
    """Pictures with the vectors of what they show and their weights."""
    rng = np.random.default_rng(config.seed)
    for drawn, target in zip(lessons.drawn, lessons.sprites, strict=True):
        for book, sprite in drawn:
            yield on_white(book.library.rgba(sprite)), target, config.head_white
            yield single(book.library, book.painter, sprite, lessons.size, rng), target, 1.0
    for place in lessons.trained:
        yield on_white(lessons.library.rgba(int(place))), lessons.titles[place], config.head_white
        yield lessons.captioned(int(place), rng), lessons.titles[place], 1.0
    for place in rng.permutation(lessons.scenes)[: config.head_scenes]:
        yield lessons.scene(int(place), rng), lessons.plain[place], 1.0


@torch.inference_mode()
def _evaluate(encoder: ImageEncoder, lessons: Lessons) -> dict[str, float]:
    """Whether pictures are nearest to what they show.

    `sprite_r1`: single illustrations of the scenes' own style among all concepts; `styled_r1`: those of other styles;
    `scene_r1`: scenes of unseen combinations among each other; `captioned_r1` and `_r10`: illustrations of titles that
    are held out, on white, among all titles.
    """
    rng = np.random.default_rng(0)

    def hits(pictures: Iterable[NDArray[np.uint8]], right: NDArray[np.float32], among: NDArray[np.float32]) -> float:
        return _recall(encoder, pictures, right, among, 1)

    some = rng.choice(len(lessons.drawn), min(200, len(lessons.drawn)), replace=False)
    own = [single(*_of(lessons.drawn[int(n)][0]), lessons.size, rng) for n in some]
    found = {"sprite_r1": hits(own, lessons.sprites[some], lessons.sprites)}
    styled = [n for n in some if len(lessons.drawn[int(n)]) > 1]
    if styled:
        drawn = [lessons.drawn[int(n)][1 + int(rng.integers(len(lessons.drawn[int(n)]) - 1))] for n in styled]
        pictures = [single(*_of(one), lessons.size, rng) for one in drawn]
        found["styled_r1"] = hits(pictures, lessons.sprites[styled], lessons.sprites)
    unseen = [place for place, row in enumerate(lessons.rows) if row.split == "combinations"][:200]
    scenes = [render(lessons.rows[place].spec, lessons.books[0], lessons.size)[0] for place in unseen]
    found["scene_r1"] = hits(scenes, lessons.plain[unseen], lessons.plain[unseen])
    if len(lessons.held_out):
        test = rng.permutation(lessons.held_out)[:400]
        shown = [on_white(lessons.library.rgba(int(place))) for place in test]
        for k in (1, 10):
            every = np.unique(lessons.titles, axis=0)
            found[f"captioned_r{k}"] = _recall(encoder, shown, lessons.titles[test], every, k)
    return found


def _of(drawn: tuple[SpriteBook, int]) -> tuple[SpriteLibrary, SpritePainter, int]:
    book, sprite = drawn
    return book.library, book.painter, sprite


def _recall(
    encoder: ImageEncoder,
    pictures: Iterable[NDArray[np.uint8]],
    right: NDArray[np.float32],
    among: NDArray[np.float32],
    k: int,
) -> float:
    """Share of pictures `(H, W, 3)` that have what they show, `right` `(N, E)`, under the k nearest of `among`."""
    vectors = [
        encoder(as_tensor(np.stack(some)).to(encoder.device)).float().cpu().numpy() for some in _batched(pictures, 128)
    ]
    nearest = np.argsort(-(np.concatenate(vectors) @ among.T), axis=1, kind="stable")[:, :k]
    return float((np.einsum("nke,ne->nk", among[nearest], right) > _SAME_TEXT).any(1).mean())


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def as_tensor(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """`(B, H, W, 3)` uint8 to `(B, 3, H, W)` in -1 to 1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
