"""Train the projection and the layout predictor: from frames to what was said and where it lies.

The pooled vector learns to be the text teacher's vector of what was said (of a scene its plain caption), by a
contrastive loss (InfoNCE, van den Oord et al. 2018) in both directions, with many more texts than the batch holds as
negatives. The layout predictor learns the composer's slots, in whichever order fits best: whether one is filled, its
box, its colour, and the sprite in it, as a choice among all sprites of the library; and the setting and the time of
day. Dictionary phrases have no scene and teach the pooled vector alone.

A model that is complete can go on learning words: its layout reads the tokens of another projection (`place`) and stays
as it is, and `keep_tokens` holds the tokens near to those that its denoiser was taught to read.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load_file
from torch.nn import functional as F

from s2i_core.corpus.backgrounds import SETTING_NAMES
from s2i_core.corpus.folder import TRAIN_PARTS, SceneRow, read_scenes
from s2i_core.learning.loop import Loop, LoopConfig
from s2i_core.models.decoders.native.layout import Layout, LayoutPredictor
from s2i_core.models.decoders.native.places import TIMES
from s2i_core.models.decoders.native.recolour import COLOURS
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.training.data.frames import FRAMES_HZ, FrameSet

CHECKPOINT = "align.pt"


class Batches(Protocol):
    """Utterances to be asked about, as `FrameSet` has them."""

    def batches(self, size: int) -> Iterable[tuple[torch.Tensor, NDArray[np.int64]]]:
        """All of them, once: frames `(B, T, D)` at 25 Hz and the text of each `(B,)`."""


class AlignConfig(LoopConfig):
    """How long and how fast."""

    parts: tuple[str, ...] = Field(TRAIN_PARTS, description="Parts of the data to learn from.")
    share: float = Field(1.0, gt=0, le=1, description="Share of their utterances to learn from.")
    steps: int = Field(1800, gt=0, description="Optimizer steps.")
    batch: int = Field(160, gt=1, description="Utterances a step and process.")
    lr_pretrained: float = Field(2e-4, gt=0, description="Learning rate of the layers that Whisper's decoder gave.")
    lr_new: float = Field(1e-3, gt=0, description="Learning rate of the queries, the heads and the layout predictor.")
    temperature: float = Field(0.05, gt=0, description="Temperature of the contrastive loss.")
    sprite_temperature: float = Field(0.07, gt=0, description="Temperature of the softmax over the library's sprites.")
    layout_weight: float = Field(0.5, ge=0, description="Weight of the layout's losses.")
    bank: int = Field(2048, ge=0, description="Texts beyond the batch that a step contrasts its speech with.")
    mask_s: float = Field(0.3, ge=0, description="Longest stretch of frames that is hidden, two of them an utterance.")
    keep_tokens: float = Field(
        0.0, ge=0, description="Weight of how far the tokens go from those at the start, over the size of those."
    )
    freeze_cross: bool = Field(True, description="Keep keys and values of the pretrained cross-attention as they are.")
    evaluate_every: int = Field(100, gt=0, description="Steps between evaluations and saves.")


@dataclass(frozen=True)
class Targets:
    """What the texts of a data folder should be heard as: M scenes, then P phrases.

    Attributes:
        texts: teacher's vectors of the plain captions and of the phrases `(M + P, E)`.
        sprites: teacher's vectors of the sprites' names `(N, E)`.
        presence: which slots of a scene are filled `(M, S)`.
        boxes: their boxes `(M, S, 4)`.
        chosen: their sprites `(M, S)`, 0 where empty.
        colours: their colours `(M, S)`, 0 for a sprite's own, then `COLOURS` in their order.
        settings: the scene's setting `(M,)`, among `SETTING_NAMES`.
        times: its time of day `(M,)`, among `TIMES`.
    """

    texts: torch.Tensor
    sprites: torch.Tensor
    presence: torch.Tensor
    boxes: torch.Tensor
    chosen: torch.Tensor
    colours: torch.Tensor
    settings: torch.Tensor
    times: torch.Tensor

    @classmethod
    def load(cls, folder: Path, rows: list[SceneRow], slots: int) -> Targets:
        """Read them."""
        teacher = load_file(folder / "teacher.safetensors")
        presence = np.zeros((len(rows), slots), np.float32)
        boxes = np.zeros((len(rows), slots, 4), np.float32)
        chosen, colours = np.zeros((2, len(rows), slots), np.int64)
        names = (None, *COLOURS)
        for i, row in enumerate(rows):
            for j, slot in enumerate(row.spec.slots[:slots]):
                presence[i, j], boxes[i, j], chosen[i, j] = 1, slot.box, slot.sprite
                colours[i, j] = names.index(slot.colour)
        settings = np.array([SETTING_NAMES.index(row.spec.setting) for row in rows], np.int64)
        times = np.array([TIMES.index(row.spec.time) for row in rows], np.int64)
        texts = np.concatenate([teacher["scenes"], teacher["phrases"]])
        arrays = (texts, teacher["sprites"], presence, boxes, chosen, colours, settings, times)
        return cls(*(torch.from_numpy(array) for array in arrays))

    def spoken(
        self, texts: NDArray[np.int64], bank: int, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What a batch says, as places among the texts `(B,)`, and vectors of other texts `(bank, E)`."""
        chance = torch.from_numpy(rng.integers(0, len(self.texts), bank))
        device = self.texts.device
        return torch.from_numpy(texts).to(device), self.texts[chance.to(device)]

    def to(self, device: torch.device) -> Targets:
        """The same on another device."""
        return Targets(*(getattr(self, field.name).to(device) for field in fields(self)))


def hide(frames: torch.Tensor, longest: int, rng: np.random.Generator) -> torch.Tensor:
    """Frames `(B, T, D)` with two stretches of up to `longest` of each row set to zero.

    SpecAugment (Park et al. 2019, arXiv 1904.08779), on what the encoder gives.
    """
    if longest < 1:
        return frames
    batch, length = frames.shape[:2]
    place = np.arange(length)
    kept = np.ones((batch, length), bool)
    for _ in range(2):
        starts = rng.integers(0, length, batch)[:, None]
        kept &= (place < starts) | (place >= starts + rng.integers(0, longest + 1, batch)[:, None])
    return frames * torch.from_numpy(kept)[:, :, None]


def contrastive_loss(
    speech: torch.Tensor, target: torch.Tensor, temperature: float, bank: torch.Tensor | None = None
) -> torch.Tensor:
    """InfoNCE in both directions over a batch of L2-normalised pairs `(B, E)`.

    Pairs whose targets are the same say the same thing: they are no negatives of each other. `bank` `(N, E)` are more
    targets that the speech is contrasted with.
    """
    labels = torch.arange(len(target), device=target.device)
    same = (target @ target.T > 0.98) & ~torch.eye(len(target), dtype=torch.bool, device=target.device)
    logits = (speech @ target.T / temperature).masked_fill(same, -1e4)
    backward = F.cross_entropy(logits.T, labels)
    if bank is not None:
        more = (speech @ bank.T / temperature).masked_fill(target @ bank.T > 0.98, -1e4)
        logits = torch.cat([logits, more], dim=1)
    return (F.cross_entropy(logits, labels) + backward) / 2


@dataclass(frozen=True)
class LayoutWeights:
    """What counts how much in `layout_loss`; presence counts 1.

    Attributes:
        boxes, sprites, colours, place: weights of the other terms.
        own_colour: weight, within the colours, of things in their own colour, which most things are.
        sprite_temperature: temperature of the softmax over the library's sprites.
    """

    boxes: float = 5.0
    sprites: float = 1.0
    colours: float = 1.0
    place: float = 0.5
    own_colour: float = 1.0
    sprite_temperature: float = 0.07


def layout_loss(layout: Layout, targets: Targets, scenes: torch.Tensor, weights: LayoutWeights) -> torch.Tensor:
    """Presence, box, sprite and colour of every slot under the matching that costs least, and the place.

    Args:
        layout: of B utterances.
        targets: what all scenes should be.
        scenes: which of them each utterance is about `(B,)`.
        weights: what counts how much.
    """
    filled = targets.presence[scenes]  # (B, S), as all below before the matching
    boxes, chosen, colours = targets.boxes[scenes], targets.chosen[scenes], targets.colours[scenes]
    slots = filled.shape[1]
    by_sprite = (layout.queries @ targets.sprites.T / weights.sprite_temperature).log_softmax(-1)
    by_colour = layout.colours.log_softmax(-1)
    balance = torch.ones(by_colour.shape[-1], device=by_colour.device)
    balance[0] = weights.own_colour
    balance = balance[colours] * filled
    balance = balance / (balance.sum() / filled.sum()).clamp(min=1e-6)
    # (B, slots predicted, slots wanted)
    there = F.softplus(-layout.presence)[:, :, None] * filled[:, None]
    there = there + F.softplus(layout.presence)[:, :, None] * (1 - filled[:, None])
    boxed = (layout.boxes[:, :, None] - boxes[:, None]).abs().mean(-1)
    named = -by_sprite.gather(2, chosen[:, None].expand(-1, slots, -1))
    painted = -by_colour.gather(2, colours[:, None].expand(-1, slots, -1)) * balance[:, None]
    shown = weights.boxes * boxed + weights.sprites * named + weights.colours * painted
    cost = there + shown * filled[:, None]
    orders = torch.tensor(list(itertools.permutations(range(slots))), device=cost.device)
    rows = torch.arange(slots, device=cost.device)
    best = orders[cost.detach()[:, rows, orders].sum(-1).argmin(1)]  # (B, S): what each slot is to be

    def matched(each: torch.Tensor) -> torch.Tensor:
        return each.gather(2, best[:, :, None]).squeeze(2)

    settings = F.cross_entropy(layout.settings, targets.settings[scenes])
    times = F.cross_entropy(layout.times, targets.times[scenes])
    things = matched(shown * filled[:, None]).sum() / filled.sum()
    return matched(there).mean() + things + weights.place * (settings + times)


def freeze_cross(projection: QueryTransformer) -> None:
    """Keep keys and values of the cross-attention as they are: Whisper's, which already finds words in frames."""
    for name, parameter in projection.layers.named_parameters():
        parameter.requires_grad_("cross_attention.k" not in name and "cross_attention.v" not in name)


def new_layout(projection: QueryTransformer, own_tokens: int = 0) -> LayoutPredictor:
    """A layout predictor before training, of the projection's widths; `own_tokens` as of the class."""
    shape = projection.config
    return LayoutPredictor(
        token_width=shape.token_width,
        embedding_width=shape.embedding_width,
        num_colours=len(COLOURS),
        num_settings=len(SETTING_NAMES),
        num_times=len(TIMES),
        own_tokens=own_tokens,
    )


def train(
    data: Path, out: Path, projection: QueryTransformer, config: AlignConfig, layout: LayoutPredictor | None = None
) -> LayoutPredictor:
    """Train in place and return the layout predictor; goes on from `out/align.pt` where there is one.

    Args:
        data: folder of the training data.
        out: folder of the training state.
        projection: trained in place.
        config: how long and how fast.
        layout: trained in place; by default a new one. One that reads tokens of its own stays as it is.
    """
    torch.manual_seed(config.seed)
    layout = layout or new_layout(projection)
    lays = not layout.config.own_tokens
    before = copy.deepcopy(projection).eval() if config.keep_tokens else None
    if config.freeze_cross:
        freeze_cross(projection)
    optimizer = _optimizer(projection, layout if lays else None, config)
    loop = Loop(out / CHECKPOINT, config, {"projection": projection, "layout": layout}, optimizer)
    if before:
        before.to(loop.device)
    rows = list(read_scenes(data))
    targets = Targets.load(data, rows, layout.config.num_slots).to(loop.device)
    frames = FrameSet(*(data / f"frames-{part}" for part in config.parts)).thinned(config.share, config.seed)
    test = FrameSet(data / "frames-voices")
    weights = LayoutWeights(sprite_temperature=config.sprite_temperature)

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        batch, texts = frames.batch(rng, config.batch)
        heard = hide(batch, round(config.mask_s * FRAMES_HZ), rng).to(loop.device)
        spoken, bank = targets.spoken(texts, config.bank, rng)
        scene = spoken < len(rows)
        with loop.precision():
            tokens, pooled = projection(heard)
            if before:
                with torch.no_grad():
                    kept = before(heard)[0]
            predicted = layout(tokens[scene], pooled[scene]) if lays and scene.any() else None
            change = moved(tokens, kept) if before else tokens.new_zeros(())
        contrast = contrastive_loss(pooled, targets.texts[spoken], config.temperature, bank)
        placed = layout_loss(predicted, targets, spoken[scene], weights) if predicted else contrast.new_zeros(())
        loss = contrast + config.layout_weight * placed + config.keep_tokens * change
        return loss, {"contrast": contrast, "layout": placed, "moved": change}

    loop.run(
        step,
        save_every=config.evaluate_every,
        evaluate=lambda: evaluate(projection, layout if lays else None, test, rows, targets),
    )
    return layout


def _optimizer(projection: QueryTransformer, layout: LayoutPredictor | None, config: AlignConfig) -> torch.optim.AdamW:
    """With a learning rate for Whisper's layers, and one for what is new."""
    pretrained = [p for p in projection.layers.parameters() if p.requires_grad]
    new = [p for n, p in projection.named_parameters() if not n.startswith("layers")]
    new += list(layout.parameters()) if layout else []
    return torch.optim.AdamW(
        [{"params": pretrained, "lr": config.lr_pretrained}, {"params": new, "lr": config.lr_new}],
        betas=(0.9, 0.98),
        weight_decay=0.05,
    )


def moved(tokens: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Mean square of how far tokens `(B, K, C)` are from those of before, over that of those."""
    before = before.float()
    return F.mse_loss(tokens.float(), before) / before.square().mean()


@torch.inference_mode()
def evaluate(
    projection: QueryTransformer,
    layout: LayoutPredictor | None,
    frames: Batches,
    rows: list[SceneRow],
    targets: Targets,
) -> dict[str, float]:
    """Retrieval among the library's concepts, by the pooled vector and by the surest slot: recall at 1 and at 5."""
    pooled_ranks: list[NDArray[np.int64]] = []
    slot_hits: list[bool] = []
    counts: list[bool] = []
    settings: list[bool] = []
    for batch, texts in frames.batches(64):
        device = targets.texts.device
        tokens, pooled = projection(batch.to(device))
        wanted = torch.tensor([rows[text].spec.slots[0].sprite for text in texts], device=device)
        scores = pooled @ targets.sprites.T
        own = scores.gather(1, wanted[:, None])
        pooled_ranks.append((scores > own + 1e-6).sum(1).cpu().numpy())
        if layout is None:
            continue
        predicted = layout(tokens, pooled)
        surest = predicted.presence.argmax(1)
        query = predicted.queries[torch.arange(len(batch), device=device), surest]
        slot_hits += ((query @ targets.sprites.T).argmax(1) == wanted).tolist()
        settings += (predicted.settings.argmax(1) == targets.settings[texts]).tolist()
        counts += ((predicted.presence > 0).sum(1) == targets.presence[texts].sum(1)).tolist()
    ranks = np.concatenate(pooled_ranks)
    recalls = {"r1": float((ranks == 0).mean()), "r5": float((ranks < 5).mean())}
    if layout is None:
        return recalls
    return recalls | {
        "slot_r1": float(np.mean(slot_hits)),
        "count": float(np.mean(counts)),
        "setting": float(np.mean(settings)),
    }
