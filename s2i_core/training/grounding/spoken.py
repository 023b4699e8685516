"""Sentences by synthetic voices with the time of each word: clean speech in shards that a later run goes on from.

A folder holds `shard-00000-<digest>.safetensors` …: `samples` int16 `(sum of T,)` at 16 kHz, `offsets` int64
`(N + 1,)`, `words` int64 `(W, 3)` (utterance, and the word's place in its text as of a slice), `times_s` float32
`(W, 2)`; and, in the header, the texts and the voices. A shard's digest covers what is said, by whom and how.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from safetensors import safe_open
from safetensors.numpy import save_file

from s2i_core.corpus.augment import resample
from s2i_core.corpus.sources import voices
from s2i_core.corpus.sources.voices import UnspeakableText
from s2i_core.corpus.sources.word_times import TimedWord
from s2i_core.corpus.speech_set import RATE_HZ, Utterance, VoiceOf, synthetic_voice

_BETWEEN = 0.4
"""Share of Kokoro's utterances by a voice between two of its voices, which is as good as another speaker."""


@dataclass(frozen=True)
class Said:
    """An utterance as it was spoken.

    Attributes:
        text: what is said.
        voice: by whom.
        waveform: `(T,)`, float32 at 16 kHz, clean.
        words: in the order of time.
    """

    text: str
    voice: str
    waveform: NDArray[np.float32]
    words: tuple[TimedWord, ...]


def cast(texts: Sequence[str], engine: str, rng: np.random.Generator) -> list[Utterance]:
    """Each text by a training voice of this engine, with a speed and a pitch of its own."""
    names = voices.TRAIN_BY_ENGINE[engine]
    chosen = []
    for number, text in enumerate(texts):
        voice = names[int(rng.integers(len(names)))]
        if engine == "kokoro" and rng.random() < _BETWEEN:
            voice += "&" + names[int(rng.integers(len(names)))].partition(":")[2]
        speed, pitch = round(float(rng.uniform(0.85, 1.3)), 2), round(float(rng.uniform(0.3, 0.7)), 2)
        chosen.append(Utterance(number, text, voice, speed, pitch))
    return chosen


def speak(
    utterances: Sequence[Utterance], folder: Path, shard_size: int = 100, voice_of: VoiceOf = synthetic_voice
) -> None:
    """Say every utterance; shards that exist are not made again, and what has no sound is left out.

    Raises:
        VoiceError: an utterance names a voice that does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for first in track(range(0, len(utterances), shard_size), description=folder.name):
        chosen = utterances[first : first + shard_size]
        digest = hashlib.sha256(json.dumps([astuple(utterance) for utterance in chosen]).encode()).hexdigest()[:16]
        path = folder / f"shard-{first // shard_size:05d}-{digest}.safetensors"
        if not path.is_file():
            _write(path, [said for utterance in chosen if (said := _say(utterance, voice_of))])


def read(path: Path) -> Iterator[Said]:
    """The utterances of one shard."""
    with safe_open(path, framework="np") as file:
        samples, offsets, words, times_s = (
            file.get_tensor(name) for name in ("samples", "offsets", "words", "times_s")
        )
        texts, names = (json.loads(file.metadata()[name]) for name in ("texts", "voices"))
    for number, (text, voice) in enumerate(zip(texts, names, strict=True)):
        sound = np.divide(samples[offsets[number] : offsets[number + 1]], 32768, dtype=np.float32)
        own = words[:, 0] == number
        timed = zip(words[own].tolist(), times_s[own].tolist(), strict=True)
        yield Said(text, voice, sound, tuple(TimedWord(a, b, start_s, end_s) for (_, a, b), (start_s, end_s) in timed))


def _say(utterance: Utterance, voice_of: VoiceOf) -> Said | None:
    try:
        spoken = voice_of(utterance).say_timed(utterance.text)
    except UnspeakableText:
        return None
    return Said(utterance.text, utterance.voice, resample(spoken.waveform, spoken.rate_hz, RATE_HZ), spoken.words)


def _write(path: Path, said: Sequence[Said]) -> None:
    samples = [np.round(np.clip(one.waveform, -1, 1) * 32767).astype(np.int16) for one in said]
    words = [(number, word.start, word.end) for number, one in enumerate(said) for word in one.words]
    times_s = [(word.start_s, word.end_s) for one in said for word in one.words]
    tensors = {
        "samples": np.concatenate([np.zeros(0, np.int16), *samples]),
        "offsets": np.cumsum([0, *(len(sound) for sound in samples)], dtype=np.int64),
        "words": np.array(words, np.int64).reshape(-1, 3),
        "times_s": np.array(times_s, np.float32).reshape(-1, 2),
    }
    header = {"texts": json.dumps([one.text for one in said]), "voices": json.dumps([one.voice for one in said])}
    # The process id keeps two builders of one folder apart; the last one to finish wins, and either is right.
    partial = path.with_suffix(f".{os.getpid()}.partial")
    save_file(tensors, partial, metadata=header)
    partial.replace(path)
