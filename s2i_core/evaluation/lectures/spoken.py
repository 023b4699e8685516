"""The passages spoken by voices that no training uses, with the time of everything that they name.

Sentence after sentence with pauses between, by Kokoro and espeak-ng; times are the synthesisers' own
(`TimedWord` in `corpus/sources/voices.py`). Synthesis takes about as long as the talk; what was spoken once comes
from the cache.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.corpus.augment import add_noise, resample, rms, telephone
from s2i_core.corpus.sources import voices
from s2i_core.corpus.sources.packages import default_cache
from s2i_core.corpus.sources.voices import voice_named
from s2i_core.corpus.sources.word_times import Spoken, TimedWord
from s2i_core.evaluation.lectures.passages import Line, Script, Split, passages
from s2i_core.evaluation.lectures.score import TimedMention

Channel = Literal["clean", "noise", "telephone"]
CHANNELS: tuple[Channel, ...] = ("clean", "noise", "telephone")
NOISE_DB = 10.0

#: Who speaks: no training has these voices, see `voices`. Each passage is spoken by so many of them, in turn.
NEURAL = {
    "dev": [f"kokoro:{name}" for name in voices.KOKORO_DEV],
    "test": [f"kokoro:{name}" for name in voices.KOKORO_TEST],
}
ROBOTIC = {
    "dev": [f"espeak:{name}" for name in voices.ESPEAK_DEV],
    "test": [f"espeak:{name}" for name in voices.ESPEAK_TEST],
}
TAKES = 2

_PAUSE_S = (0.35, 0.8)
_SPEECH_RMS = 0.08


@dataclass(frozen=True)
class Lecture:
    """A spoken passage.

    Attributes:
        title, topic: of the passage.
        voice: who speaks.
        sound: `(T,)`, float32 at 16 kHz.
        said: what is named, and when.
        words: every word and when, lower case: what a recogniser's transcript is set against.
    """

    title: str
    topic: str
    voice: str
    sound: NDArray[np.float32]
    said: tuple[TimedMention, ...]
    words: tuple[tuple[str, float, float], ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.sound) / SAMPLING_RATE_HZ


def lectures(split: Split, kind: Literal["neural", "robotic"], takes: int = TAKES) -> Iterator[Lecture]:
    """Every passage of a split by the first `takes` of its `TAKES` voices of a kind."""
    names = (NEURAL if kind == "neural" else ROBOTIC)[split]
    for place, passage in enumerate(passages(split)):
        for take in range(takes):
            yield speak(passage, names[(place + take * (len(names) // TAKES)) % len(names)])


def speak(passage: Script, voice: str) -> Lecture:
    """One passage by one voice."""
    rng = np.random.default_rng(zlib.crc32(f"{passage.title} {voice}".encode()))
    pieces, said, words = [np.zeros(SAMPLING_RATE_HZ // 2, np.float32)], [], []
    at = len(pieces[0])
    for line in passage.lines:
        spoken = _spoken(voice, line.text)
        start_s = at / SAMPLING_RATE_HZ
        said += list(_said(line, spoken.words, start_s))
        words += [(line.text[w.start : w.end].lower(), start_s + w.start_s, start_s + w.end_s) for w in spoken.words]
        pause = np.zeros(round(rng.uniform(*_PAUSE_S) * SAMPLING_RATE_HZ), np.float32)
        pieces += [spoken.waveform, pause]
        at += len(spoken.waveform) + len(pause)
    sound = np.concatenate(pieces)
    # A room is never quite silent.
    sound += (10 ** (-65 / 20) * rng.standard_normal(len(sound))).astype(np.float32)
    return Lecture(passage.title, passage.topic, voice, sound, tuple(said), tuple(words))


def through(lecture: Lecture, channel: Channel) -> NDArray[np.float32]:
    """The sound of a lecture `(T,)` as it comes through: with 10 dB of noise, or over a telephone."""
    match channel:
        case "noise":
            rng = np.random.default_rng(zlib.crc32(f"{lecture.title} {lecture.voice} noise".encode()))
            return add_noise(lecture.sound, SAMPLING_RATE_HZ, NOISE_DB, rng)
        case "telephone":
            return telephone(lecture.sound, SAMPLING_RATE_HZ)
    return lecture.sound


def _said(line: Line, words: Sequence[TimedWord], start_s: float) -> Iterator[TimedMention]:
    for mention in line.mentions:
        own = [word for word in words if word.start < mention.end and mention.start < word.end]
        if own:
            first, last = start_s + own[0].start_s, start_s + own[-1].end_s
            yield TimedMention(first, last, mention.accepted, mention.needed)


def _spoken(voice: str, text: str) -> Spoken:
    """At 16 kHz, all voices equally loud; cached."""
    pins = [package.sha256 for package in (*voices.KOKORO_MODEL_PARTS, voices.KOKORO_VOICES)]
    key = hashlib.sha256("\n".join([voice, text, *pins]).encode()).hexdigest()[:24]
    path = default_cache().parent / "lectures" / f"{key}.safetensors"
    if not path.is_file():
        made = voice_named(voice).say_timed(text)
        sound = resample(made.waveform, made.rate_hz, SAMPLING_RATE_HZ)
        _save(path, np.asarray(sound * (_SPEECH_RMS / rms(sound)), np.float32), made.words)
    with safe_open(path, framework="np") as file:
        words = tuple(TimedWord(*word) for word in json.loads(file.metadata()["words"]))
        return Spoken(file.get_tensor("sound"), SAMPLING_RATE_HZ, words)


def _save(path: Path, sound: NDArray[np.float32], words: Sequence[TimedWord]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    listed = [(word.start, word.end, word.start_s, word.end_s) for word in words]
    save_file({"sound": sound}, partial, {"words": json.dumps(listed)})
    partial.replace(path)
