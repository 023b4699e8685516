"""Train the denoiser: from noise, condition tokens and a disturbed reference canvas to composed scenes.

Rectified flow with x-prediction: `x_t = (1 - t) x_0 + t ε`, t from a logit-normal (Esser et al. 2024, arXiv
2403.03206), the loss on the velocity `(x_t - x_0) / t`, which is the error of x_0 weighted by 1 / t². The canvas is
dropped, moved, or filled with the wrong sprite or a sprite in its own colour at random, so that the network draws
without it; how much of each is a setting. What is often wrong in training is drawn over where it is right.

Most rows lie on the path that inference takes from a coarse ground g (`native/grounds.py`) under a share s of noise:
`x_t = t ε + (t / s) (1 - s) g + (1 - t / s) x_0` for t up to s, where Euler steps from `s ε + (1 - s) g` pass through
if every step predicts x_0. The others start from noise alone, as pictures without references do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from s2i_core.corpus.backgrounds import SETTING_NAMES
from s2i_core.corpus.compose import SpriteBook, paint_ground, render, restyle
from s2i_core.corpus.folder import STYLES_FOLDER, SceneRow, read_scenes
from s2i_core.corpus.spec import SceneSpec
from s2i_core.errors import ConfigError
from s2i_core.learning.loop import Loop, LoopConfig
from s2i_core.models.decoders.native.decoder import canvas_tensor
from s2i_core.models.decoders.native.denoiser import Denoiser
from s2i_core.models.decoders.native.grounds import coarse, start_picture
from s2i_core.models.decoders.native.library import RGBA, SpriteLibrary
from s2i_core.models.decoders.native.places import TIMES
from s2i_core.models.decoders.native.reference import Slot
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.training.data.frames import FrameSet
from s2i_core.training.trainers.pictures import as_tensor

CHECKPOINT = "diffuse.pt"


class DiffuseConfig(LoopConfig):
    """How long, how fast, and how much the references are disturbed."""

    steps: int = Field(2000, gt=0, description="Optimizer steps.")
    batch: int = Field(16, gt=1, description="Pictures a step and process.")
    size_px: int = Field(256, gt=0, description="Side of the pictures.")
    lr: float = Field(5e-4, gt=0, description="Learning rate.")
    ema: float = Field(0.995, gt=0, lt=1, description="Decay of the average of the weights, which is what ships.")
    drop_speech: float = Field(0.1, ge=0, le=1, description="Share of rows without speech, for guidance.")
    drop_canvas: float = Field(0.04, ge=0, le=1, description="Share of rows with an empty canvas.")
    drop_sprite: float = Field(0.02, ge=0, le=1, description="Share of references left out of a canvas.")
    wrong_sprite: float = Field(0.0, ge=0, le=1, description="Share of references that show another thing.")
    own_colour: float = Field(0.0, ge=0, le=1, description="Share of repainted references shown in their own colour.")
    moved: float = Field(0.05, ge=0, le=1, description="Share of rows whose references are not quite in place.")
    shift: float = Field(0.02, ge=0, description="Standard deviation of a reference's place, in shares of the frame.")
    scale: float = Field(0.04, ge=0, description="Standard deviation of the logarithm of a reference's size.")
    restyled: float = Field(0.6, ge=0, le=1, description="Share of rows drawn in another style than the scene's own.")
    drop_place: float = Field(0.1, ge=0, le=1, description="Share of rows that are not told the place.")
    drop_ground: float = Field(0.15, ge=0, le=1, description="Share of rows that start from noise alone.")
    start_noise: float = Field(0.8, gt=0, lt=1, description="Share of noise over the coarse ground of the others.")
    t_mean: float = Field(0.9, description="Mean of the logit of t: above 0 favours much noise.")
    t_std: float = Field(1.2, gt=0, description="Standard deviation of the logit of t.")
    t_floor: float = Field(0.4, gt=0, description="Smallest t in the loss's weight, which keeps it bounded.")
    save_every: int = Field(100, gt=0, description="Steps between saves.")


def disturb(slots: tuple[Slot, ...], sprites: int, config: DiffuseConfig, rng: np.random.Generator) -> list[Slot]:
    """The references, of so many sprites, as a layout predictor that errs might have placed them."""
    if rng.random() < config.drop_canvas:
        return []
    moved = rng.random() < config.moved
    kept = []
    for slot in slots:
        if rng.random() < config.drop_sprite:
            continue
        cx, cy, w, h = slot.box
        factor = float(np.exp(rng.normal(0, config.scale))) if moved else 1.0
        dx, dy = rng.normal(0, config.shift, 2) if moved else (0.0, 0.0)
        box = (cx + dx, cy + dy, w * factor, h * factor)
        sprite = int(rng.integers(sprites)) if rng.random() < config.wrong_sprite else slot.sprite
        colour = None if rng.random() < config.own_colour else slot.colour
        kept.append(dataclasses.replace(slot, sprite=sprite, box=box, colour=colour))
    return kept


def place_codes(rows: list[SceneRow]) -> NDArray[np.float32]:
    """Setting and time of day of every scene as `Layout.place` gives them `(M, S + T)`."""
    settings = np.eye(len(SETTING_NAMES), dtype=np.float32)[[SETTING_NAMES.index(row.spec.setting) for row in rows]]
    times = np.eye(len(TIMES), dtype=np.float32)[[TIMES.index(row.spec.time) for row in rows]]
    return np.concatenate([settings, times], axis=1)


def on_the_way(
    clean: torch.Tensor, start: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, grounded: torch.Tensor, s: float
) -> torch.Tensor:
    """Pictures with a share t of noise, as inference sees them.

    Args:
        clean, start, noise: x_0, the coarse ground with its references, and ε, each `(B, 3, S, S)`.
        t: `(B,)`, at most s where grounded.
        grounded: rows that started from the coarse ground `(B,)`.
        s: the share of noise that those started with.
    """
    t = t[:, None, None, None]
    ground = torch.where(grounded[:, None, None, None], t / s * (1 - s), 0.0)
    return t * noise + ground * start + (1 - t - ground) * clean


@torch.inference_mode()
def condition(projection: QueryTransformer, frames: FrameSet) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.int64]]:
    """Tokens `(N, K, C)` and pooled `(N, E)` of every utterance of a set, float16, with its scene `(N,)`."""
    tokens, pooled, texts = [], [], []
    with torch.autocast(projection.device.type, torch.bfloat16):
        for batch, ids in frames.batches(64):
            t, p = projection(batch.to(projection.device))
            tokens.append(t.half().cpu())
            pooled.append(p.half().cpu())
            texts.append(ids)
    return torch.cat(tokens), torch.cat(pooled), np.concatenate(texts)


def train(data: Path, out: Path, projection: QueryTransformer, config: DiffuseConfig, denoiser: Denoiser) -> Denoiser:
    """Train and return the averaged denoiser; goes on from `out/diffuse.pt` where there is one."""
    denoiser = denoiser.to(memory_format=torch.channels_last)
    average = Denoiser.from_config(denoiser.config)
    average.load_state_dict(denoiser.state_dict())
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=0.01)
    loop = Loop(out / CHECKPOINT, config, {"denoiser": denoiser, "average": average}, optimizer)
    books = _books(data, denoiser.config.styles)
    rows = list(read_scenes(data))
    # The dictionary's phrases have no scene; most of the other utterances are about each scene's or concept's picture.
    scenes = FrameSet(*(data / f"frames-{part}" for part in ("train", "talk", "natural")))
    tokens, pooled, texts = condition(projection.to(loop.device), scenes)
    del scenes
    places = torch.from_numpy(place_codes(rows))

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        noise_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
        chosen = rng.choice(len(texts), config.batch, replace=False)
        pages = [_page(rows[text].spec, books, config, rng) for text in texts[chosen]]
        clean, canvas, start = _draw(pages, config, rng)
        noise = torch.randn(clean.shape, generator=noise_rng)
        logit = torch.randn(config.batch, generator=noise_rng) * config.t_std + config.t_mean
        grounded = torch.from_numpy(rng.random(config.batch) >= config.drop_ground)
        t = logit.sigmoid() * torch.where(grounded, config.start_noise, 1.0)
        noisy = on_the_way(clean, start, noise, t, grounded, config.start_noise)
        dropped = torch.from_numpy(rng.random(config.batch) < config.drop_speech)
        style = torch.tensor([denoiser.config.styles.index(book.styles[0]) for _, book in pages])
        inputs = (noisy, t, tokens[chosen].float(), pooled[chosen].float(), style, canvas)
        told = torch.from_numpy(rng.random(config.batch) >= config.drop_place)
        place = places[torch.from_numpy(texts[chosen])] * told[:, None]
        with loop.precision():
            predicted, taken = denoiser(*(x.to(loop.device) for x in (*inputs, dropped, place)))
        error = (predicted - clean.to(loop.device)).square().mean((1, 2, 3))
        loss = (error / t.to(loop.device).clamp(min=config.t_floor).square()).mean()
        return loss, {"loss": loss, "error": error.mean(), "taken": taken.mean()}

    loop.run(
        step,
        save_every=config.save_every,
        afterwards=lambda n: _average(average, denoiser, min(config.ema, (n + 1) / (n + 10))),
    )
    return average


def _books(data: Path, styles: Sequence[str]) -> list[SpriteBook]:
    """A book of each style: the scenes' own first."""
    books = [SpriteBook(SpriteLibrary.load(data / "library"))]
    if len(styles) > 1:
        others = SpriteLibrary.load(data / STYLES_FOLDER)
        books += [SpriteBook(others.styled(style)) for style in styles if style not in books[0].styles]
    if missing := set(styles) ^ {book.styles[0] for book in books}:
        raise ConfigError(
            str(data), f"its styles are not the denoiser's: {', '.join(sorted(missing))}", "Build it anew."
        )
    return books


def _page(
    spec: SceneSpec, books: Sequence[SpriteBook], config: DiffuseConfig, rng: np.random.Generator
) -> tuple[SceneSpec, SpriteBook]:
    """The scene in its own style or, by chance, in another that has all of its things."""
    if len(books) > 1 and rng.random() < config.restyled:
        book = books[1 + int(rng.integers(len(books) - 1))]
        if (other := restyle(spec, book)) is not None:
            return other, book
    return spec, books[0]


def _draw(
    pages: Sequence[tuple[SceneSpec, SpriteBook]], config: DiffuseConfig, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The pictures `(B, 3, S, S)` of some scenes, their disturbed canvases `(B, 4, S, S)`, and those on coarse grounds.

    The last, `(B, 3, S, S)`, is what inference starts from.
    """
    pictures: list[NDArray[np.uint8]] = []
    canvases: list[RGBA] = []
    grounds: list[NDArray[np.uint8]] = []
    for spec, book in pages:
        ground = paint_ground(spec, book, config.size_px)
        pictures.append(render(spec, book, config.size_px, ground)[0])
        canvases.append(book.painter.reference(disturb(spec.slots, len(book.library), config, rng), config.size_px))
        grounds.append(coarse(ground))
    canvas = canvas_tensor(np.stack(canvases))
    start = torch.stack([start_picture(*each) for each in zip(grounds, canvas, strict=True)])
    return as_tensor(np.stack(pictures)), canvas, start


@torch.no_grad()
def _average(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
