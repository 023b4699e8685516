"""Lectures with known changes of topic, composed from the scripts in `scripts/` and synthetic voices.

A script has a list of topics with a few sentences each, one voice that training never heard, and a manner of pausing.
What is tuned is tuned on the lectures of the split `dev` (DEV voices) and reported on `test` (TEST voices). Needs the
`train` extra; a sentence that was said before comes from the cache.
"""

from __future__ import annotations

import hashlib
import tomllib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2i_core.corpus.augment import resample, rms, trim_silence
from s2i_core.corpus.sources.packages import default_cache
from s2i_core.corpus.sources.voices import KOKORO_MODEL_PARTS, KOKORO_VOICES, voice_named

SCRIPTS = Path(__file__).parent / "scripts"
RATE_HZ = 16_000
SPEECH_RMS = 0.08

#: Manner → seconds of pause (shortest, longest) between the sentences of a topic, and between two topics.
PAUSES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "marked": ((0.4, 0.9), (1.0, 2.0)),  # longer at a change of topic, as a good reader does
    "even": ((0.5, 1.0), (0.6, 1.2)),  # hardly longer
    "none": ((0.5, 1.0), (0.5, 1.0)),  # the pause says nothing
    "thinking": ((0.5, 3.0), (0.6, 2.0)),  # the longest pauses are within a topic, some within a sentence
}


@dataclass(frozen=True)
class Sentence:
    """A sentence with its place in the lecture; the silence around it is not part of it."""

    topic: str
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Lecture:
    """A spoken script. `sound`: float32 `(T,)`, mono, 16 kHz."""

    title: str
    split: str
    voice: str
    pauses: str
    sound: NDArray[np.float32]
    sentences: list[Sentence]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.sound) / RATE_HZ

    @property
    def changes_s(self) -> list[float]:
        """Where another topic begins: the starts of first sentences, but for the lecture's own start."""
        pairs = zip(self.sentences, self.sentences[1:], strict=False)
        return [after.start_s for before, after in pairs if before.topic != after.topic]


def lectures(split: str | None = None) -> Iterator[Lecture]:
    """The lectures of a split, or all, in the order of their files."""
    for path in sorted(SCRIPTS.glob("*.toml")):
        script = tomllib.loads(path.read_text())
        if split in {None, script["split"]}:
            yield _compose(path.stem, script)


def said(voice: str, text: str) -> NDArray[np.float32]:
    """`(T,)` at 16 kHz, without silence at its ends, all voices equally loud; cached."""
    pins = [KOKORO_VOICES.sha256, *(package.sha256 for package in KOKORO_MODEL_PARTS)]
    key = hashlib.sha256("\n".join([voice, text, *pins]).encode()).hexdigest()[:24]
    path = default_cache().parent / "lectures" / f"{key}.npy"
    if path.is_file():
        spoken = np.load(path)
    else:
        waveform, rate_hz = voice_named(voice).say(text)
        spoken = resample(trim_silence(waveform, rate_hz), rate_hz, RATE_HZ)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, spoken)
        partial.replace(path)
    return np.asarray(spoken * (SPEECH_RMS / rms(spoken)), dtype=np.float32)


def _compose(name: str, script: dict[str, object]) -> Lecture:
    voice, manner = str(script["voice"]), str(script["pauses"])
    random = np.random.default_rng(zlib.crc32(name.encode()))
    within, between = PAUSES[manner]
    pieces = [np.zeros(RATE_HZ // 2, np.float32)]
    sentences: list[Sentence] = []
    at = len(pieces[0])

    def silence(bounds: tuple[float, float]) -> None:
        nonlocal at
        pieces.append(np.zeros(round(random.uniform(*bounds) * RATE_HZ), np.float32))
        at += len(pieces[-1])

    for topic in script["topic"]:  # type: ignore[attr-defined]
        for text in topic["lines"]:
            start = at
            # A thinking speaker stops at commas as well.
            for number, clause in enumerate(text.split(", ") if manner == "thinking" else [text]):
                if number:
                    silence((0.2, 1.5))
                pieces.append(said(voice, clause))
                at += len(pieces[-1])
            sentences.append(Sentence(topic["name"], text, start / RATE_HZ, at / RATE_HZ))
            silence(within)
        at -= len(pieces.pop())
        silence(between)
    # A room is never quite silent.
    sound = np.concatenate(pieces)
    sound += (10 ** (-65 / 20) * random.standard_normal(len(sound))).astype(np.float32)
    return Lecture(str(script["title"]), str(script["split"]), voice, manner, sound, sentences)
