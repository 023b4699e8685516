"""The training data of one model, built by one command: library, scenes, speech, frames, teacher's vectors.

    data/
      library/             the sprites of the first style, of which scenes are composed
      styles/              the same things in the other styles, where they are drawn in them
      captioned/           single illustrations of many other things, which no scene is composed of
      scenes.jsonl         one composed scene a line: spec, split, plain caption
      phrases.txt          words, examples and definitions of a dictionary, and remarks, one a line
      speech-<part>/       what is spoken
      frames-<part>/       what the speech encoder makes of it, at 25 Hz, float16
      teacher.safetensors  the text teacher's vectors of the plain captions, of the phrases, and of the concepts' names
      captioned.safetensors  those of the captioned illustrations' titles

A text is known by its number: that of its scene, or, for a phrase, its own after the last scene.

Parts that are trained on: `train`, the scenes, worded by robotic voices and others; `talk`, ordinary sentences that
name one thing; `mentions`, example phrases of the dictionary that do, which only the layout learns from; `passages`,
several sentences of talk in one breath, among remarks that name nothing; `natural`, scenes and talk by voices made
from people's; `phrases`, the dictionary, and remarks alone; `neural`, some of everything by the most natural voices.
Parts to test on: `voices` has voices that training never hears, `combinations` things that it never shows together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from rich.progress import track
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.config import Settings
from s2i_core.errors import ConfigError
from s2i_core.models.library import SpriteLibrary
from s2i_core.models.projection import QueryTransformer
from s2i_core.models.speech_encoder import SpeechEncoder
from s2i_core.training.augment import Augmentation
from s2i_core.training.compose import SpriteBook, bare_spec, captions, sample_spec
from s2i_core.training.mentions import Mentions
from s2i_core.training.sources import captioned, images, voices, wordnet
from s2i_core.training.sources.captions import english
from s2i_core.training.spec import SceneSpec, split_of
from s2i_core.training.speech_set import SpeechSet, Utterance, build_speech_set
from s2i_core.training.talk import passage, remarks, sentence
from s2i_core.training.teacher import WIDTH, TextTeacher, plain_caption

T = TypeVar("T")
Split = Literal["train", "voices", "combinations"]
SPLITS: tuple[Split, ...] = ("train", "voices", "combinations")
TRAIN_PARTS = ("train", "talk", "passages", "natural", "phrases", "neural")
SCENE_PARTS = ("train", "talk", "mentions", "passages", "natural", "neural")
"""Those whose utterances have a scene; what a mention says beyond the thing, its scene does not tell."""
PARTS = ("train", "voices", "combinations", "talk", "mentions", "passages", "natural", "phrases", "neural")
FRAMES_HZ = 25
STYLES_FOLDER = "styles"
CAPTIONED_FOLDER = "captioned"
_CAPTIONED_VECTORS = "captioned.safetensors"
MAX_SPEECH_S = 29.0
_ROBOTIC: Mapping[str, float] = {"espeak": 1.0}
_SEEDS = {"talk": 1, "natural": 2, "phrases": 3, "neural": 4, "passages": 5, "mentions": 6}
_MENTIONING = 39_000
"""How many of the dictionary's example phrases are asked for things; the tests have some of the others."""
_NEURAL_SHARD = 250


class DataConfig(Settings):
    """How much of what."""

    styles: tuple[str, ...] = Field(
        ("3d", "flat", "cartoon", "outline", "sketch", "clipart"),
        description="Styles of illustration; scenes are composed in the first and drawn in all.",
    )
    collections: tuple[str, ...] = Field(
        tuple(captioned.COLLECTIONS),
        description="Sets of captioned illustrations that the image encoder learns beside, in `sources/captioned.py`.",
    )
    scenes: int = Field(30_000, gt=0, description="Composed scenes of the training split.")
    bare: int = Field(12, ge=0, description="Further utterances of every concept alone, in its several wordings.")
    talk: int = Field(8, ge=0, description="Sentences of ordinary talk about every concept.")
    mentions: int = Field(8, ge=0, description="Example phrases of the dictionary that name it, for every concept.")
    passages: int = Field(3, ge=0, description="Passages of two to six sentences about every concept.")
    remarks: int = Field(3_000, ge=0, description="Talk that names nothing to draw, of one to three sentences.")
    wordings: int = Field(1, gt=0, description="Spoken wordings of every composed scene.")
    tests: int = Field(400, gt=0, description="Scenes of each test split.")
    natural: int = Field(
        6, ge=0, description="Further utterances of every concept, alone and in talk, by `natural_voices`."
    )
    words: int = Field(20_000, ge=0, description="Most frequent words of the dictionary.")
    examples: int = Field(16_000, ge=0, description="Example phrases of the dictionary.")
    definitions: int = Field(8_000, ge=0, description="Definitions of the dictionary.")
    neural: int = Field(750, ge=0, description="Utterances of all kinds by neural voices, a second of work each.")
    scene_voices: dict[str, float] = Field(
        {"espeak": 0.65, "flite": 0.25, "piper": 0.1},
        description="Engine of each utterance of the part `train`, by share.",
    )
    natural_voices: dict[str, float] = Field(
        {"flite": 0.5, "piper": 0.5}, description="Engine of each utterance of the part `natural`, by share."
    )
    phrase_voices: dict[str, float] = Field(
        {"espeak": 0.5, "flite": 0.3, "piper": 0.2},
        description="The same for the parts `phrases`, `talk`, `mentions` and `passages`.",
    )
    seed: int = Field(0, ge=0, description="Decides everything.")
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True)
class SceneRow:
    """A composed scene."""

    spec: SceneSpec
    split: Split
    caption: str


def build(
    folder: Path, config: DataConfig, encoder: SpeechEncoder, parts: Sequence[str] = PARTS, workers: int = 1
) -> None:
    """Build what is missing in `folder`; what exists is kept, so a build that was cut off goes on.

    Args:
        folder: of the data.
        config: how much of what.
        encoder: makes the frames.
        parts: what is spoken, some of `PARTS`: several processes may build a part each.
        workers: processes that speak.
    """
    folder.mkdir(parents=True, exist_ok=True)
    library_folder = folder / "library"
    if not (library_folder / "sprites.json").exists():
        images.library(images.load(config.styles[:1])).save(library_folder)
    book = SpriteBook(SpriteLibrary.load(library_folder))
    if len(config.styles) > 1 and not (folder / STYLES_FOLDER / "sprites.json").exists():
        others = images.load(config.styles[1:])
        images.library(one for one in others if book.library.members(one.concept)).save(folder / STYLES_FOLDER)
    _build_captioned(folder, config)
    _build_scenes(folder, config, book)
    _build_phrases(folder, config)
    rows, phrases = list(read_scenes(folder)), read_phrases(folder)
    _build_teacher(folder, rows, phrases, book)
    for part in parts:
        match part:
            case "talk":
                utterances = _talk(config, book)
            case "mentions":
                utterances = _mentions(config, book)
            case "passages":
                utterances = _passages(config, book)
            case "natural":
                utterances = _natural(config, book)
            case "phrases":
                utterances = _phrases(len(rows), phrases, config)
            case "neural":
                utterances = _neural(rows, phrases, config, book)
            case _:
                utterances = _utterances(rows, part, config, book)  # type: ignore[arg-type]
        is_test = part in {"voices", "combinations"}
        speech = build_speech_set(
            utterances,
            folder / f"speech-{part}",
            augmentation=None if is_test else config.augmentation,
            seed=config.seed + _SEEDS.get(part, 0),
            shard_size=_NEURAL_SHARD if part == "neural" else 1000,
            workers=workers,
        )
        _build_frames(folder / f"frames-{part}", speech, encoder)


def _build_captioned(folder: Path, config: DataConfig) -> None:
    """The captioned illustrations, and the teacher's vectors of their titles in a file of their own.

    A folder that was built before there were any gets them without its other vectors being made again.
    """
    library_folder = folder / CAPTIONED_FOLDER
    if config.collections and not (library_folder / "sprites.json").exists():
        images.library(captioned.load(config.collections)).save(library_folder)
    path = folder / _CAPTIONED_VECTORS
    if not library_folder.is_dir() or path.exists():
        return
    temporary = path.with_suffix(".part")
    save_file({"titles": title_vectors([info.title for info in SpriteLibrary.load(library_folder).infos])}, temporary)
    temporary.rename(path)


def title_vectors(titles: Sequence[str]) -> NDArray[np.float32]:
    """The teacher's vectors of illustrations' titles `(N, E)`."""
    # What is one of the concepts is called as they are, so that both have the same vector.
    called = {n.singular: c.names[0].indefinite() for c in english().concepts.values() for n in c.names}
    return TextTeacher()([called.get(title, title) for title in titles])


def read_captioned(folder: Path) -> tuple[SpriteLibrary, NDArray[np.float32]]:
    """The captioned illustrations of a data folder, and the teacher's vectors `(N, E)` of their titles.

    Raises:
        ConfigError: they are not built, or the vectors are those of other illustrations.
    """
    path = folder / _CAPTIONED_VECTORS
    if not (folder / CAPTIONED_FOLDER).is_dir() or not path.exists():
        raise ConfigError(
            str(folder),
            "it has no captioned illustrations",
            "Run `s2i train data` on it again, which adds them and keeps the rest, or train without them: "
            "`--set pictures.captioned=0`.",
        )
    library, vectors = SpriteLibrary.load(folder / CAPTIONED_FOLDER), load_file(path)["titles"]
    if len(library) != len(vectors):
        raise ConfigError(
            str(path),
            f"{len(vectors)} vectors for {len(library)} captioned illustrations",
            "Delete it and run `s2i train data` again.",
        )
    return library, vectors


def style_books(folder: Path) -> list[SpriteBook]:
    """The sprites of a data folder, a book for each style: the one that scenes are composed in first."""
    books = [SpriteBook(SpriteLibrary.load(folder / "library"))]
    if (folder / STYLES_FOLDER).is_dir():
        others = SpriteLibrary.load(folder / STYLES_FOLDER)
        books += [SpriteBook(others.styled(style)) for style in dict.fromkeys(info.style for info in others.infos)]
    return books


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


def _build_phrases(folder: Path, config: DataConfig) -> None:
    path = folder / "phrases.txt"
    if path.exists():
        return
    rng = np.random.default_rng([config.seed, len(SPLITS) + 1])
    texts = []
    for word in wordnet.words(config.words):
        texts.append(f"{_pick(rng, ('the', 'a', 'this', 'my'))} {word}" if rng.random() < 0.25 else word)
    texts += wordnet.examples(config.examples) + wordnet.definitions(config.definitions)
    texts += [remarks(rng) for _ in range(config.remarks)]
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(f"{text}\n" for text in dict.fromkeys(texts)), encoding="utf-8")
    temporary.rename(path)


def read_phrases(folder: Path) -> list[str]:
    """The phrases of a data folder; the number of the first is that of the scenes."""
    return (folder / "phrases.txt").read_text(encoding="utf-8").splitlines()


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
            chosen.append(_say(text_id, wordings[n % len(wordings)], split, config, rng, config.scene_voices))
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def _talk(config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """Ordinary sentences about every sprite; their scenes are the first ones, where each stands alone."""
    rng = np.random.default_rng([config.seed, len(SPLITS)])
    chosen = []
    for sprite in range(len(book.library)) if config.bare else ():
        names = book.concept(sprite).names
        for n in range(config.talk):
            text = sentence(names[n % 2 * (n // 2) % len(names)], rng)
            chosen.append(_say(sprite, text, "train", config, rng, config.phrase_voices))
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def _mentions(config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """Example phrases of the dictionary that name a sprite's concept; their scenes are those of `_talk`."""
    rng = np.random.default_rng([config.seed, len(SPLITS) + 6])
    if not config.bare or not config.mentions:
        return []
    concepts = [book.concept(sprite) for sprite in range(len(book.library))]
    mentions = Mentions(wordnet.examples(_MENTIONING), concepts)
    chosen = [
        _say(sprite, text, "train", config, rng, config.phrase_voices)
        for sprite, concept in enumerate(concepts)
        for text in mentions.say(concept.name, config.mentions, rng)
    ]
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def _passages(config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """Several sentences in one breath, about every concept; their scenes are those of `_talk`."""
    rng = np.random.default_rng([config.seed, len(SPLITS) + 5])
    chosen = []
    for sprite in range(len(book.library)) if config.bare else ():
        names = book.concept(sprite).names
        for n in range(config.passages):
            text = passage(names[n % len(names)], rng)
            chosen.append(_say(sprite, text, "train", config, rng, config.phrase_voices))
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def _natural(config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """Every concept alone and in ordinary sentences, by turns."""
    rng = np.random.default_rng([config.seed, len(SPLITS) + 2])
    chosen = [
        _say(sprite, _about(book, sprite, n, rng), "train", config, rng, config.natural_voices)
        for sprite in range(len(book.library))
        for n in range(config.natural)
    ]
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def _phrases(first: int, phrases: Sequence[str], config: DataConfig) -> list[Utterance]:
    """Every phrase once; `first` is the number of the first."""
    rng = np.random.default_rng([config.seed, len(SPLITS) + 3])
    chosen = [_say(first + n, text, "train", config, rng, config.phrase_voices) for n, text in enumerate(phrases)]
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def _neural(rows: list[SceneRow], phrases: Sequence[str], config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """Concepts, scenes and phrases in equal shares, mixed, so that any part of them will do."""
    rng = np.random.default_rng([config.seed, len(SPLITS) + 4])
    scenes = [place for place, row in enumerate(rows) if row.split == "train"]
    order = rng.permutation(len(phrases))
    chosen = []
    for n in range(config.neural):
        if n % 3 == 0:
            text_id = n // 3 % len(book.library)
            text = _about(book, text_id, n // 3 // len(book.library) + n // 3 % 2, rng)
        elif n % 3 == 1 or not phrases:
            text_id = int(_pick(rng, scenes))
            text = captions(rows[text_id].spec, book, rng, 1)[0]
        else:
            place = int(order[n // 3 % len(phrases)])
            text_id, text = len(rows) + place, phrases[place]
        chosen.append(_say(text_id, text, "train", config, rng, {"kokoro": 1.0}))
    return chosen


def _about(book: SpriteBook, sprite: int, turn: int, rng: np.random.Generator) -> str:
    """One of a concept's names, alone in even turns and in a sentence in odd ones."""
    names = book.concept(sprite).names
    name = names[turn // 2 % len(names)]
    if turn % 2:
        return sentence(name, rng)
    return _pick(rng, (name.singular, name.indefinite(), f"the {name.singular}"))


def _say(
    text_id: int,
    text: str,
    split: Split,
    config: DataConfig,
    rng: np.random.Generator,
    engines: Mapping[str, float] = _ROBOTIC,
) -> Utterance:
    if split == "train":
        pool = voices.TRAIN_BY_ENGINE[_engine(engines, rng.random())]
        return Utterance(
            text_id,
            text,
            pool[int(rng.integers(len(pool)))],
            speed=float(rng.uniform(0.8, 1.3)),
            pitch=float(rng.uniform(0.3, 0.7)),
        )
    return Utterance(text_id, text, f"espeak:{voices.ESPEAK_TEST[int(rng.integers(len(voices.ESPEAK_TEST)))]}")


def _engine(shares: Mapping[str, float], chance: float) -> str:
    """The engine at `chance`, 0 to 1, of the shares laid end to end."""
    bounds = np.cumsum(list(shares.values())) / sum(shares.values())
    return list(shares)[int(np.searchsorted(bounds[:-1], chance, side="right"))]


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


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
            if len(waveform) / SAMPLING_RATE_HZ <= MAX_SPEECH_S:
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


def _build_teacher(folder: Path, rows: list[SceneRow], phrases: Sequence[str], book: SpriteBook) -> None:
    path = folder / "teacher.safetensors"
    if path.exists():
        with safe_open(path, framework="np") as file:
            if "phrases" in file.keys():  # noqa: SIM118 -- not a dict
                return
    teacher = TextTeacher()
    names = [book.concept(sprite).names[0].indefinite() for sprite in range(len(book.library))]
    vectors = {
        "scenes": teacher([row.caption for row in rows]),
        "phrases": teacher(phrases) if phrases else np.zeros((0, WIDTH), np.float32),
        "sprites": teacher(names),
    }
    temporary = path.with_suffix(".part")
    save_file(vectors, temporary)
    temporary.rename(path)


class FrameSet:
    """The frames of one or more speech sets in memory, grouped by their length.

    Attributes:
        frames: for each length, `(N, T, D)` float16.
        texts: for each length, the text of each row `(N,)`.
    """

    def __init__(self, *folders: Path) -> None:
        shards = [path for folder in folders for path in sorted(folder.glob("shard-*.safetensors"))]
        if not shards:
            raise ConfigError(
                str(folders[0]), "there are no frames", "Build the data first: python -m s2i_core.training data."
            )
        shapes: dict[int, list[tuple[Path, tuple[int, ...]]]] = {}
        for path in shards:
            with safe_open(path, framework="np") as file:
                for name in file.keys():  # noqa: SIM118 -- not a dict
                    if name.startswith("frames_"):
                        shape = tuple(file.get_slice(name).get_shape())
                        shapes.setdefault(int(name.removeprefix("frames_")), []).append((path, shape))
        self.frames: dict[int, NDArray[np.float16]] = {}
        self.texts: dict[int, NDArray[np.int64]] = {}
        # Filled in place: a copy of several gigabytes beside the whole would not fit into small machines.
        for n, found in sorted(shapes.items()):
            rows = sum(shape[0] for _, shape in found)
            self.frames[n] = np.empty((rows, *found[0][1][1:]), np.float16)
            self.texts[n] = np.empty(rows, np.int64)
            start = 0
            for path, shape in found:
                with safe_open(path, framework="np") as file:
                    self.frames[n][start : start + shape[0]] = file.get_tensor(f"frames_{n}")
                    self.texts[n][start : start + shape[0]] = file.get_tensor(f"texts_{n}")
                start += shape[0]

    def __len__(self) -> int:
        return sum(len(texts) for texts in self.texts.values())

    def thinned(self, share: float, seed: int) -> FrameSet:
        """This set with a random share of each length's rows, at least one; a smaller share is part of a larger."""
        if share < 1:
            for n, texts in self.texts.items():
                order = np.random.default_rng([seed, n]).permutation(len(texts))
                kept = np.sort(order[: max(1, round(share * len(texts)))])
                self.frames[n], self.texts[n] = self.frames[n][kept], texts[kept]
        return self

    def pick(self, rng: np.random.Generator, size: int) -> tuple[int, NDArray[np.int64]]:
        """A length, as often as it has rows, and `size` of its rows at random."""
        lengths = list(self.texts)
        share = np.array([len(self.texts[n]) for n in lengths], dtype=np.float64)
        length = lengths[int(rng.choice(len(lengths), p=share / share.sum()))]
        return length, rng.choice(len(self.texts[length]), min(size, len(self.texts[length])), replace=False)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """A random batch of one length `(size, T, D)` float32 with its texts; see `pick`."""
        length, rows = self.pick(rng, size)
        return torch.from_numpy(self.frames[length][rows]).float(), self.texts[length][rows]

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, NDArray[np.int64]]]:
        """All rows, once."""
        for length, texts in self.texts.items():
            for start in range(0, len(texts), size):
                frames = torch.from_numpy(self.frames[length][start : start + size]).float()
                yield frames, texts[start : start + size]
