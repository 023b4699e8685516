"""Judges of pictures: a small network that names what a picture shows, trained on composed scenes alone.

It shares nothing with the model that it judges: no weights, no text teacher, no shared space. One trunk has five heads:
which things there are (each thing's score at every place of the picture, the best place counting), and for a named
thing its colour, its number and where it stands to another, each read at the places where the trunk sees that thing;
and the setting. Blur, noise and shifts in training keep it from judging by the crispness of composed pictures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
from torch import nn
from torch.nn import functional as F

from s2i_core.config import Settings
from s2i_core.errors import ConfigError
from s2i_core.models.recolour import COLOURS
from s2i_core.training import checkpoint
from s2i_core.training.backgrounds import SETTINGS
from s2i_core.training.compose import SpriteBook, render, sample_spec
from s2i_core.training.pictures import single
from s2i_core.training.spec import SceneSpec, split_of

SIZE = 64
COLOUR_NAMES = tuple(COLOURS)
SETTING_NAMES = tuple(SETTINGS)
ASPECTS = ("object", "setting", "colour", "number", "relation")
RELATIONS = ("left", "right", "above", "front")
_MAX_COUNT = 4
_COUNT_WEIGHTS = (0.3, 1.5, 1.5, 1.5)  # most things stand alone
_MAX_GROUPS = 3
_CHUNK = 1000
_NONE = -100  # what cross-entropy ignores


class JudgesConfig(Settings):
    """How much and how long."""

    scenes: int = Field(9_000, gt=0, description="Composed scenes to learn from.")
    tests: int = Field(500, gt=0, description="Composed scenes of unseen combinations to be tested on.")
    steps: int = Field(5000, gt=0, description="Optimizer steps.")
    batch: int = Field(112, gt=1, description="Pictures a step, a third of them single things.")
    lr: float = Field(2e-3, gt=0, description="Learning rate.")
    save_every: int = Field(100, gt=0, description="Steps between saves.")
    seed: int = Field(7, ge=0, description="Decides everything.")


@dataclass(frozen=True)
class Labels:
    """What scenes show; `_NONE` where there is nothing to say.

    Attributes:
        concepts: of up to three groups `(B, 3)`, places in the judge's list.
        colours, counts: of each group `(B, 3)`.
        setting: `(B,)`.
        relation: of the first group to the second `(B,)`.
    """

    concepts: NDArray[np.int64]
    colours: NDArray[np.int64]
    counts: NDArray[np.int64]
    setting: NDArray[np.int64]
    relation: NDArray[np.int64]


class Judge(nn.Module):
    """Pictures `(B, 3, 64, 64)` in -1 to 1 to what they show.

    Args:
        concepts: how many things it knows.
        width: of the features.
    """

    def __init__(self, concepts: int, width: int = 128) -> None:
        super().__init__()
        self.width = width
        self.trunk = nn.Sequential(
            _convolution(3, 24), _convolution(24, 56), _Block(56), _convolution(56, width), _Block(width), _Block(width)
        )
        self.things = nn.Embedding(concepts, width)
        nn.init.normal_(self.things.weight, std=width**-0.5)
        self.bias = nn.Parameter(torch.zeros(concepts))
        local = 2 * width + 5
        self.colour = _head(local, len(COLOUR_NAMES))
        self.count = _head(local, _MAX_COUNT)
        self.relation = _head(2 * local, len(RELATIONS))
        self.setting = _head(2 * width, len(SETTING_NAMES))

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """The map of features `(B, D, 8, 8)`."""
        features: torch.Tensor = self.trunk(pictures)
        return features.float()

    def summary(self, features: torch.Tensor) -> torch.Tensor:
        """One vector a picture `(B, 2 D)`: mean and maximum over its places."""
        return torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)

    def present(self, features: torch.Tensor) -> torch.Tensor:
        """Logits of what there is `(B, concepts)`."""
        scores = torch.einsum("bdhw,cd->bchw", features, self.things.weight).flatten(2)
        return torch.logsumexp(scores, dim=2) + self.bias

    def around(self, features: torch.Tensor, concepts: torch.Tensor) -> torch.Tensor:
        """What is seen where the named things `(B,)` are: `(B, 2 D + 5)`, with their place and extent."""
        height, width = features.shape[2:]
        score = torch.einsum("bdhw,bd->bhw", features, self.things(concepts)).flatten(1)
        where = score.softmax(1)
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        places = torch.stack([x.flatten(), y.flatten()], dim=1).to(features)
        centre = where @ places
        spread = (where @ places**2 - centre**2).clamp(min=0)
        local = torch.einsum("bdn,bn->bd", features.flatten(2), where)
        amount = torch.sigmoid(score - score.detach().mean(1, keepdim=True)).sum(1, keepdim=True) / 8
        return torch.cat([local, features.mean((2, 3)), centre, spread, amount], dim=1)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_convolution(width, width, 1), nn.Conv2d(width, width, 3, padding=1, bias=False))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.norm(self.inner(x)))


def _convolution(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, 192), nn.GELU(), nn.Linear(192, outputs))


def label(specs: Sequence[SceneSpec], book: SpriteBook, concepts: Sequence[str]) -> Labels:
    """What the specs say; a thing's own colour counts where it has a single one."""
    place = {concept: n for n, concept in enumerate(concepts)}
    shape = (len(specs), _MAX_GROUPS)
    found = Labels(*(np.full(shape, _NONE) for _ in range(3)), *(np.full(len(specs), _NONE) for _ in range(2)))
    for row, spec in enumerate(specs):
        for n, group in enumerate(spec.groups[:_MAX_GROUPS]):
            found.concepts[row, n] = place[group.concept]
            found.counts[row, n] = group.count - 1
            paint = book.painter.paint_of(group.sprite)
            if colour := group.colour or (paint.colour if paint else None):
                found.colours[row, n] = COLOUR_NAMES.index(colour)
        found.setting[row] = SETTING_NAMES.index(spec.setting)
        if len(spec.groups) == 2 and spec.relation in RELATIONS:
            found.relation[row] = RELATIONS.index(spec.relation)
    return found


def as_input(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """Pictures `(B, S, S, 3)` of any size as the judge sees them `(B, 3, 64, 64)`, in -1 to 1."""
    x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    if x.shape[-1] != SIZE:
        x = F.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
    return x


class Judges:
    """A trained judge with its list of things.

    Args:
        network: the judge.
        concepts: the things it knows, in its order.
    """

    def __init__(self, network: Judge, concepts: Sequence[str]) -> None:
        self.network = network.eval()
        self.concepts = tuple(concepts)

    @classmethod
    def load(cls, folder: Path) -> Judges:
        """The judge that `train` left in a folder.

        Raises:
            ConfigError: there is none.
        """
        path = folder / "judge.safetensors"
        if not path.exists():
            raise ConfigError(str(path), "no judge is trained", "Run `python -m s2i_core.evaluation judges` first.")
        concepts = json.loads((folder / "concepts.json").read_text(encoding="utf-8"))
        network = Judge(len(concepts))
        network.load_state_dict(load_tensors(path))
        return cls(network, concepts)

    @torch.inference_mode()
    def features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One vector a picture `(B, 2 D)`, the space of FID and its like."""
        some = [self.network.summary(self.network.features(x)) for x in torch.split(as_input(pictures), 64)]
        return np.asarray(torch.cat(some).numpy(), dtype=np.float32)

    @torch.inference_mode()
    def right(self, pictures: NDArray[np.uint8], specs: Sequence[SceneSpec], book: SpriteBook) -> dict[str, list[bool]]:
        """For each picture whether it shows what its spec tells; only the scenes that tell of it are in a list.

        object: as many of the most likely things as the scene names are exactly those; colour, number, relation: of the
        things that the scene names; setting: where it is named.
        """
        labels = label(specs, book, self.concepts)
        features = torch.cat([self.network.features(x) for x in torch.split(as_input(pictures), 64)])
        present = self.network.present(features)
        found: dict[str, list[bool]] = {name: [] for name in ASPECTS}
        settings = self.network.setting(self.network.summary(features)).argmax(1).tolist()
        for row, spec in enumerate(specs):
            named = labels.concepts[row][labels.concepts[row] != _NONE]
            found["object"].append(set(present[row].topk(len(named)).indices.tolist()) == set(named.tolist()))
            one = features[row : row + 1]
            around = [self.network.around(one, torch.tensor([concept])) for concept in named]
            if spec.told_setting:
                found["setting"].append(settings[row] == labels.setting[row])
            for n, group in enumerate(spec.groups[:_MAX_GROUPS]):
                if group.colour:
                    found["colour"].append(int(self.network.colour(around[n]).argmax()) == labels.colours[row, n])
                if group.count > 1:
                    found["number"].append(int(self.network.count(around[n]).argmax()) == labels.counts[row, n])
            if labels.relation[row] != _NONE:
                guess = int(self.network.relation(torch.cat(around[:2], dim=1)).argmax())
                found["relation"].append(guess == labels.relation[row])
        return found


def train(folder: Path, book: SpriteBook, config: JudgesConfig, tell: Callable[[str], None] = lambda _: None) -> Judges:
    """Train the judge in `folder`; goes on where it was cut off, and returns at once where it is trained."""
    if (folder / "judge.safetensors").exists():
        return Judges.load(folder)
    folder.mkdir(parents=True, exist_ok=True)
    concepts = book.library.concepts
    specs, pictures = _scenes(folder, book, config, tell)
    labels = label(specs, book, concepts)
    torch.manual_seed(config.seed)
    judge = Judge(len(concepts)).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(judge.parameters(), lr=config.lr, weight_decay=0.02)
    start = checkpoint.resume(folder / "judge.pt", {"judge": judge}, optimizer)
    place = {concept: n for n, concept in enumerate(concepts)}
    singles = config.batch // 3
    for step in range(start, config.steps):
        rng = np.random.default_rng([config.seed, step])
        rows = rng.choice(len(specs), config.batch - singles, replace=False)
        alone = rng.integers(len(book.library), size=singles)
        things = np.array([place[book.library.infos[i].concept] for i in alone])
        shown = np.stack([single(book.library, book.painter, int(i), SIZE, rng) for i in alone])
        for group in optimizer.param_groups:
            group["lr"] = config.lr * checkpoint.cosine(step, config.steps, 50)
        x = _disturb(as_input(np.concatenate([pictures[rows], shown])), rng).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            features = judge.features(x)
        loss = _loss(judge, features, labels, rows, torch.from_numpy(things))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(judge.parameters(), 2.0)
        optimizer.step()
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            checkpoint.save(folder / "judge.pt", step + 1, {"judge": judge}, optimizer)
            tell(f"judge: step {step + 1} of {config.steps}, loss {loss.item():.2f}")
    save_tensors({k: v.contiguous() for k, v in judge.state_dict().items()}, folder / "judge.safetensors")
    (folder / "concepts.json").write_text(json.dumps(concepts), encoding="utf-8")
    return Judges.load(folder)


def test_scenes(book: SpriteBook, count: int, seed: int) -> list[SceneSpec]:
    """Scenes of combinations that the model's training never shows, other ones than those of the test set."""
    rng = np.random.default_rng([seed, 1])
    found: list[SceneSpec] = []
    while len(found) < count:
        spec = sample_spec(rng, book)
        if split_of(spec) == "test":
            found.append(spec)
    return found


def _scenes(
    folder: Path, book: SpriteBook, config: JudgesConfig, tell: Callable[[str], None]
) -> tuple[list[SceneSpec], NDArray[np.uint8]]:
    """Scenes of any combination with their pictures `(N, 64, 64, 3)`; made once, a thousand at a time."""
    kept = folder / "scenes.jsonl"
    if not kept.exists():
        rng = np.random.default_rng([config.seed, 0])
        lines = [sample_spec(rng, book).to_json() for _ in range(config.scenes)]
        kept.write_text("\n".join(lines), encoding="utf-8")
    specs = [SceneSpec.from_json(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    pieces = []
    for first in range(0, len(specs), _CHUNK):
        path = folder / f"scenes-{first:05d}.safetensors"
        if not path.exists():
            tell(f"judge: scenes from {first} of {len(specs)}")
            pictures = np.stack([render(spec, book, SIZE)[0] for spec in specs[first : first + _CHUNK]])
            save_file({"pictures": pictures}, path)
        pieces.append(load_file(path)["pictures"])
    return specs, np.concatenate(pieces)


def _disturb(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Shifted, blurred, noisy and of other contrast, one way for a batch and by chance a row."""
    x = torch.roll(x, tuple(rng.integers(-2, 3, 2).tolist()), dims=(2, 3))
    small = F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)
    blurred = F.interpolate(small, (SIZE, SIZE), mode="bilinear")
    share = torch.from_numpy(rng.uniform(0, 1, (len(x), 1, 1, 1)) * (rng.random((len(x), 1, 1, 1)) < 0.5)).float()
    x = x + (blurred - x) * share
    x = x * torch.from_numpy(rng.uniform(0.85, 1.1, (len(x), 1, 1, 1))).float()
    return x + torch.randn_like(x) * torch.from_numpy(rng.uniform(0, 0.06, (len(x), 1, 1, 1))).float()


def _loss(
    judge: Judge, features: torch.Tensor, labels: Labels, rows: NDArray[np.int64], alone: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of every head, where the scenes tell of it; the last rows are single things."""
    scenes = features[: len(rows)]
    concepts = torch.from_numpy(labels.concepts[rows])
    known = concepts != _NONE
    wanted = torch.zeros(len(features), judge.things.num_embeddings)
    at, _ = known.nonzero(as_tuple=True)
    wanted[at, concepts[known]] = 1
    wanted[torch.arange(len(rows), len(features)), alone] = 1
    wanted = wanted / wanted.sum(1, keepdim=True)
    loss = F.cross_entropy(judge.present(features), wanted)
    group_rows, group_places = known.nonzero(as_tuple=True)
    around = judge.around(scenes[group_rows], concepts[known])
    heads = ((judge.colour, labels.colours, None), (judge.count, labels.counts, torch.tensor(_COUNT_WEIGHTS)))
    for head, target, weights in heads:
        truth = torch.from_numpy(target[rows])[group_rows, group_places]
        loss = loss + F.cross_entropy(head(around), truth, weights, ignore_index=_NONE)
    loss = loss + F.cross_entropy(judge.setting(judge.summary(scenes)), torch.from_numpy(labels.setting[rows]))
    related = torch.from_numpy(np.flatnonzero(labels.relation[rows] != _NONE))
    if len(related):
        pair = [judge.around(scenes[related], concepts[related, n]) for n in (0, 1)]
        loss = loss + F.cross_entropy(
            judge.relation(torch.cat(pair, dim=1)), torch.from_numpy(labels.relation[rows])[related]
        )
    return loss
