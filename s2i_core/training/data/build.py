"""Build the training data of one model by one command: library, scenes, speech, frames, teacher's vectors.

What a folder of data holds is said in `corpus/folder.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from s2i_core.corpus.compose import SpriteBook, bare_spec, sample_spec
from s2i_core.corpus.folder import (
    CAPTIONED_FOLDER,
    CAPTIONED_VECTORS,
    PARTS,
    SPLITS,
    STYLES_FOLDER,
    SceneRow,
    Split,
    read_phrases,
    read_scenes,
    title_vectors,
)
from s2i_core.corpus.sources import captioned, images, wordnet
from s2i_core.corpus.spec import SceneSpec, split_of
from s2i_core.corpus.speech_set import build_speech_set
from s2i_core.corpus.talk import remarks
from s2i_core.corpus.teacher import WIDTH, TextTeacher, plain_caption
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.training.data import utterances
from s2i_core.training.data.config import DataConfig
from s2i_core.training.data.frames import build_frames

_SEEDS = {"talk": 1, "natural": 2, "phrases": 3, "neural": 4, "passages": 5, "mentions": 6}
_NEURAL_SHARD = 250


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
        _save(images.load(config.styles[:1]), library_folder)
    book = SpriteBook(SpriteLibrary.load(library_folder))
    if len(config.styles) > 1 and not (folder / STYLES_FOLDER / "sprites.json").exists():
        others = images.load(config.styles[1:])
        _save([one for one in others if book.library.members(one.concept)], folder / STYLES_FOLDER)
    _build_captioned(folder, config)
    _build_scenes(folder, config, book)
    _build_phrases(folder, config)
    rows, phrases = list(read_scenes(folder)), read_phrases(folder)
    _build_teacher(folder, rows, phrases, book)
    for part in parts:
        match part:
            case "talk":
                spoken = utterances.talk(config, book)
            case "mentions":
                spoken = utterances.mentions(config, book)
            case "passages":
                spoken = utterances.passages(config, book)
            case "natural":
                spoken = utterances.natural(config, book)
            case "phrases":
                spoken = utterances.phrases(len(rows), phrases, config)
            case "neural":
                spoken = utterances.neural(rows, phrases, config, book)
            case _:
                spoken = utterances.scenes(rows, part, config, book)  # type: ignore[arg-type]
        is_test = part in {"voices", "combinations"}
        speech = build_speech_set(
            spoken,
            folder / f"speech-{part}",
            augmentation=None if is_test else config.augmentation,
            seed=config.seed + _SEEDS.get(part, 0),
            shard_size=_NEURAL_SHARD if part == "neural" else 1000,
            workers=workers,
        )
        build_frames(folder / f"frames-{part}", speech, encoder)


def _save(illustrations: list[images.Illustration], folder: Path) -> None:
    library = images.library(illustrations)
    library.save(folder)
    images.save_large(illustrations, library, folder)


def _build_captioned(folder: Path, config: DataConfig) -> None:
    """The captioned illustrations, and the teacher's vectors of their titles in a file of their own.

    A folder that was built before there were any gets them without its other vectors being made again.
    """
    library_folder = folder / CAPTIONED_FOLDER
    if config.collections and not (library_folder / "sprites.json").exists():
        images.library(captioned.load(config.collections)).save(library_folder)
    path = folder / CAPTIONED_VECTORS
    if not library_folder.is_dir() or path.exists():
        return
    temporary = path.with_suffix(".part")
    save_file({"titles": title_vectors([info.title for info in SpriteLibrary.load(library_folder).infos])}, temporary)
    temporary.rename(path)


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


def _build_phrases(folder: Path, config: DataConfig) -> None:
    path = folder / "phrases.txt"
    if path.exists():
        return
    rng = np.random.default_rng([config.seed, len(SPLITS) + 1])
    texts = []
    for word in wordnet.words(config.words):
        texts.append(f"{utterances.pick(rng, ('the', 'a', 'this', 'my'))} {word}" if rng.random() < 0.25 else word)
    texts += wordnet.examples(config.examples) + wordnet.definitions(config.definitions)
    texts += [remarks(rng) for _ in range(config.remarks)]
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(f"{text}\n" for text in dict.fromkeys(texts)), encoding="utf-8")
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
