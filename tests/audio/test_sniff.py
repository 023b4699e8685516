"""What a file is by its first bytes: files of every kind, and of none."""

from __future__ import annotations

import io
import json
import random
import zipfile

import numpy as np
import pytest
from audio_files import encoded, tone, wav
from PIL import Image

from s2i_core.audio.sniff import SNIFF_BYTES, format_of

KINDS = [
    ("mp3", "libmp3lame", 44_100, "MP3"),
    ("mp2", "mp2", 48_000, "MP3"),
    ("mp4", "aac", 48_000, "MP4"),
    ("mov", "aac", 48_000, "MP4"),
    ("ipod", "aac", 48_000, "MP4"),
    ("adts", "aac", 48_000, "AAC"),
    ("ogg", "libopus", 48_000, "Ogg"),
    ("flac", "flac", 16_000, "FLAC"),
    ("matroska", "libopus", 48_000, "Matroska"),
    ("webm", "libopus", 48_000, "Matroska"),
    ("wav", "pcm_s16le", 16_000, "WAV"),
    ("aiff", "pcm_s16be", 16_000, "AIFF"),
    ("au", "pcm_s16be", 16_000, "AU"),
    ("caf", "pcm_s16le", 16_000, "CAF"),
    ("avi", "libmp3lame", 44_100, "AVI"),
    ("mpegts", "aac", 48_000, "MPEG-TS"),
    ("mpeg", "mp2", 48_000, "MPEG"),
    ("asf", "libmp3lame", 44_100, "ASF"),
    ("ac3", "ac3", 48_000, "AC-3"),
    ("ac3", "ac3", 44_100, "AC-3"),
    ("eac3", "eac3", 48_000, "AC-3"),
    ("wv", "wavpack", 16_000, "WavPack"),
    ("tta", "tta", 16_000, "TTA"),
    ("w64", "pcm_s16le", 16_000, "W64"),
    ("flv", "libmp3lame", 44_100, "FLV"),
    ("voc", "pcm_u8", 16_000, "VOC"),
]


@pytest.mark.parametrize(("container", "codec", "rate_hz", "name"), KINDS, ids=[f"{k[0]}-{k[2]}" for k in KINDS])
def test_files_of_every_kind(container: str, codec: str, rate_hz: int, name: str) -> None:
    data = encoded(tone(0.5, rate_hz), rate_hz, container, codec)
    assert format_of(data[:SNIFF_BYTES]) == name
    assert format_of(data) == name  # a file that is all there is


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_mp3_of_any_rate_with_and_without_a_tag(rate_hz: int) -> None:
    options = {"id3v2_version": "0", "write_xing": "0"}
    data = encoded(tone(1, rate_hz), rate_hz, "mp3", "libmp3lame", options=options)[:SNIFF_BYTES]
    for before in (b"", b"ID3\x04\0\0\0\0\0\0", bytes(100)):  # players skip zeros
        assert format_of(before + data) == "MP3"


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("talk.mp3", encoded(tone(0.2, 44_100), 44_100, "mp3", "libmp3lame"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\0" * SNIFF_BYTES,
        b"\xff" * SNIFF_BYTES,
        b"Just some words, and then some more of them.\n" * 50,
        "Wörter in UTF-16, wie sie Windows schreibt.\n".encode("utf-16") * 50,
        b"\xef\xbb\xbf{}",
        json.dumps({"talk": 1}).encode(),
        b"<!DOCTYPE html><html></html>",
        b"%PDF-1.7\n",
        b"\0\0\0\x1cftypheic" + bytes(100),
        b"\0\0\0\x1cftypavif" + bytes(100),
        b"RIFF\x24\0\0\0WEBPVP8 " + bytes(100),
        picture("png"),
        picture("jpeg"),
        picture("gif"),
        picture("webp"),
        picture("bmp"),
        picture("tiff"),
        archive(),
    ],
    # Short of the time that a zip file says it was made at: processes side by side must name tests alike.
    ids=lambda data: ascii(data[:10]),
)
def test_what_is_no_recording(data: bytes) -> None:
    assert format_of(data[:SNIFF_BYTES]) is None


def test_noise_is_no_recording() -> None:
    chance = random.Random(0)
    for sync in (b"", b"\xff\xfb", b"\xff\xf1", b"\x0b\x77", b"G"):
        found = sum(format_of(sync + chance.randbytes(SNIFF_BYTES)) is not None for _ in range(2_000))
        assert found <= 10


def test_a_wave_file_cut_in_its_header_is_still_one() -> None:
    assert format_of(wav(tone(1, 16_000), 16_000)[:20]) == "WAV"
