"""Train a grounding: windows around a name learn its vector, windows without one that nothing is named.

The contrast is with everything that the lexicon knows, some thousand things, so that a noun which the library cannot
show is not taken for the nearest thing that it can. A part of the target is spread over what the text teacher finds
alike: who hears "a surgeon" for "a doctor" is not as wrong as who hears "a donkey".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn import functional as F

from s2i_core.errors import ConfigError
from s2i_core.hearing import FRAMES_HZ
from s2i_core.learning.loop import Loop, LoopConfig
from s2i_core.models.speech.grounding import Grounding
from s2i_core.training.grounding.frames import NOTHING, TimedName, read_frames

STATE = "grounding.pt"


class GroundingConfig(LoopConfig):
    """How long, on what, and how fast."""

    steps: int = Field(1500, gt=0, description="Optimizer steps.")
    dtype: str = Field(
        "float32",
        description="Type that autocast uses. On a CPU without instructions for bfloat16 that takes ten times as long.",
    )
    named: int = Field(48, gt=0, description="Windows a step in which something is named.")
    empty: int = Field(24, gt=0, description="Windows a step in which nothing is.")
    widths_s: tuple[float, ...] = Field((0.56, 0.8, 1.2), description="Lengths of windows, one a step.")
    jitter_s: float = Field(0.12, ge=0, description="How far from the middle of a name its window may lie.")
    margin_s: float = Field(0.15, ge=0, description="How far an empty window's middle is from any name, at least.")
    engines: dict[str, float] = Field(
        {"kokoro": 3.0, "piper": 2.0, "flite": 1.0, "espeak": 1.0},
        description="Weight of a window by the voice's engine: natural voices are few.",
    )
    seeming: float = Field(
        4.0, gt=0, description="Weight of an empty window on a name, a letter or a number, which sound like things."
    )
    balance: float = Field(0.5, ge=0, le=1, description="0 draws names as often as they occur, 1 all equally often.")
    mix: float = Field(0.5, ge=0, le=1, description="Share of windows that take on the sound of another crop.")
    mix_beta: float = Field(0.4, gt=0, description="Of the distribution of how much of that sound they take on.")
    alike: float = Field(0.15, ge=0, le=1, description="Share of the target that is spread over similar things.")
    alike_temperature: float = Field(0.06, gt=0, description="Of the cosines by which it is spread.")
    lr: float = Field(1.2e-4, gt=0, description="Learning rate of the query transformer.")
    lr_new: float = Field(3e-3, gt=0, description="Learning rate of the vector for nothing, its bias and the scale.")
    save_every: int = Field(100, gt=0, description="Steps between saves.")


class Windows:
    """Frames in memory, with the middles of the names in them and of moments without any.

    Args:
        folders: of frames, an engine each.
        captions: of the things that can be named; what names another is left out.
        config: how they are drawn.
    """

    def __init__(self, folders: Sequence[Path], captions: Sequence[str], config: GroundingConfig) -> None:
        self._config = config
        number_of = {caption: number for number, caption in enumerate(captions)}
        pieces: list[NDArray[np.float16]] = []
        named: list[tuple[int, float, int]] = []
        empty: list[tuple[int, float]] = []
        weights: list[list[float]] = [[], []]
        durations_s: list[float] = []
        crop = 0
        for folder in folders:
            weight = config.engines.get(folder.name, 1.0)
            for path in sorted(folder.glob("shard-*.safetensors")):
                encoded = read_frames(path)
                pieces.append(encoded.frames)
                for of_crop, duration_s in zip(encoded.names, encoded.durations_s, strict=True):
                    for name in of_crop:
                        middle_s = (name.start_s + name.end_s) / 2
                        if name.caption in number_of:
                            named.append((crop, middle_s, number_of[str(name.caption)]))
                            weights[0].append(weight)
                        elif name.caption == NOTHING:
                            empty.append((crop, middle_s))
                            weights[1].append(weight * config.seeming)
                    free = _free(of_crop, float(duration_s), config.margin_s)
                    empty += [(crop, middle_s) for middle_s in free]
                    weights[1] += [weight] * len(free)
                    durations_s.append(float(duration_s))
                    crop += 1
        if not named:
            raise ConfigError(
                str(folders[0].parent if folders else Path()),
                "there are no frames with names in them",
                "Make them first: `speak` and `frames` of python -m s2i_core.training.grounding.",
            )
        self._frames = np.concatenate(pieces)
        self._durations = np.maximum(1, np.round(np.array(durations_s) * FRAMES_HZ).astype(np.int64))
        self._styles: dict[int, NDArray[np.float32]] = {}
        self._named, self._empty = named, empty
        counts = Counter(number for _, _, number in named)
        rare = np.array([counts[number] ** -config.balance for _, _, number in named])
        self._odds = [_normal(np.array(weights[0]) * rare), _normal(np.array(weights[1]))]

    def __len__(self) -> int:
        return len(self._named)

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows `(B, T, D)`, and the numbers of what is named in them `(B,)`, for nothing that after the last."""
        config = self._config
        width = round(float(rng.choice(config.widths_s)) * FRAMES_HZ)
        rows, numbers, crops = [], [], []
        for place in rng.choice(len(self._named), config.named, p=self._odds[0]):
            crop, middle_s, number = self._named[place]
            rows.append(self._window(crop, middle_s + rng.uniform(-config.jitter_s, config.jitter_s), width))
            numbers.append(number)
            crops.append(crop)
        for place in rng.choice(len(self._empty), config.empty, p=self._odds[1]):
            crop, middle_s = self._empty[place]
            rows.append(self._window(crop, middle_s, width))
            numbers.append(-1)
            crops.append(crop)
        slices = torch.from_numpy(np.stack(rows)).float()
        return self._mixed(slices, crops, rng), torch.tensor(numbers)

    def _mixed(self, slices: torch.Tensor, crops: Sequence[int], rng: np.random.Generator) -> torch.Tensor:
        """Some windows with a part of the mean and the spread of another's crop (MixStyle, Zhou et al. 2021).

        What is constant over a crop is the voice and the room, and few voices have to stand for all.
        """
        styles = torch.from_numpy(np.stack([self._style(crop) for crop in crops]))
        other = styles[torch.from_numpy(rng.permutation(len(crops)))]
        kept = rng.beta(self._config.mix_beta, self._config.mix_beta, len(crops))
        kept = np.where(rng.random(len(crops)) < self._config.mix, np.maximum(kept, 1 - kept), 1.0)
        share = torch.from_numpy(kept).float()[:, None, None]
        mean, spread = (share * styles + (1 - share) * other)[:, :, None].unbind(1)
        own_mean, own_spread = styles[:, :, None].unbind(1)
        return (slices - own_mean) / own_spread * spread + mean

    def _style(self, crop: int) -> NDArray[np.float32]:
        """Mean and spread of a crop's frames `(2, D)`."""
        if crop not in self._styles:
            frames = self._frames[crop, : self._durations[crop]].astype(np.float32)
            self._styles[crop] = np.stack([frames.mean(0), frames.std(0) + 1e-3])
        return self._styles[crop]

    def _window(self, crop: int, middle_s: float, width: int) -> NDArray[np.float16]:
        frames = self._frames[crop]
        start = min(max(0, round(middle_s * FRAMES_HZ - width / 2)), len(frames) - width)
        return np.asarray(frames[start : start + width])


def train(
    folders: Sequence[Path],
    out: Path,
    grounding: Grounding,
    captions: Sequence[str],
    vectors: NDArray[np.float32],
    config: GroundingConfig,
) -> None:
    """Train in place; goes on from `out/grounding.pt` where there is one.

    Every `save_every` steps the model is also saved to `out/step-00100` …: which of them hears best is for development
    lectures to say, and too many steps are worse than too few.

    Args:
        folders: of frames, an engine each.
        out: folder of the training state.
        grounding: what is trained.
        captions, vectors: of everything that can be named, and the text teacher's vectors of it `(N, E)`.
        config: how.
    """
    windows = Windows(folders, captions, config)
    new = [grounding.nothing, grounding.nothing_bias, grounding.log_scale]
    grounding.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        [{"params": list(grounding.body.parameters()), "lr": config.lr}, {"params": new, "lr": config.lr_new}],
        weight_decay=0.01,
    )
    loop = Loop(out / STATE, config, {"grounding": grounding}, optimizer)
    things = torch.from_numpy(vectors).to(loop.device)

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        slices, numbers = windows.batch(rng)
        with loop.precision():
            loss, right = losses(grounding, slices.to(loop.device), numbers.to(loop.device), things, config)
        return loss, {"loss": loss.detach(), "right": right}

    def keep(number: int) -> None:
        if (number + 1) % config.save_every == 0 or number + 1 == config.steps:
            grounding.save_pretrained(out / f"step-{number + 1:05d}")

    loop.run(step, save_every=config.save_every, afterwards=keep)
    grounding.requires_grad_(False)


def losses(
    grounding: Grounding, slices: torch.Tensor, numbers: torch.Tensor, things: torch.Tensor, config: GroundingConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy against the target of each window, and the share of names that are told right."""
    logits = grounding.logits(grounding(slices), things)
    target = F.one_hot(numbers % logits.shape[1], logits.shape[1]).float()
    is_named = numbers >= 0
    if config.alike:
        cosines = things[numbers[is_named]] @ things.T
        spread = F.pad(torch.softmax(cosines / config.alike_temperature, dim=1), (0, 1))
        target[is_named] = (1 - config.alike) * target[is_named] + config.alike * spread
    right = (logits.argmax(1) == numbers)[is_named].float().mean()
    return F.cross_entropy(logits.float(), target), right


def _free(names: Sequence[TimedName], duration_s: float, margin_s: float, step_s: float = 0.25) -> list[float]:
    """Moments of a crop that are apart from everything named in it, and from what one cannot tell."""
    return [
        float(at_s)
        for at_s in np.arange(0.3, duration_s - 0.3, step_s)
        if all(
            name.caption == NOTHING or at_s < name.start_s - margin_s or at_s > name.end_s + margin_s for name in names
        )
    ]


def _normal(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(weights / weights.sum())
