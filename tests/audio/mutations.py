"""Damaged audio files, made by seed from short recordings in the formats of the sample archive."""

from __future__ import annotations

import functools
import hashlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2i_core.audio.decode import decode
from s2i_core.audio.isolated import DecoderProcess
from s2i_core.audio.listen import listen
from s2i_core.config import AudioConfig
from s2i_core.corpus.augment import resample
from s2i_core.errors import S2IError
from tests.audio.audio_files import encoded, wav

SAMPLES = Path(__file__).parents[2] / "samples"
SECONDS = 3
#: Extremes that a field of a header may be set to.
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Mutated:
    """A damaged file. `name` says what was done to which format."""

    name: str
    data: bytes


def corpus(count: int, seed: int = 0) -> Iterator[Mutated]:
    """`count` damaged files, every format and every kind of damage in turn; equal seeds give equal files."""
    files = originals()
    kinds, damages = list(files), list(_DAMAGES)
    for index in range(count):
        random = np.random.default_rng([seed, index])
        kind = kinds[index % len(kinds)]
        damage = damages[index // len(kinds) % len(damages)]
        other = files[kinds[int(random.integers(len(kinds)))]]
        yield Mutated(f"{index:05d}-{damage}.{kind}", _DAMAGES[damage](files[kind], other, random))


@functools.cache
def originals() -> dict[str, bytes]:
    """Three seconds of speech in each format, by the name's ending."""

    def speech(name: str, rate_hz: int, channels: int) -> np.ndarray:
        with (SAMPLES / name).open("rb") as file:
            sound = np.concatenate(
                [chunk for chunk, _ in zip(decode(file, name, AudioConfig()), range(3), strict=False)]
            )
        spoken = resample(sound[16_000 : (1 + SECONDS) * 16_000], 16_000, rate_hz)
        return np.repeat(0.9 * spoken[:, None], channels, axis=1)

    return {
        "mp3": encoded(speech("music-lesson.mp3", 22_050, 2), 22_050, "mp3", "libmp3lame"),
        "flac": encoded(speech("fruit-market.flac", 16_000, 1), 16_000, "flac", "flac"),
        "ogg": encoded(speech("zoo-podcast.ogg", 48_000, 2), 48_000, "ogg", "libopus"),
        "opus": encoded(speech("sea-animals.opus", 48_000, 1), 48_000, "ogg", "libopus"),
        "m4a": encoded(speech("night-sky.m4a", 44_100, 2), 44_100, "ipod", "aac"),
        "index-first.m4a": encoded(
            speech("weather-and-seasons.m4a", 24_000, 1), 24_000, "ipod", "aac", options={"movflags": "faststart"}
        ),
        "mkv": encoded(speech("night-sky.m4a", 24_000, 1), 24_000, "matroska", "aac"),
        "wav": wav(speech("transport-over-the-telephone.wav", 8_000, 1), 8_000),
    }


Damage = Callable[[bytes, bytes, np.random.Generator], bytes]


def _flip_bits(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    damaged = np.frombuffer(data, np.uint8).copy()
    places = random.integers(len(damaged), size=int(2 ** random.uniform(0, 10)))
    damaged[places] ^= (1 << random.integers(8, size=len(places))).astype(np.uint8)
    return damaged.tobytes()


def _flip_bits_of_the_header(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    head = int(random.choice([16, 64, 256, 1024]))
    return _flip_bits(data[:head], other, random) + data[head:]


def _set_a_field(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    for _ in range(int(random.integers(1, 4))):
        width = int(random.choice([1, 2, 4]))
        value = int(random.choice(_EXTREMES)) & (256**width - 1)
        at = int(random.integers(min(len(data), 2048) - width))
        damaged[at : at + width] = value.to_bytes(width, "little" if random.integers(2) else "big")
    return bytes(damaged)


def _truncate(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    return data[: int(len(data) * random.uniform() ** 2)]


def _lose_the_start(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    return data[int(len(data) * random.uniform()) :]


def _lose_the_middle(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    start, end = sorted(random.integers(len(data), size=2))
    return data[:start] + data[end:]


def _zero_a_stretch(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    start, end = sorted(random.integers(len(data), size=2))
    return data[:start] + bytes(end - start) + data[end:]


def _splice_a_header(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    head = int(2 ** random.uniform(2, 11))
    return other[:head] + data[int(random.integers(0, 2)) * head :]


def _splice_a_body(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    return data[: int(random.integers(len(data)))] + other[int(random.integers(len(other))) :]


def _join(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    return data + data[: int(len(data) * random.uniform())] + (other if random.integers(2) else data)


def _insert_noise(data: bytes, other: bytes, random: np.random.Generator) -> bytes:
    at = int(random.integers(len(data)))
    return data[:at] + random.bytes(int(2 ** random.uniform(0, 14))) + data[at:]


_DAMAGES: dict[str, Damage] = {
    "bits": _flip_bits,
    "header-bits": _flip_bits_of_the_header,
    "field": _set_a_field,
    "truncated": _truncate,
    "no-start": _lose_the_start,
    "no-middle": _lose_the_middle,
    "zeros": _zero_a_stretch,
    "spliced-header": _splice_a_header,
    "spliced-body": _splice_a_body,
    "noise": _insert_noise,
    "joined": _join,
}


def bombs() -> Iterator[Mutated]:
    """Small files that claim, or unpack to, far more than they hold."""
    silence = np.zeros((SECONDS * 16_000, 1))
    days = bytearray(wav(silence, 16_000))
    days[4:8] = days[40:44] = b"\xff\xff\xff\xff"
    yield Mutated("claims-days.wav", bytes(days))
    for rate_hz in (1, 0xFFFFFFFF):
        odd = bytearray(days)
        odd[24:28] = rate_hz.to_bytes(4, "little")
        yield Mutated(f"rate-{rate_hz}.wav", bytes(odd))
    # An index of 50 million packets out of eight bytes; another of 2 thousand million.
    for packets in (50_000_000, 0x7FFFFFFF):
        index = bytearray(originals()["index-first.m4a"])
        at = index.index(b"stsz")
        index[at + 8 : at + 16] = (1).to_bytes(4, "big") + packets.to_bytes(4, "big")
        yield Mutated(f"index-{packets}.m4a", bytes(index))
    yield Mutated("hours-of-nothing.wv", encoded(np.zeros((5_000 * 2_000, 1), np.float32), 2_000, "wv", "wavpack"))


@dataclass(frozen=True)
class Outcome:
    """What became of a file. `kind`: ok, or the class of the error. `cpu_s`: of the worker, without its decoder."""

    name: str
    kind: str
    reason: str
    seconds: float
    cpu_s: float
    decoder_died: bool


def outcome(process: DecoderProcess, mutated: Mutated, config: AudioConfig) -> Outcome:
    """Hears the file to its end, as a decode worker does. Only errors of s2i are outcomes; others are raised."""
    began, cpu = time.monotonic(), time.process_time()
    kind, reason = "ok", ""
    try:
        listening = listen(io.BytesIO(mutated.data), mutated.name, config, process.decode)
        for _ in listening:
            pass
        assert listening.result.sha256 == hashlib.sha256(mutated.data).hexdigest()
    except S2IError as error:
        kind, reason = type(error).__name__, error.reason
    died = "decoder crashed" in reason or "no progress" in reason
    return Outcome(mutated.name, kind, reason, time.monotonic() - began, time.process_time() - cpu, died)
