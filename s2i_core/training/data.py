"""The training data of one model, built by one command: library, scenes, speech, frames, teacher's vectors.

    data/
      library/             the sprites, as they ship with the model
      scenes.jsonl         one composed scene a line: spec, split, plain caption
      speech-<split>/      spoken wordings of the scenes; `talk`: ordinary sentences that name one thing
      frames-<split>/      what the speech encoder makes of them, at 25 Hz, float16
      teacher.safetensors  the text teacher's vectors of the plain captions and of the concepts' names

Splits: `train` speaks with training voices of training combinations; `voices` has voices that training never hears;
`combinations` has things that training never shows together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from rich.progress import track
from safetensors.numpy import load_file, save_file

from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.config import Settings
from s2i_core.errors import ConfigError
from s2i_core.models.library import SpriteLibrary
from s2i_core.models.projection import QueryTransformer
from s2i_core.models.speech_encoder import SpeechEncoder
from s2i_core.training.augment import Augmentation
from s2i_core.training.compose import SpriteBook, bare_spec, captions, sample_spec
from s2i_core.training.sources import images, voices
from s2i_core.training.spec import SceneSpec, split_of
from s2i_core.training.speech_set import SpeechSet, Utterance, build_speech_set
from s2i_core.training.talk import sentence
from s2i_core.training.teacher import TextTeacher, plain_caption

Split = Literal["train", "voices", "combinations"]
SPLITS: tuple[Split, ...] = ("train", "voices", "combinations")
_MAX_SPEECH_S = 13.0


class DataConfig(Settings):
    """How much of what."""

    styles: tuple[str, ...] = Field(("3d",), description="Styles of illustration; the library holds them all.")
    scenes: int = Field(12_000, gt=0, description="Composed scenes of the training split.")
    bare: int = Field(12, ge=0, description="Further utterances of every concept alone, in its several wordings.")
    talk: int = Field(8, ge=0, description="Sentences of ordinary talk about every concept.")
    wordings: int = Field(1, gt=0, description="Spoken wordings of every composed scene.")
    tests: int = Field(400, gt=0, description="Scenes of each test split.")
    neural: float = Field(0.0, ge=0, le=1, description="Share of training utterances in neural voices (slow to make).")
    seed: int = Field(0, ge=0, description="Decides everything.")
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True)
class SceneRow:
    """A composed scene."""

    spec: SceneSpec
    split: Split
    caption: str


def build(folder: Path, config: DataConfig, encoder: SpeechEncoder) -> None:
    """Build what is missing in `folder`; parts that exist are kept, so a build that was cut off goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    library_folder = folder / "library"
    if not (library_folder / "sprites.json").exists():
        images.library(images.load(config.styles)).save(library_folder)
    book = SpriteBook(SpriteLibrary.load(library_folder))
    _build_scenes(folder, config, book)
    rows = list(read_scenes(folder))
    for split in SPLITS:
        utterances = _utterances(rows, split, config, book)
        speech = build_speech_set(
            utterances,
            folder / f"speech-{split}",
            augmentation=config.augmentation if split == "train" else None,
            seed=config.seed,
        )
        _build_frames(folder / f"frames-{split}", speech, encoder)
    talk = build_speech_set(
        _talk(config, book), folder / "speech-talk", augmentation=config.augmentation, seed=config.seed + 1
    )
    _build_frames(folder / "frames-talk", talk, encoder)
    _build_teacher(folder, rows, book)


def _build_scenes(folder: Path, config: DataConfig, book: SpriteBook) -> None:
    path = folder / "scenes.jsonl"
    if path.exists():
        return
    lines: list[str] = []

    def add(spec: SceneSpec, split: Split) -> None:
        row = {"spec": json.loads(spec.to_json()), "split": split, "caption": plain_caption(spec, book.vocabulary)}
        lines.append(json.dumps(row))

    rng = np.random.default_rng(config.seed)
    for sprite in range(len(book.library)) if config.bare else ():
        add(bare_spec(rng, book, sprite), "train")
    for split, wanted, count in (("train", "train", config.scenes), ("combinations", "test", config.tests)):
        made = 0
        while made < count:
            spec = sample_spec(rng, book)
            if split_of(spec) == wanted:
                add(spec, split)  # type: ignore[arg-type]
                made += 1
    for sprite in rng.choice(len(book.library), config.tests, replace=True):
        add(bare_spec(rng, book, int(sprite)), "voices")
    temporary = path.with_suffix(".part")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.rename(path)


def read_scenes(folder: Path) -> Iterator[SceneRow]:
    """The scenes of a data folder, in the order of their text ids."""
    with (folder / "scenes.jsonl").open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield SceneRow(SceneSpec.from_json(json.dumps(row["spec"])), row["split"], row["caption"])


def _utterances(rows: list[SceneRow], split: Split, config: DataConfig, book: SpriteBook) -> list[Utterance]:
    rng = np.random.default_rng([config.seed, SPLITS.index(split)])
    chosen: list[Utterance] = []
    for text_id, row in enumerate(rows):
        if row.split != split:
            continue
        is_bare = split == "train" and text_id < len(book.library) and config.bare
        count = config.bare if is_bare else config.wordings if split == "train" else 1
        wordings = captions(row.spec, book, rng, max(count, 1))
        for n in range(count):
            chosen.append(_say(text_id, wordings[n % len(wordings)], split, config, rng))
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def _talk(config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """Ordinary sentences about every sprite; their scenes are the first ones, where each stands alone."""
    rng = np.random.default_rng([config.seed, len(SPLITS)])
    chosen = []
    for sprite in range(len(book.library)) if config.bare else ():
        names = book.concept(sprite).names
        for n in range(config.talk):
            chosen.append(_say(sprite, sentence(names[n % 2 * (n // 2) % len(names)], rng), "train", config, rng))
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def _say(text_id: int, text: str, split: Split, config: DataConfig, rng: np.random.Generator) -> Utterance:
    if split == "train":
        pool = voices.KOKORO_TRAIN if rng.random() < config.neural else voices.ESPEAK_TRAIN
        prefix = "kokoro" if pool is voices.KOKORO_TRAIN else "espeak"
        return Utterance(
            text_id,
            text,
            f"{prefix}:{pool[int(rng.integers(len(pool)))]}",
            speed=float(rng.uniform(0.8, 1.3)),
            pitch=float(rng.uniform(0.3, 0.7)),
        )
    return Utterance(text_id, text, f"espeak:{voices.ESPEAK_TEST[int(rng.integers(len(voices.ESPEAK_TEST)))]}")


@torch.inference_mode()
def _build_frames(folder: Path, speech: SpeechSet, encoder: SpeechEncoder, batch: int = 16) -> None:
    """Frames at 25 Hz of a speech set, shard by shard, grouped by length within a shard."""
    folder.mkdir(parents=True, exist_ok=True)
    shard_rows = 1000
    for start in track(range(0, len(speech), shard_rows), description=folder.name):
        path = folder / f"shard-{start:07d}.safetensors"
        if path.exists():
            continue
        by_length: dict[int, list[tuple[int, NDArray[np.float16]]]] = {}
        for place in range(start, min(start + shard_rows, len(speech))):
            waveform, text_id, _ = speech[place]
            if len(waveform) / SAMPLING_RATE_HZ <= _MAX_SPEECH_S:
                features = log_mel(waveform)
                by_length.setdefault(features.shape[1], []).append((text_id, features))
        arrays: dict[str, NDArray[np.generic]] = {}
        for length, items in sorted(by_length.items()):
            pieces = []
            for first in range(0, len(items), batch):
                mels = torch.from_numpy(np.stack([f for _, f in items[first : first + batch]])).float()
                with torch.autocast("cpu", torch.bfloat16):
                    pieces.append(QueryTransformer.thin(encoder(mels)).half().numpy())
            arrays[f"frames_{length}"] = np.concatenate(pieces)
            arrays[f"texts_{length}"] = np.array([text for text, _ in items], dtype=np.int64)
        temporary = path.with_suffix(".part")
        save_file(arrays, temporary)
        temporary.rename(path)


def _build_teacher(folder: Path, rows: list[SceneRow], book: SpriteBook) -> None:
    path = folder / "teacher.safetensors"
    if path.exists():
        return
    teacher = TextTeacher()
    names = [book.concept(sprite).names[0].indefinite() for sprite in range(len(book.library))]
    save_file({"scenes": teacher([row.caption for row in rows]), "sprites": teacher(names)}, path)


class FrameSet:
    """The frames of one or more speech sets in memory, grouped by their length.

    Attributes:
        frames: for each length, `(N, T, D)` float16.
        texts: for each length, the scene of each row `(N,)`.
    """

    def __init__(self, *folders: Path) -> None:
        shards = [path for folder in folders for path in sorted(folder.glob("shard-*.safetensors"))]
        if not shards:
            raise ConfigError(
                str(folders[0]), "there are no frames", "Build the data first: python -m s2i_core.training data."
            )
        loaded = [load_file(path) for path in shards]
        lengths = sorted({int(name.split("_")[1]) for shard in loaded for name in shard if name.startswith("frames")})
        self.frames: dict[int, NDArray[np.float16]] = {}
        self.texts: dict[int, NDArray[np.int64]] = {}
        for n in lengths:
            self.frames[n] = np.concatenate([shard[f"frames_{n}"] for shard in loaded if f"frames_{n}" in shard])
            self.texts[n] = np.concatenate([shard[f"texts_{n}"] for shard in loaded if f"texts_{n}" in shard])

    def __len__(self) -> int:
        return sum(len(texts) for texts in self.texts.values())

    def batch(self, rng: np.random.Generator, size: int) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """A random batch of one length `(size, T, D)` float32 with its scenes; lengths as frequent as their rows."""
        lengths = list(self.texts)
        share = np.array([len(self.texts[n]) for n in lengths], dtype=np.float64)
        length = lengths[int(rng.choice(len(lengths), p=share / share.sum()))]
        rows = rng.choice(len(self.texts[length]), min(size, len(self.texts[length])), replace=False)
        return torch.from_numpy(self.frames[length][rows]).float(), self.texts[length][rows]

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, NDArray[np.int64]]]:
        """All rows, once."""
        for length, texts in self.texts.items():
            for start in range(0, len(texts), size):
                frames = torch.from_numpy(self.frames[length][start : start + size]).float()
                yield frames, texts[start : start + size]
