"""Train the layout by itself: a projection of its own, and the predictor that reads that one's tokens.

Beside the contrast of `align` the layout's losses weigh little, and what is rare is learnt last: colours, numbers, what
lies where. A second projection, which begins as the trained one, learns nothing but these; what the first one hears,
and what the denoiser was taught to read, stay as they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from s2i_core.corpus.folder import SCENE_PARTS, SceneRow, read_scenes
from s2i_core.learning.loop import Loop, LoopConfig
from s2i_core.models.decoders.native.layout import Layout, LayoutPredictor
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.training.data.frames import FRAMES_HZ, FrameSet
from s2i_core.training.trainers.align import LayoutWeights, Targets, freeze_cross, hide, layout_loss

CHECKPOINT = "place.pt"


class PlaceConfig(LoopConfig):
    """How long and how fast."""

    parts: tuple[str, ...] = Field(
        SCENE_PARTS, description="Parts of the data to learn from; of their utterances those that have a scene."
    )
    steps: int = Field(2200, gt=0, description="Optimizer steps.")
    batch: int = Field(160, gt=1, description="Utterances a step and process.")
    lr_projection: float = Field(2e-4, gt=0, description="Learning rate of the projection, which is trained already.")
    lr_layout: float = Field(6e-4, gt=0, description="Learning rate of the layout predictor.")
    warmup: int = Field(60, ge=1, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.05, ge=0, description="Weight decay of AdamW.")
    mask_s: float = Field(0.2, ge=0, description="Longest stretch of frames that is hidden, two of them an utterance.")
    colours: float = Field(1.0, ge=0, description="Weight of the colours' loss.")
    own_colour: float = Field(0.5, gt=0, description="Weight of a thing in its own colour in it.")
    place: float = Field(1.0, ge=0, description="Weight of setting and time of day.")
    sprite_temperature: float = Field(0.07, gt=0, description="Temperature of the softmax over the library's sprites.")
    go_back: float = Field(
        0.0, ge=0, lt=1, description="Share of the way by which the trained weights go back to those of `--start`."
    )
    evaluate_every: int = Field(100, gt=0, description="Steps between evaluations and saves.")


def train(
    data: Path,
    out: Path,
    hearing: QueryTransformer,
    projection: QueryTransformer,
    layout: LayoutPredictor,
    config: PlaceConfig,
) -> None:
    """Train `projection` and `layout` in place; goes on from `out/place.pt` where there is one.

    Args:
        data: folder of the training data.
        out: folder of the training state.
        hearing: the trained projection, which gives the pooled vector; it stays as it is.
        projection: the layout's own.
        layout: the predictor; it reads as many tokens as `projection` has queries.
        config: how long and how fast.
    """
    freeze_cross(projection)
    projection.to_pooled.requires_grad_(False)  # the pooled vector is the other projection's
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in projection.parameters() if p.requires_grad], "lr": config.lr_projection},
            {"params": list(layout.parameters()), "lr": config.lr_layout},
        ],
        betas=(0.9, 0.98),
        weight_decay=config.weight_decay,
    )
    loop = Loop(out / CHECKPOINT, config, {"projection": projection, "layout": layout}, optimizer)
    hearing.to(loop.device).eval()
    rows = list(read_scenes(data))
    targets = Targets.load(data, rows, layout.config.num_slots).to(loop.device)
    frames = FrameSet(*(data / f"frames-{part}" for part in config.parts))
    pooled = _pooled(hearing, frames)
    test = FrameSet(data / "frames-combinations")
    weights = LayoutWeights(
        colours=config.colours,
        place=config.place,
        own_colour=config.own_colour,
        sprite_temperature=config.sprite_temperature,
    )

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        length, chosen = frames.pick(rng, config.batch)
        chosen = chosen[frames.texts[length][chosen] < len(rows)]  # the dictionary's phrases have no scene
        scenes = torch.from_numpy(frames.texts[length][chosen]).to(loop.device)
        batch = hide(torch.from_numpy(frames.frames[length][chosen]).float(), round(config.mask_s * FRAMES_HZ), rng)
        with loop.precision():
            tokens, _ = projection(batch.to(loop.device))
            predicted = layout(tokens, pooled[length][chosen].to(loop.device, torch.float32))
        loss = layout_loss(predicted, targets, scenes, weights)
        return loss, {"loss": loss}

    loop.run(
        step,
        save_every=config.evaluate_every,
        evaluate=lambda: evaluate(hearing, projection, layout, test, rows, targets),
    )


@torch.no_grad()
def go_back(module: torch.nn.Module, before: torch.nn.Module, share: float) -> None:
    """Move trained weights toward those that they went on from, by a share of the way.

    What one training has learned and what the one before had are mostly not in each other's way: the mean of both often
    has more of both than either (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
    """
    for trained, old in zip(module.parameters(), before.parameters(), strict=True):
        trained.lerp_(old.to(trained), share)


@torch.no_grad()
def _pooled(hearing: QueryTransformer, frames: FrameSet, rows: int = 64) -> dict[int, torch.Tensor]:
    """The pooled vectors of all utterances by their length, each `(N, E)` float16."""
    found = {}
    for length, each in frames.frames.items():
        vectors = []
        for first in range(0, len(each), rows):
            batch = torch.from_numpy(each[first : first + rows]).float().to(hearing.device)
            with torch.autocast(hearing.device.type, torch.bfloat16):
                vectors.append(hearing(batch)[1])
        found[length] = torch.cat(vectors).half().cpu()
    return found


@torch.inference_mode()
def evaluate(
    hearing: QueryTransformer,
    projection: QueryTransformer,
    layout: LayoutPredictor,
    frames: FrameSet,
    rows: list[SceneRow],
    targets: Targets,
) -> dict[str, float]:
    """Shares of the scenes of a set that are right, each where the scene tells of it.

    `things`: the sprites are those of the scene, however often; `number`: where there are several of a kind, each thing
    is there as often as told; `count`: as many slots as the scene has; `colour`: where a thing is repainted, each thing
    has its colour; `own_colour`: the same of the other scenes; `setting`, `time`: where they are told.
    """
    device = targets.texts.device
    found: dict[str, list[bool]] = {
        name: [] for name in ("things", "number", "count", "colour", "own_colour", "setting", "time")
    }
    for batch, texts in frames.batches(64):
        heard = batch.to(device)
        predicted: Layout = layout(projection(heard)[0], hearing(heard)[1])
        sprites = (predicted.queries @ targets.sprites.T).argmax(-1).tolist()
        colours, present = predicted.colours.argmax(-1).tolist(), (predicted.presence > 0).tolist()
        settings, times = predicted.settings.argmax(1).tolist(), predicted.times.argmax(1).tolist()
        for n, text in enumerate(texts.tolist()):
            spec, filled = rows[text].spec, int(targets.presence[text].sum())
            shown = [(s, c) for s, c, p in zip(sprites[n], colours[n], present[n], strict=True) if p]
            wanted = list(zip(targets.chosen[text].tolist(), targets.colours[text].tolist(), strict=True))[:filled]
            things = sorted(s for s, _ in shown)
            found["things"].append(set(things) == {s for s, _ in wanted})
            found["count"].append(len(shown) == filled)
            if any(group.count > 1 for group in spec.groups):
                found["number"].append(things == sorted(s for s, _ in wanted))
            painted = any(c for _, c in wanted)
            found["colour" if painted else "own_colour"].append(
                sorted(c for _, c in shown) == sorted(c for _, c in wanted)
            )
            if spec.told_setting:
                found["setting"].append(settings[n] == int(targets.settings[text]))
            if spec.told_time:
                found["time"].append(times[n] == int(targets.times[text]))
    return {name: float(np.mean(right)) for name, right in found.items() if right}
