"""What is said in each part of the training data, and by which voice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from s2i_core.corpus.compose import SpriteBook, captions
from s2i_core.corpus.folder import SPLITS, SceneRow, Split
from s2i_core.corpus.mentions import Mentions
from s2i_core.corpus.sources import voices, wordnet
from s2i_core.corpus.speech_set import Utterance
from s2i_core.corpus.talk import passage, sentence
from s2i_core.training.data.config import DataConfig

T = TypeVar("T")
_ROBOTIC: Mapping[str, float] = {"espeak": 1.0}
_MENTIONING = 39_000
"""How many of the dictionary's example phrases are asked for things; the tests have some of the others."""


def scenes(rows: list[SceneRow], split: Split, config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """The composed scenes of a split, each in so many wordings; of the training split every concept alone as well."""
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


def talk(config: DataConfig, book: SpriteBook) -> list[Utterance]:
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


def mentions(config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """Example phrases of the dictionary that name a sprite's concept; their scenes are those of `talk`."""
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


def passages(config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """Several sentences in one breath, about every concept; their scenes are those of `talk`."""
    rng = np.random.default_rng([config.seed, len(SPLITS) + 5])
    chosen = []
    for sprite in range(len(book.library)) if config.bare else ():
        names = book.concept(sprite).names
        for n in range(config.passages):
            text = passage(names[n % len(names)], rng)
            chosen.append(_say(sprite, text, "train", config, rng, config.phrase_voices))
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def natural(config: DataConfig, book: SpriteBook) -> list[Utterance]:
    """Every concept alone and in ordinary sentences, by turns."""
    rng = np.random.default_rng([config.seed, len(SPLITS) + 2])
    chosen = [
        _say(sprite, _about(book, sprite, n, rng), "train", config, rng, config.natural_voices)
        for sprite in range(len(book.library))
        for n in range(config.natural)
    ]
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def phrases(first: int, phrases: Sequence[str], config: DataConfig) -> list[Utterance]:
    """Every phrase once; `first` is the number of the first."""
    rng = np.random.default_rng([config.seed, len(SPLITS) + 3])
    chosen = [_say(first + n, text, "train", config, rng, config.phrase_voices) for n, text in enumerate(phrases)]
    rng.shuffle(chosen)  # type: ignore[arg-type]
    return chosen


def neural(rows: list[SceneRow], phrases: Sequence[str], config: DataConfig, book: SpriteBook) -> list[Utterance]:
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
            text_id = int(pick(rng, scenes))
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
    return pick(rng, (name.singular, name.indefinite(), f"the {name.singular}"))


def _say(
    text_id: int,
    text: str,
    split: Split,
    config: DataConfig,
    rng: np.random.Generator,
    engines: Mapping[str, float] = _ROBOTIC,
) -> Utterance:
    if split == "train":
        pool = voices.TRAIN_BY_ENGINE[engine(engines, rng.random())]
        return Utterance(
            text_id,
            text,
            pool[int(rng.integers(len(pool)))],
            speed=float(rng.uniform(0.8, 1.3)),
            pitch=float(rng.uniform(0.3, 0.7)),
        )
    return Utterance(text_id, text, f"espeak:{voices.ESPEAK_TEST[int(rng.integers(len(voices.ESPEAK_TEST)))]}")


def engine(shares: Mapping[str, float], chance: float) -> str:
    """The engine at `chance`, 0 to 1, of the shares laid end to end."""
    bounds = np.cumsum(list(shares.values())) / sum(shares.values())
    return list(shares)[int(np.searchsorted(bounds[:-1], chance, side="right"))]


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, each as likely as the others."""
    return options[int(rng.integers(len(options)))]
