"""Spoken utterances for training: synthesised once, kept in shards, read at random.

A folder holds `shard-00000-<digest>.safetensors` … and, when all are there, `speech_set.json`. A shard's digest covers
everything that went into it (texts, voices, augmentation, seed), so that a run that was cut off, or one with other
texts, reuses exactly the shards that are still right.

A shard's tensors: `samples` int16 `(sum of T,)` at 16 kHz, `offsets` int64 `(N + 1,)`, `text_ids` int64 `(N,)`,
`voices` int64 `(N,)` (places in the list of names in `speech_set.json`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import Progress
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from s2i_core.corpus.augment import Augmentation, Waveform, augment, resample, trim_silence
from s2i_core.corpus.sources.voices import UnspeakableText, Voice, voice_named
from s2i_core.errors import S2IError

RATE_HZ = 16_000
INDEX_FILE = "speech_set.json"
FORMAT_VERSION = 1


class SpeechSetError(S2IError):
    """A speech set is unfinished, damaged or of another version."""


@dataclass(frozen=True)
class Utterance:
    """A text, who says it, and how.

    Args:
        text_id: the caller's number of the text; many utterances may share it.
        text: what is said.
        voice: a name of `sources.voices`, for example `espeak:en-us+f3`.
        speed: 1.0 is the voice's ordinary rate.
        pitch: 0 to 1, 0.5 is the voice's own.
    """

    text_id: int
    text: str
    voice: str
    speed: float = 1.0
    pitch: float = 0.5


def cast(
    texts: Sequence[str],
    voices: Sequence[str],
    *,
    takes: int = 1,
    speed: tuple[float, float] = (0.8, 1.3),
    pitch: tuple[float, float] = (0.3, 0.7),
    seed: int = 0,
) -> list[Utterance]:
    """Give every text to `takes` different voices at random, each with a speed and pitch of its own.

    Args:
        texts: what is said; a text's id is its place here.
        voices: names to draw from, for example `sources.voices.TRAIN`; at least `takes` of them.
        takes: utterances a text.
        speed: bounds of `Utterance.speed`.
        pitch: bounds of `Utterance.pitch`.
        seed: of the draw; a text's voices depend on it and on the text's place only.
    """
    utterances = []
    for text_id, text in enumerate(texts):
        rng = np.random.default_rng([seed, text_id])
        for voice in rng.choice(len(voices), size=takes, replace=False):
            own_speed, own_pitch = (round(float(rng.uniform(*bounds)), 2) for bounds in (speed, pitch))
            utterances.append(Utterance(text_id, text, voices[voice], own_speed, own_pitch))
    return utterances


VoiceOf = Callable[[Utterance], Voice]


def synthetic_voice(utterance: Utterance) -> Voice:
    """The voice that `sources.voices` has for an utterance."""
    return voice_named(utterance.voice, utterance.speed, utterance.pitch)


@dataclass(frozen=True)
class _Shard:
    """One shard to be made; a process can be handed it."""

    path: Path
    first: int
    utterances: tuple[Utterance, ...]
    voices: tuple[str, ...]
    augmentation: Augmentation | None
    seed: int
    voice_of: VoiceOf


def build_speech_set(
    utterances: Sequence[Utterance],
    out_dir: Path,
    *,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    voice_of: VoiceOf = synthetic_voice,
    shard_size: int = 1000,
    workers: int = 1,
) -> SpeechSet:
    """Say every utterance and write the set; shards that exist are not made again.

    An utterance that has no sound (a text of punctuation only) is left out and named in the index.

    Args:
        utterances: what is said; the order is kept.
        out_dir: the set's folder, made if need be.
        augmentation: what recording does to the voices; None keeps them clean.
        seed: of the augmentation; an utterance's own randomness depends on it and on the utterance's place only.
        voice_of: makes the voice of an utterance; importable by name if there is more than one worker.
        shard_size: utterances a shard.
        workers: processes; 1 works in this one.

    Raises:
        VoiceError: an utterance names a voice that does not exist.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    voices = tuple(sorted({utterance.voice for utterance in utterances}))
    shards = []
    for first in range(0, len(utterances), shard_size):
        chosen = tuple(utterances[first : first + shard_size])
        digest = _digest(first, chosen, voices, augmentation, seed)
        path = out_dir / f"shard-{first // shard_size:05d}-{digest}.safetensors"
        shards.append(_Shard(path, first, chosen, voices, augmentation, seed, voice_of))
    with Progress() as progress:
        task = progress.add_task(f"speech set {out_dir.name}", total=len(utterances))
        todo = []
        for shard in shards:
            if shard.path.is_file():
                progress.advance(task, len(shard.utterances))
            else:
                todo.append(shard)
        for count in _write_all(todo, workers):
            progress.advance(task, count)
    _write_index(out_dir, shards, voices, augmentation, seed)
    return SpeechSet.open(out_dir)


class SpeechSet:
    """A finished set, read from disk an utterance at a time; cheap to hand to another process."""

    def __init__(self, folder: Path, paths: Sequence[Path], voices: Sequence[str]) -> None:
        self.folder = folder
        self._paths = list(paths)
        self._voices = list(voices)
        loaded = [_read_columns(path) for path in paths]
        self._offsets = [columns["offsets"] for columns in loaded]
        self._starts = np.cumsum([0, *(len(columns["text_ids"]) for columns in loaded)])
        none = np.zeros(0, np.int64)
        #: `(N,)` int64: the text of each utterance.
        self.text_ids: npt.NDArray[np.int64] = np.concatenate([none, *(columns["text_ids"] for columns in loaded)])
        self._voice_places: npt.NDArray[np.int64] = np.concatenate([none, *(columns["voices"] for columns in loaded)])
        #: `(N,)` float64: how long each utterance is.
        self.durations_s = np.concatenate([none, *(np.diff(offsets) for offsets in self._offsets)]) / RATE_HZ

    @classmethod
    def open(cls, folder: Path) -> SpeechSet:
        """Open a set that `build_speech_set` has finished.

        Raises:
            SpeechSetError: the folder holds no finished set, another version's, or a shard is missing or damaged.
        """
        index = folder / INDEX_FILE
        remedy = "build the set again into this folder: shards that are right are kept"
        if not index.is_file():
            raise SpeechSetError(str(folder), f"there is no {INDEX_FILE}, so the set is not finished", remedy)
        facts = json.loads(index.read_text())
        if facts["version"] != FORMAT_VERSION:
            raise SpeechSetError(str(index), f"it is of version {facts['version']}, not {FORMAT_VERSION}", remedy)
        paths = [folder / name for name in facts["shards"]]
        for path in paths:
            if not path.is_file():
                raise SpeechSetError(str(path), "the shard is missing", remedy)
        return cls(folder, paths, facts["voices"])

    def __len__(self) -> int:
        return len(self.text_ids)

    def __getitem__(self, place: int) -> tuple[Waveform, int, str]:
        """The waveform `(T,)` float32 at RATE_HZ, the text's id and the voice's name."""
        place = range(len(self))[place]
        shard = int(np.searchsorted(self._starts, place, side="right")) - 1
        inside = place - int(self._starts[shard])
        start, end = self._offsets[shard][inside : inside + 2]
        with safe_open(self._paths[shard], framework="np") as file:
            samples = file.get_slice("samples")[int(start) : int(end)]
        waveform = np.divide(samples, 32768, dtype=np.float32)
        return waveform, int(self.text_ids[place]), self._voices[self._voice_places[place]]

    def voice_names(self) -> list[str]:
        """Who says each utterance `(N,)`."""
        return [self._voices[place] for place in self._voice_places]

    def __iter__(self) -> Iterator[tuple[Waveform, int, str]]:
        return (self[place] for place in range(len(self)))


def _write_all(shards: Sequence[_Shard], workers: int) -> Iterator[int]:
    if workers == 1:
        yield from map(_write_shard, shards)
        return
    # Not forked: the engines hold locks and threads, which do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_write_shard, shards)


def _write_shard(shard: _Shard) -> int:
    spoken: list[npt.NDArray[np.int16]] = []
    kept: list[Utterance] = []
    silent: list[dict[str, str | int]] = []
    for place, utterance in enumerate(shard.utterances, shard.first):
        try:
            waveform, rate_hz = shard.voice_of(utterance).say(utterance.text)
        except UnspeakableText as error:
            silent.append({"place": place, "text_id": utterance.text_id, "reason": error.reason})
            continue
        waveform = resample(trim_silence(waveform, rate_hz), rate_hz, RATE_HZ)
        if shard.augmentation is not None:
            waveform = augment(waveform, RATE_HZ, shard.augmentation, np.random.default_rng([shard.seed, place]))
        spoken.append(np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16))
        kept.append(utterance)
    tensors = {
        "samples": np.concatenate([np.zeros(0, np.int16), *spoken]),
        "offsets": np.cumsum([0, *(len(samples) for samples in spoken)], dtype=np.int64),
        "text_ids": np.array([utterance.text_id for utterance in kept], np.int64),
        "voices": np.array([shard.voices.index(utterance.voice) for utterance in kept], np.int64),
    }
    # The process id keeps two builders of one folder apart; the last one to finish wins, and either is right.
    partial = shard.path.with_suffix(f".{os.getpid()}.partial")
    save_file(tensors, partial, metadata={"left_out": json.dumps(silent)})
    partial.replace(shard.path)
    return len(shard.utterances)


def _write_index(
    out_dir: Path, shards: Sequence[_Shard], voices: Sequence[str], augmentation: Augmentation | None, seed: int
) -> None:
    left_out = []
    for shard in shards:
        with safe_open(shard.path, framework="np") as file:
            left_out += json.loads(file.metadata()["left_out"])
    facts = {
        "version": FORMAT_VERSION,
        "rate_hz": RATE_HZ,
        "seed": seed,
        "augmentation": augmentation and augmentation.model_dump(),
        "shards": [shard.path.name for shard in shards],
        "voices": voices,
        "left_out": left_out,
    }
    partial = out_dir / f"{INDEX_FILE}.{os.getpid()}.partial"
    partial.write_text(json.dumps(facts, indent=1) + "\n")
    partial.replace(out_dir / INDEX_FILE)


def _read_columns(path: Path) -> dict[str, npt.NDArray[np.int64]]:
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in ("offsets", "text_ids", "voices")}
    except SafetensorError as error:
        raise SpeechSetError(
            str(path), f"the shard is damaged: {error}", "delete it and build the set again: the others are kept"
        ) from error


def _digest(
    first: int,
    utterances: Sequence[Utterance],
    voices: Sequence[str],
    augmentation: Augmentation | None,
    seed: int,
) -> str:
    # Without augmentation neither seed nor place matters, and a clean set that grows keeps its first shards.
    chance = [seed, first, augmentation.model_dump()] if augmentation else None
    contents = [FORMAT_VERSION, chance, voices, [astuple(utterance) for utterance in utterances]]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()[:16]
