"""Edit lists: those that cut nothing out are told from those that do, and audio is the same either way."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from audio.audio_files import encoded

from s2i_core.audio import decode as decoding
from s2i_core.audio.mp4 import plays_whole
from s2i_core.config import AudioConfig

SAMPLES = Path(__file__).parents[2] / "samples"


def box(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4, "big") + kind.encode() + body


def numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big", signed=value < 0) for value in values)


def mp4(*edits: tuple[int, int, int], movie_length: int = 10_000, lists: bool = True) -> bytes:
    """Ten seconds at 44.1 kHz, in a movie that counts milliseconds."""
    listed = box("edts", box("elst", numbers(0, len(edits)), *(numbers(*edit) for edit in edits))) if lists else b""
    media = box("mdia", box("mdhd", numbers(0, 0, 0, 44_100, 441_000, 0)))
    movie = box("moov", box("mvhd", numbers(0, 0, 0, 1_000, movie_length)), box("trak", box("tkhd"), listed, media))
    return box("ftyp", b"M4A ") + box("mdat", bytes(1000)) + movie


def whole(data: bytes) -> bool:
    return plays_whole(io.BytesIO(data), len(data))


SPEED = 1 << 16


@pytest.mark.parametrize(
    ("data", "plays"),
    [
        (mp4(lists=False), True),
        (mp4((9_950, 2_112, SPEED)), True),
        (mp4((0, 1_024, SPEED)), True),
        (mp4((5_000, 1_024, SPEED)), False),
        (mp4((4_000, 264_600, SPEED)), False),
        (mp4((1_000, -1, SPEED), (9_000, 0, SPEED)), False),
        (mp4((9_950, 0, SPEED // 2)), False),
        (mp4(), False),
    ],
    ids=["none", "priming", "unknown length", "end cut", "start cut", "late", "slow", "empty list"],
)
def test_lists_that_cut_are_told_from_those_that_do_not(data: bytes, plays: bool) -> None:
    assert whole(data) is plays


def test_damage_counts_as_unusual() -> None:
    good = mp4((9_950, 2_112, SPEED))
    random = np.random.default_rng(0)
    for _ in range(2_000):
        bad = bytearray(good)
        for at in random.integers(0, len(bad), 3):
            bad[at] = random.integers(256)
        whole(bytes(bad[: random.integers(1, len(bad) + 1)]))
    assert not whole(b"") and not whole(good[:-1]) and not whole(box("ftyp", b"M4A "))


def test_the_audio_is_the_same_without_the_second_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    tone = np.sin(np.arange(5 * 44_100) / 20)[:, None].astype(np.float32) / 2
    files = [encoded(tone, 44_100, "ipod", "aac"), (SAMPLES / "night-sky.m4a").read_bytes()]

    def heard(data: bytes) -> np.ndarray:
        return np.concatenate(list(decoding.decode(io.BytesIO(data), "x.m4a", AudioConfig())))

    before = [heard(data) for data in files]
    asked = []

    def noted(file, size_bytes):
        asked.append(plays_whole(file, size_bytes))
        return asked[-1]

    monkeypatch.setattr(decoding, "_LARGE_BYTES", 0)
    monkeypatch.setattr(decoding.mp4, "plays_whole", noted)
    for data, audio in zip(files, before, strict=True):
        np.testing.assert_array_equal(heard(data), audio)
    assert asked == [True, True]
