"""What the speech encoder makes of spoken sentences, in crops as long as those that a listener is given.

Several utterances share a crop, with pauses between, and so a room, a noise, a telephone. A crop is encoded once, at
25 Hz and in float16, and kept with what is named in it and when.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from safetensors import safe_open
from safetensors.numpy import save_file

from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.corpus.augment import Augmentation, augment, resample
from s2i_core.corpus.lexicon import Lexicon
from s2i_core.hearing import CROP_S, FRAMES_HZ
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.training.grounding.spoken import Said, read

_BATCH = 8
_PAUSE_S = (0.1, 0.8)
_SPEED = (0.85, 1.18)
"""Faster and higher, or slower and lower: few voices have to stand for many."""
CHANNEL = Augmentation(speed_probability=0.0, leading_silence_s=(0.0, 0.0), telephone_probability=0.2)


NOTHING = ""
"""In place of a caption: what is said sounds like a thing and surely names none (see `Lexicon.nothing_in`)."""


@dataclass(frozen=True)
class TimedName:
    """Something named in a crop.

    `caption` is the thing's, None where one cannot tell (see `lexicon.Named`), and `NOTHING` where it is somebody's
    name, a letter or a number.
    """

    start_s: float
    end_s: float
    caption: str | None


@dataclass(frozen=True)
class Crop:
    """Sound of at most `CROP_S` seconds `(T,)` at 16 kHz, and what is named in it."""

    sound: NDArray[np.float32]
    names: tuple[TimedName, ...]


def build(speech: Path, folder: Path, lexicon: Lexicon, encoder: SpeechEncoder, take: int = 0) -> None:
    """Encode every shard of a folder of speech that has not been yet.

    Args:
        speech: a folder that `spoken.speak` writes; it may still be growing.
        folder: of the frames.
        lexicon: says what is named.
        encoder: makes the frames.
        take: the same speech with another number gets other rooms and neighbours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in track(sorted(speech.glob("shard-*.safetensors")), description=f"{folder.name}, take {take}"):
        path = folder / f"{source.stem}-{take}.safetensors"
        if not path.is_file():
            rng = np.random.default_rng([take, zlib.crc32(source.name.encode())])
            _write(path, list(crops(list(read(source)), lexicon, rng)), encoder)


def crops(said: Sequence[Said], lexicon: Lexicon, rng: np.random.Generator) -> Iterator[Crop]:
    """Utterances in random order, as many to a crop as go into it, as a microphone hears them."""
    sounds: list[NDArray[np.float32]] = []
    names: list[TimedName] = []
    at = 0
    for place in rng.permutation(len(said)):
        # Whole per cents: libswresample builds a filter for each new ratio.
        factor = round(float(rng.uniform(*_SPEED)), 2)
        sound = resample(said[place].waveform, round(SAMPLING_RATE_HZ * factor), SAMPLING_RATE_HZ)
        pause = round(rng.uniform(*_PAUSE_S) * SAMPLING_RATE_HZ)
        if len(sound) > CROP_S * SAMPLING_RATE_HZ:
            continue
        if at + pause + len(sound) > CROP_S * SAMPLING_RATE_HZ:
            yield _crop(sounds, names, rng)
            sounds, names, at = [], [], 0
        start_s = (at + pause) / SAMPLING_RATE_HZ
        names += [
            TimedName(start_s + name.start_s / factor, start_s + name.end_s / factor, name.caption)
            for name in named(said[place], lexicon)
        ]
        sounds += [np.zeros(pause, np.float32), sound]
        at += pause + len(sound)
    if sounds:
        yield _crop(sounds, names, rng)


def named(said: Said, lexicon: Lexicon) -> Iterator[TimedName]:
    """What an utterance names, or seems to, and when."""
    places: list[tuple[int, int, str | None]] = [(start, end, NOTHING) for start, end in lexicon.nothing_in(said.text)]
    for place in lexicon.named_in(said.text):
        caption = None if place.thing is None else lexicon.things[place.thing].caption
        places.append((place.start, place.end, caption))
    for start, end, caption in sorted(places):
        own = [word for word in said.words if word.start < end and start < word.end]
        if own:
            yield TimedName(own[0].start_s, own[-1].end_s, caption)


@dataclass(frozen=True)
class EncodedShard:
    """A shard.

    Attributes:
        frames: `(N, T, D)`, float16, all crops as long as the longest may be.
        durations_s: `(N,)`, how long each really is.
        names: what is named in each.
    """

    frames: NDArray[np.float16]
    durations_s: NDArray[np.float32]
    names: list[list[TimedName]]


def read_frames(path: Path) -> EncodedShard:
    """A shard that `build` wrote."""
    with safe_open(path, framework="np") as file:
        names = json.loads(file.metadata()["names"])
        listed = [[TimedName(*name) for name in of_crop] for of_crop in names]
        return EncodedShard(file.get_tensor("frames"), file.get_tensor("durations_s"), listed)


def _crop(sounds: Sequence[NDArray[np.float32]], names: Sequence[TimedName], rng: np.random.Generator) -> Crop:
    sound = augment(np.concatenate(sounds), SAMPLING_RATE_HZ, CHANNEL, rng)
    return Crop(sound[: round(CROP_S * SAMPLING_RATE_HZ)], tuple(names))


@torch.inference_mode()
def _write(path: Path, made: Sequence[Crop], encoder: SpeechEncoder) -> None:
    length = round(CROP_S * SAMPLING_RATE_HZ)
    pieces = []
    for first in range(0, len(made), _BATCH):
        features = [log_mel(np.pad(one.sound, (0, length - len(one.sound)))) for one in made[first : first + _BATCH]]
        frames = QueryTransformer.halve_rate(encoder(torch.from_numpy(np.stack(features)).float()))
        pieces.append(frames[:, : round(CROP_S * FRAMES_HZ)].half().numpy())
    names = [[(name.start_s, name.end_s, name.caption) for name in one.names] for one in made]
    partial = path.with_suffix(f".{os.getpid()}.partial")
    durations_s = np.array([len(one.sound) / SAMPLING_RATE_HZ for one in made], np.float32)
    tensors = {"frames": np.concatenate(pieces), "durations_s": durations_s}
    save_file(tensors, partial, metadata={"names": json.dumps(names)})
    partial.replace(path)
