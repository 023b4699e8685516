"""Train the image encoder: pictures to the text teacher's vectors, so that they meet speech in one space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load_file
from torch.nn import functional as F

from s2i_core.config import Settings
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.models.library import RGBA, SpriteLibrary
from s2i_core.models.reference import Slot, SpritePainter
from s2i_core.training import checkpoint
from s2i_core.training.align import contrastive_loss
from s2i_core.training.compose import SpriteBook, render
from s2i_core.training.data import SceneRow, read_scenes
from s2i_core.training.devices import World, precision

CHECKPOINT = "pictures.pt"


class PicturesConfig(Settings):
    """How long and how fast."""

    steps: int = Field(1300, gt=0, description="Optimizer steps.")
    batch: int = Field(80, gt=1, description="Pictures a step and process, half of them single sprites.")
    lr: float = Field(1.5e-3, gt=0, description="Learning rate.")
    warmup: int = Field(50, ge=1, description="Steps of linear warm-up.")
    temperature: float = Field(0.05, gt=0, description="Of the contrastive loss.")
    head_scenes: int = Field(3000, ge=0, description="Composed scenes in the closed-form fit of the last layer.")
    head_white: float = Field(8.0, gt=0, description="Weight of a sprite on white in that fit.")
    head_ridge: float = Field(1.0, gt=0, description="Its ridge penalty.")
    evaluate_every: int = Field(150, gt=0, description="Steps between evaluations and saves.")
    dtype: str = Field("bfloat16", description="Of the autocast; `float32` turns it off.")
    device: str = Field("cpu", description="Where to train.")
    seed: int = Field(0, ge=0, description="Of the batches.")


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


def train(data: Path, out: Path, config: PicturesConfig, encoder: ImageEncoder | None = None) -> ImageEncoder:
    """Train and return the encoder; goes on from `out/pictures.pt` where there is one."""
    world = World.join(config.device)
    torch.manual_seed(config.seed)
    encoder = (encoder or ImageEncoder()).to(world.device).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=0.05)
    start = checkpoint.resume(out / CHECKPOINT, {"encoder": encoder}, optimizer)
    book = SpriteBook(SpriteLibrary.load(data / "library"))
    teacher = {name: torch.from_numpy(array) for name, array in load_file(data / "teacher.safetensors").items()}
    rows = list(read_scenes(data))
    scenes = np.array([i for i, row in enumerate(rows) if row.split == "train"])
    log = checkpoint.Log(out, "pictures", speaks=world.leads)
    size = encoder.config.size_px
    for step in range(start, config.steps):
        rng = world.rng(config.seed, step)
        alone = rng.choice(len(book.library), config.batch // 2, replace=False)
        composed = rng.choice(scenes, config.batch - len(alone), replace=False)
        pictures = [single(book.library, book.painter, int(i), size, rng) for i in alone]
        pictures += [render(rows[i].spec, book, size)[0] for i in composed]
        targets = torch.cat([teacher["sprites"][alone], teacher["scenes"][composed]]).to(world.device)
        for group in optimizer.param_groups:
            group["lr"] = config.lr * checkpoint.cosine(step, config.steps, config.warmup)
        with precision(world.device, config.dtype):
            vectors = encoder(as_tensor(np.stack(pictures)).to(world.device))
        # Every sprite's name is a candidate for every single sprite: more negatives than a batch holds.
        choice = F.cross_entropy(
            vectors[: len(alone)] @ teacher["sprites"].T.to(world.device) / config.temperature,
            torch.from_numpy(alone).to(world.device),
        )
        loss = contrastive_loss(vectors, targets, config.temperature) + choice
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        world.average_gradients(encoder.parameters())
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            log(step, loss=loss.item(), choice=choice.item())
        if world.leads and ((step + 1) % config.evaluate_every == 0 or step + 1 == config.steps):
            checkpoint.save(out / CHECKPOINT, step + 1, {"encoder": encoder}, optimizer)
            log(step + 1, **_evaluate(encoder, book, teacher, rows))
    world.wait()
    return encoder.eval()


@torch.inference_mode()
def fit_head(encoder: ImageEncoder, data: Path, config: PicturesConfig) -> None:
    """Fit the last layer in closed form: ridge regression from the pooled features to the teacher's vectors.

    Gradient steps with a contrastive loss order the pictures and leave their vectors far from the teacher's; the
    regression brings them to where speech points. Every sprite counts on white, as the library embeds it, and on other
    grounds; composed scenes keep the head from learning single sprites only.
    """
    encoder.eval()
    book = SpriteBook(SpriteLibrary.load(data / "library"))
    teacher = load_file(data / "teacher.safetensors")
    rows = list(read_scenes(data))
    rng = np.random.default_rng(config.seed)
    size = encoder.config.size_px
    scenes = rng.permutation([i for i, row in enumerate(rows) if row.split == "train"])[: config.head_scenes]
    pictures: list[tuple[RGBA, NDArray[np.float32], float]] = []
    for sprite in range(len(book.library)):
        target = teacher["sprites"][sprite]
        pictures.append((on_white(book.library.rgba(sprite)), target, config.head_white))
        pictures += [(single(book.library, book.painter, sprite, size, rng), target, 1.0) for _ in range(2)]
    pictures += [(render(rows[i].spec, book, size)[0], teacher["scenes"][i], 1.0) for i in scenes]
    features, targets, weights = [], [], []
    for start in range(0, len(pictures), 128):
        some = pictures[start : start + 128]
        resized = [encoder.resize(as_tensor(picture[None])) for picture, _, _ in some]
        features.append(encoder.features(torch.cat(resized).to(encoder.device)).double().cpu())
        targets.append(torch.from_numpy(np.stack([target for _, target, _ in some])).double())
        weights += [weight for _, _, weight in some]
    x, y, w = torch.cat(features), torch.cat(targets), torch.tensor(weights, dtype=torch.float64)[:, None]
    x = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
    gram = x.T @ (w * x) + config.head_ridge * torch.eye(x.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(gram, x.T @ (w * y))
    encoder.head.weight.copy_(solution[:-1].T)
    encoder.head.bias.copy_(solution[-1])


@torch.inference_mode()
def _evaluate(
    encoder: ImageEncoder, book: SpriteBook, teacher: dict[str, torch.Tensor], rows: list[SceneRow]
) -> dict[str, float]:
    """Whether the library's own sprites, and scenes of unseen combinations, are nearest to what they show."""
    encoder.eval()
    size, rng = encoder.config.size_px, np.random.default_rng(0)
    some = rng.choice(len(book.library), min(200, len(book.library)), replace=False)
    pictures = np.stack([single(book.library, book.painter, int(i), size, rng) for i in some])
    vectors = encoder(as_tensor(pictures).to(encoder.device)).cpu()
    sprites = (vectors @ teacher["sprites"].T).argmax(1).numpy() == some
    unseen = [i for i, row in enumerate(rows) if row.split == "combinations"][:200]
    pictures = np.stack([render(rows[i].spec, book, size)[0] for i in unseen])
    logits = encoder(as_tensor(pictures).to(encoder.device)).cpu() @ teacher["scenes"][unseen].T
    encoder.train()
    return {
        "sprite_r1": float(sprites.mean()),
        "scene_r1": float((logits.argmax(1) == torch.arange(len(unseen))).float().mean()),
    }


def as_tensor(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """`(B, H, W, 3)` uint8 to `(B, 3, H, W)` in -1 to 1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
