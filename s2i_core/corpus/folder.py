"""What a folder of training data holds, and how it is read.

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
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from s2i_core.corpus.compose import SpriteBook
from s2i_core.corpus.spec import HOLD_OUT_EVERY, SceneSpec
from s2i_core.corpus.teacher import TextTeacher
from s2i_core.english.vocabulary import english
from s2i_core.errors import ConfigError
from s2i_core.models.decoders.native.library import SpriteLibrary

Split = Literal["train", "voices", "combinations"]
SPLITS: tuple[Split, ...] = ("train", "voices", "combinations")
TRAIN_PARTS = ("train", "talk", "passages", "natural", "phrases", "neural")
SCENE_PARTS = ("train", "talk", "mentions", "passages", "natural", "neural")
"""Those whose utterances have a scene; what a mention says beyond the thing, its scene does not tell."""
PARTS = ("train", "voices", "combinations", "talk", "mentions", "passages", "natural", "phrases", "neural")
STYLES_FOLDER = "styles"
CAPTIONED_FOLDER = "captioned"
CAPTIONED_VECTORS = "captioned.safetensors"
SAME = 0.95
"""Likeness of the teacher's vectors above which two names say nearly the same."""


@dataclass(frozen=True)
class SceneRow:
    """A composed scene."""

    spec: SceneSpec
    split: Split
    caption: str


def read_scenes(folder: Path) -> Iterator[SceneRow]:
    """The scenes of a data folder, in the order of their text ids."""
    with (folder / "scenes.jsonl").open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield SceneRow(SceneSpec.from_json(json.dumps(row["spec"])), row["split"], row["caption"])


def read_phrases(folder: Path) -> list[str]:
    """The phrases of a data folder; the number of the first is that of the scenes."""
    return (folder / "phrases.txt").read_text(encoding="utf-8").splitlines()


def style_books(folder: Path) -> list[SpriteBook]:
    """The sprites of a data folder, a book for each style: the one that scenes are composed in first."""
    books = [SpriteBook(SpriteLibrary.load(folder / "library"))]
    if (folder / STYLES_FOLDER).is_dir():
        others = SpriteLibrary.load(folder / STYLES_FOLDER)
        books += [SpriteBook(others.styled(style)) for style in dict.fromkeys(info.style for info in others.infos)]
    return books


def read_captioned(folder: Path) -> tuple[SpriteLibrary, NDArray[np.float32]]:
    """The captioned illustrations of a data folder, and the teacher's vectors `(N, E)` of their titles.

    Raises:
        ConfigError: they are not built, or the vectors are those of other illustrations.
    """
    path = folder / CAPTIONED_VECTORS
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


def title_vectors(titles: Sequence[str]) -> NDArray[np.float32]:
    """The teacher's vectors of illustrations' titles `(N, E)`."""
    # What is one of the concepts is called as they are, so that both have the same vector.
    called = {n.singular: c.names[0].indefinite() for c in english().concepts.values() for n in c.names}
    return TextTeacher()([called.get(title, title) for title in titles])


def held_out(titles: Sequence[str], vectors: NDArray[np.float32], concepts: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which captioned illustrations are kept for tests `(N,)`: those of one title in ten.

    Args:
        titles: of the illustrations.
        vectors: the teacher's of these titles `(N, E)`.
        concepts: those of the concepts `(M, E)`. What is one of them by another hand is no test of unknown things.
    """
    tenth = np.array([zlib.crc32(title.encode()) % HOLD_OUT_EVERY == 0 for title in titles], dtype=bool)
    return tenth & ~(vectors @ concepts.T > SAME).any(1)
