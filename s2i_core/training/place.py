"""Train the layout predictor alone, on the tokens of a projection that stays as it is.

Beside the contrast the layout's losses weigh little in `align`, and what is rare, colours first, is learnt last. On
tokens that are computed once a step costs a fraction. Some scenes are held out, and the predictor that does best on
them is kept: some thousand scenes are soon known by heart.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from s2i_core.config import Settings
from s2i_core.models.layout import LayoutPredictor
from s2i_core.models.projection import QueryTransformer
from s2i_core.training import checkpoint
from s2i_core.training.align import Targets, layout_loss
from s2i_core.training.data import FrameSet, SceneRow, read_scenes
from s2i_core.training.devices import World, precision
from s2i_core.training.diffuse import condition

CHECKPOINT = "place.pt"
_PARTS = ("train", "talk", "natural")


class PlaceConfig(Settings):
    """How long and how fast."""

    steps: int = Field(450, gt=0, description="Optimizer steps.")
    batch: int = Field(256, gt=1, description="Utterances a step and process.")
    lr: float = Field(3e-4, gt=0, description="Learning rate.")
    warmup: int = Field(100, ge=1, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.1, ge=0, description="Of AdamW.")
    noise: float = Field(0.6, ge=0, description="Noise on the tokens, in their standard deviations.")
    sprite_temperature: float = Field(0.07, gt=0, description="Of the choice among the library's sprites.")
    own_colour: float = Field(
        0.3, gt=0, description="Weight of slots that keep their own colour, in the colours' loss."
    )
    composed: float = Field(0.75, ge=0, le=1, description="Share of composed scenes among the utterances of a step.")
    held_out: float = Field(0.05, gt=0, lt=1, description="Share of the scenes that training does not see.")
    evaluate_every: int = Field(50, gt=0, description="Steps between evaluations and saves.")
    dtype: str = Field("float32", description="Of the autocast; `float32` turns it off.")
    device: str = Field("cpu", description="Where to train.")
    seed: int = Field(0, ge=0, description="Of the batches.")


def train(
    data: Path, out: Path, projection: QueryTransformer, layout: LayoutPredictor, config: PlaceConfig
) -> LayoutPredictor:
    """Train in place, and return the layout predictor that did best; goes on from `out/place.pt` where there is one."""
    world = World.join(config.device)
    torch.manual_seed(config.seed)
    layout = layout.to(world.device).train()
    best = LayoutPredictor.from_config(layout.config).to(world.device)
    best.load_state_dict(layout.state_dict())
    record = torch.nn.ParameterDict({"loss": torch.nn.Parameter(torch.tensor(float("inf")), requires_grad=False)})
    modules: dict[str, torch.nn.Module] = {"layout": layout, "best": best, "record": record}
    optimizer = torch.optim.AdamW(
        layout.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay
    )
    start = checkpoint.resume(out / CHECKPOINT, modules, optimizer)
    rows = list(read_scenes(data))
    targets = Targets.load(data, rows, layout.config.num_slots).to(world.device)
    tokens, pooled, texts = condition(
        projection.to(world.device), FrameSet(*(data / f"frames-{part}" for part in _PARTS))
    )
    spread = tokens.float().std()
    plain, composed, held = _shares(texts, rows, config)
    log = checkpoint.Log(out, "place", speaks=world.leads)
    for step in range(start, config.steps):
        rng = world.rng(config.seed, step)
        many = round(config.composed * config.batch) if len(plain) else config.batch
        chosen = np.concatenate([rng.choice(composed, many), rng.choice(plain, config.batch - many)])
        noise_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
        noise = torch.randn(len(chosen), *tokens.shape[1:], generator=noise_rng)
        heard = tokens[chosen].float() + config.noise * spread * noise
        for group in optimizer.param_groups:
            group["lr"] = config.lr * checkpoint.cosine(step, config.steps, config.warmup)
        with precision(world.device, config.dtype):
            predicted = layout(heard.to(world.device), pooled[chosen].float().to(world.device))
        scenes = torch.from_numpy(texts[chosen]).to(world.device)
        loss = layout_loss(predicted, targets, scenes, config.sprite_temperature, config.own_colour)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        world.average_gradients(layout.parameters())
        torch.nn.utils.clip_grad_norm_(layout.parameters(), 1.0)
        optimizer.step()
        if world.leads and ((step + 1) % config.evaluate_every == 0 or step + 1 == config.steps):
            found = evaluate(layout, tokens[held], pooled[held], texts[held], targets, config)
            if found["loss"] < record["loss"]:
                best.load_state_dict(layout.state_dict())
                record["loss"].fill_(found["loss"])
            checkpoint.save(out / CHECKPOINT, step + 1, modules, optimizer)
            log(step + 1, train=loss.item(), **found)
    world.wait()
    return best.eval()


def _shares(
    texts: NDArray[np.int64], rows: list[SceneRow], config: PlaceConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Places of utterances about a thing alone, of composed scenes, and of composed scenes that are held out."""
    told = np.array([len(row.spec.slots) > 1 or row.spec.told_setting or _coloured(row) for row in rows])
    rng = np.random.default_rng([config.seed, 1])
    kept = told & (rng.random(len(rows)) < config.held_out)
    places = np.arange(len(texts))
    return places[~told[texts]], places[told[texts] & ~kept[texts]], places[kept[texts]]


def _coloured(row: SceneRow) -> bool:
    return any(slot.colour for slot in row.spec.slots)


@torch.inference_mode()
def evaluate(
    layout: LayoutPredictor,
    tokens: torch.Tensor,
    pooled: torch.Tensor,
    texts: NDArray[np.int64],
    targets: Targets,
    config: PlaceConfig,
) -> dict[str, float]:
    """The loss, and the shares of scenes with the right number and place, of slots with the right thing and colour."""
    layout.eval()
    device = targets.texts.device
    scenes = torch.from_numpy(texts).to(device)
    predicted = layout(tokens.float().to(device), pooled.float().to(device))
    filled = targets.presence[scenes].bool()
    colours, wanted = predicted.colours[filled].argmax(1), targets.colours[scenes][filled]
    things = (predicted.queries[filled] @ targets.sprites.T).argmax(1) == targets.chosen[scenes][filled]
    layout.train()
    return {
        "loss": float(layout_loss(predicted, targets, scenes, config.sprite_temperature, config.own_colour)),
        "count": float(((predicted.presence > 0).sum(1) == filled.sum(1)).float().mean()),
        "setting": float((predicted.settings.argmax(1) == targets.settings[scenes]).float().mean()),
        "colour": float((colours == wanted)[wanted > 0].float().mean()),
        "own_colour": float((colours == 0)[wanted == 0].float().mean()),
        "thing": float(things.float().mean()),
    }
