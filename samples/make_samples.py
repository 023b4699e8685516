"""Make the sample archive from the scripts beside this file: `python -m samples.make_samples`.

Needs the `train` extra (a neural voice says every sentence) and takes about ten minutes on one core; a sentence that was
said before comes from the cache. The same machine makes the same bytes again; other processors may differ in the last
bits of a sample.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from rich.progress import track

from s2i_core.training.augment import resample
from s2i_core.training.sources.packages import default_cache
from s2i_core.training.sources.voices import KOKORO_MODEL_PARTS, KOKORO_RATE_HZ, KOKORO_VOICES, voice_named

FOLDER = Path(__file__).resolve().parent

PEAK = 10 ** (-3 / 20)
SPEECH_RMS = 0.08
PAUSE_S = (0.6, 1.0)
TOPIC_PAUSE_S = 1.5
EDGE_S = 0.5
STEREO_WIDTH = 0.35

Stereo = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """One sentence of a script."""

    topic: str
    speaker: str
    voice: str
    text: str


@dataclass(frozen=True)
class Script:
    """One recording to be made: what is said, and how it is encoded."""

    title: str
    file: str
    codec: str
    rate_hz: int
    channels: int
    bit_rate: int | None
    voices: dict[str, str]
    parts: list[dict[str, Any]]

    def lines(self, part: dict[str, Any]) -> Iterator[Line]:
        """The sentences of a part; a script of one voice leaves the speaker's name out."""
        for text in part.get("lines", []):
            speaker, _, sentence = text.partition(": ") if len(self.voices) > 1 else (next(iter(self.voices)), "", text)
            yield Line(part["topic"], speaker, self.voices[speaker], sentence)


@dataclass
class Recording:
    """Sound `(2, T)` at KOKORO_RATE_HZ, and what is heard when."""

    sound: Stereo
    events: list[dict[str, Any]] = field(default_factory=list)


def load_scripts() -> list[Script]:
    """Every script of the archive, by file name."""
    scripts = []
    for path in sorted((FOLDER / "scripts").glob("*.toml")):
        fields = tomllib.loads(path.read_text())
        scripts.append(Script(parts=fields.pop("part"), bit_rate=fields.pop("bit_rate", None), **fields))
    return scripts


def say(line: Line) -> npt.NDArray[np.float32]:
    """The sentence `(T,)` at KOKORO_RATE_HZ, without silence at its ends, all voices equally loud; cached."""
    pins = [KOKORO_VOICES.sha256, *(package.sha256 for package in KOKORO_MODEL_PARTS)]
    key = hashlib.sha256("\n".join([line.voice, line.text, *pins]).encode()).hexdigest()[:24]
    path = default_cache().parent / "samples" / f"{key}.npy"
    if path.is_file():
        spoken: npt.NDArray[np.float32] = np.load(path)
    else:
        spoken, _ = voice_named(line.voice).say(line.text)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, spoken)
        partial.replace(path)
    loud = np.flatnonzero(np.abs(spoken) > 0.01)
    margin = round(0.03 * KOKORO_RATE_HZ)
    spoken = spoken[max(0, loud[0] - margin) : loud[-1] + margin]
    return (spoken * (SPEECH_RMS / np.sqrt(np.mean(spoken**2)))).astype(np.float32)
