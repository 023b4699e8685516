"""Train the projection and the layout predictor: from frames to what was said and where it lies.

The pooled vector learns to be the text teacher's vector of the scene's plain caption, by a contrastive loss (InfoNCE,
van den Oord et al. 2018) in both directions; the layout predictor learns the composer's slots: whether one is filled,
its box, and the sprite in it, as a choice among all sprites of the library.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load_file
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from s2i_core.config import Settings
from s2i_core.models.layout import Layout, LayoutPredictor
from s2i_core.models.projection import QueryTransformer
from s2i_core.training import checkpoint
from s2i_core.training.data import FrameSet, SceneRow, read_scenes

CHECKPOINT = "align.pt"


class AlignConfig(Settings):
    """How long and how fast."""

    steps: int = Field(1600, gt=0, description="Optimizer steps.")
    batch: int = Field(160, gt=1, description="Utterances a step.")
    lr_pretrained: float = Field(2e-4, gt=0, description="Learning rate of the layers that Whisper's decoder gave.")
    lr_new: float = Field(1e-3, gt=0, description="Learning rate of the queries, the heads and the layout predictor.")
    warmup: int = Field(50, ge=1, description="Steps of linear warm-up.")
    temperature: float = Field(0.05, gt=0, description="Of the contrastive loss.")
    sprite_temperature: float = Field(0.07, gt=0, description="Of the choice among the library's sprites.")
    layout_weight: float = Field(0.5, ge=0, description="Weight of the layout's losses.")
    freeze_cross: bool = Field(True, description="Keep keys and values of the pretrained cross-attention as they are.")
    evaluate_every: int = Field(100, gt=0, description="Steps between evaluations and saves.")
    dtype: str = Field("bfloat16", description="Of the autocast; `float32` turns it off.")
    device: str = Field("cpu", description="Where to train.")
    seed: int = Field(0, ge=0, description="Of the batches.")


@dataclass(frozen=True)
class Targets:
    """What the scenes of a data folder should be heard as.

    Attributes:
        scenes: teacher's vectors of the plain captions `(M, E)`.
        sprites: teacher's vectors of the sprites' names `(N, E)`.
        presence: which slots are filled `(M, S)`.
        boxes: their boxes `(M, S, 4)`.
        chosen: their sprites `(M, S)`, 0 where empty.
    """

    scenes: torch.Tensor
    sprites: torch.Tensor
    presence: torch.Tensor
    boxes: torch.Tensor
    chosen: torch.Tensor

    @classmethod
    def load(cls, folder: Path, rows: list[SceneRow], slots: int) -> Targets:
        """Read them."""
        teacher = load_file(folder / "teacher.safetensors")
        presence = np.zeros((len(rows), slots), np.float32)
        boxes = np.zeros((len(rows), slots, 4), np.float32)
        chosen = np.zeros((len(rows), slots), np.int64)
        for i, row in enumerate(rows):
            for j, slot in enumerate(row.spec.slots[:slots]):
                presence[i, j], boxes[i, j], chosen[i, j] = 1, slot.box, slot.sprite
        arrays = (teacher["scenes"], teacher["sprites"], presence, boxes, chosen)
        return cls(*(torch.from_numpy(array) for array in arrays))


def contrastive_loss(speech: torch.Tensor, target: torch.Tensor, temperature: float) -> torch.Tensor:
    """InfoNCE in both directions over a batch of L2-normalised pairs `(B, E)`.

    Pairs whose targets are the same say the same thing: they are no negatives of each other.
    """
    logits = speech @ target.T / temperature
    same = (target @ target.T > 0.98) & ~torch.eye(len(target), dtype=torch.bool, device=target.device)
    logits = logits.masked_fill(same, -1e4)
    labels = torch.arange(len(target), device=target.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def layout_loss(layout: Layout, targets: Targets, texts: torch.Tensor, temperature: float) -> torch.Tensor:
    """Presence, box and sprite of every slot."""
    filled = targets.presence[texts].bool()
    presence = F.binary_cross_entropy_with_logits(layout.presence, targets.presence[texts])
    boxes = F.l1_loss(layout.boxes[filled], targets.boxes[texts][filled])
    logits = layout.queries[filled] @ targets.sprites.T / temperature
    return presence + 5 * boxes + F.cross_entropy(logits, targets.chosen[texts][filled])


def train(data: Path, out: Path, projection: QueryTransformer, config: AlignConfig) -> LayoutPredictor:
    """Train in place and return the layout predictor; goes on from `out/align.pt` where there is one."""
    torch.manual_seed(config.seed)
    shape = projection.config
    layout = LayoutPredictor(token_width=shape.token_width, embedding_width=shape.embedding_width)
    modules: dict[str, torch.nn.Module] = {"projection": projection, "layout": layout}
    if config.freeze_cross:
        for name, parameter in projection.layers.named_parameters():
            parameter.requires_grad_("cross_attention.k" not in name and "cross_attention.v" not in name)
    for module in modules.values():
        module.to(config.device).train()
    pretrained = [p for p in projection.layers.parameters() if p.requires_grad]
    new = [p for n, p in projection.named_parameters() if not n.startswith("layers")] + list(layout.parameters())
    optimizer = torch.optim.AdamW(
        [{"params": pretrained, "lr": config.lr_pretrained}, {"params": new, "lr": config.lr_new}],
        betas=(0.9, 0.98),
        weight_decay=0.05,
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    start = checkpoint.resume(out / CHECKPOINT, modules, optimizer)
    rows = list(read_scenes(data))
    targets = Targets.load(data, rows, layout.config.num_slots)
    frames, test = FrameSet(data / "frames-train", data / "frames-talk"), FrameSet(data / "frames-voices")
    log = checkpoint.Log(out, "align")
    autocast = torch.autocast(config.device, getattr(torch, config.dtype), enabled=config.dtype != "float32")
    # The fused attention's backward pass on the CPU is several times slower than plain arithmetic at these sizes.
    backend = SDPBackend.MATH if config.device == "cpu" else SDPBackend.EFFICIENT_ATTENTION
    for step in range(start, config.steps):
        # A generator a step: a run that was cut off sees the same batches as one that was not.
        batch, texts = frames.batch(np.random.default_rng([config.seed, step]), config.batch)
        texts_t = torch.from_numpy(texts)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * checkpoint.cosine(step, config.steps, config.warmup)
        with autocast, sdpa_kernel(backend):
            tokens, pooled = projection(batch.to(config.device))
            predicted = layout(tokens, pooled)
        contrast = contrastive_loss(pooled, targets.scenes[texts_t], config.temperature)
        placed = layout_loss(predicted, targets, texts_t, config.sprite_temperature)
        loss = contrast + config.layout_weight * placed
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([*pretrained, *new], 1.0)
        if not torch.isfinite(norm):
            log(step, skipped="gradient is not finite")
            continue
        optimizer.step()
        if step % 20 == 0:
            log(step, contrast=contrast.item(), layout=placed.item())
        if (step + 1) % config.evaluate_every == 0 or step + 1 == config.steps:
            checkpoint.save(out / CHECKPOINT, step + 1, modules, optimizer)
            log(step + 1, **evaluate(projection, layout, test, rows, targets))
    for module in modules.values():
        module.eval()
    return layout


@torch.inference_mode()
def evaluate(
    projection: QueryTransformer, layout: LayoutPredictor, frames: FrameSet, rows: list[SceneRow], targets: Targets
) -> dict[str, float]:
    """Retrieval among the library's concepts, by the pooled vector and by the surest slot: recall at 1 and at 5."""
    projection.eval(), layout.eval()
    pooled_ranks: list[NDArray[np.int64]] = []
    slot_hits: list[bool] = []
    counts: list[bool] = []
    for batch, texts in frames.batches(64):
        tokens, pooled = projection(batch)
        predicted = layout(tokens, pooled)
        wanted = torch.tensor([rows[text].spec.slots[0].sprite for text in texts])
        scores = pooled @ targets.sprites.T
        own = scores.gather(1, wanted[:, None])
        pooled_ranks.append((scores > own + 1e-6).sum(1).numpy())
        surest = predicted.presence.argmax(1)
        query = predicted.queries[torch.arange(len(batch)), surest]
        slot_hits += ((query @ targets.sprites.T).argmax(1) == wanted).tolist()
        counts += ((predicted.presence > 0).sum(1) == targets.presence[texts].sum(1)).tolist()
    ranks = np.concatenate(pooled_ranks)
    projection.train(), layout.train()
    return {
        "r1": float((ranks == 0).mean()),
        "r5": float((ranks < 5).mean()),
        "slot_r1": float(np.mean(slot_hits)),
        "count": float(np.mean(counts)),
    }
