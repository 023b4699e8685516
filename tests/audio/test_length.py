"""Lengths without decoding: told by a header, or estimated where a recorder wrote none."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Callable

import av
import numpy as np
import pytest

from s2i_core.audio.length import length

RATE_HZ = 48_000


def _encoded(form: str, codec: str, seconds: float, **options: str) -> bytes:
    """Noise that is loud and quiet by turns, quieter at the beginning, so that bit rates differ along the way."""
    file = io.BytesIO()
    with av.open(file, "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=RATE_HZ, layout="mono")
        resampler = av.AudioResampler(stream.format.name, "mono", RATE_HZ)
        noise = np.random.default_rng(0)
        for second in range(round(seconds)):
            loud = 0.01 if second < 5 or second % 3 == 0 else 0.2
            samples = (noise.normal(0, loud, (1, RATE_HZ))).astype(np.float32).clip(-1, 1)
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            frame.sample_rate, frame.pts = RATE_HZ, second * RATE_HZ
            for piece in resampler.resample(frame):
                container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def _unfinished_wav(said: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(b"\1\0" * 16_000 * 30)
    data = bytearray(file.getvalue())
    data[4:8] = data[40:44] = struct.pack("<I", said)
    return bytes(data)


def _flac_of_unknown_length() -> bytes:
    data = bytearray(_encoded("flac", "flac", 40))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return bytes(data)


@pytest.mark.parametrize(
    ("made", "seconds", "estimated", "off"),
    [
        (lambda: _encoded("webm", "libopus", 120, live="1"), 120, True, 0.02),
        (lambda: _encoded("matroska", "libopus", 20, live="1"), 20, True, 0.02),
        (lambda: _encoded("webm", "libopus", 20), 20, False, 0.01),
        (lambda: _encoded("adts", "aac", 200), 200, True, 0.1),
        (lambda: _encoded("mp3", "libmp3lame", 200, write_xing="0"), 200, True, 0.1),
        (lambda: _encoded("mp3", "libmp3lame", 20), 20, False, 0.01),
        (_flac_of_unknown_length, 40, True, 0.1),
        (lambda: _encoded("flac", "flac", 20), 20, False, 0.01),
        (lambda: _encoded("ogg", "libopus", 20), 20, False, 0.01),
        (lambda: _encoded("ogg", "libopus", 20) + _encoded("ogg", "libopus", 40), 60, True, 0.2),
        (lambda: _encoded("ogg", "libopus", 5) + _encoded("ogg", "libopus", 5), 10, True, 0.1),
        (lambda: _unfinished_wav(0), 30, False, 0.01),
        (lambda: _unfinished_wav(0xFFFFFFFF), 30, False, 0.01),
    ],
)
def test_how_long_it_is(made: Callable[[], bytes], seconds: float, estimated: bool, off: float) -> None:
    data = made()
    found = length(io.BytesIO(data), len(data))
    assert found.seconds == pytest.approx(seconds, rel=off)
    assert found.estimated is estimated


def test_only_some_of_a_file_is_read() -> None:
    data = _encoded("adts", "aac", 400)
    file = _Counted(data)
    assert length(file, len(data)).seconds == pytest.approx(400, rel=0.1)
    assert file.taken < len(data) / 2
    with pytest.raises(av.error.FFmpegError):
        length(io.BytesIO(b"a shopping list"), 15)


class _Counted(io.BytesIO):
    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data
