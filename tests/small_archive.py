"""A small archive for tests: short recordings cut from the samples, and settings that suit a tiny model."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import av
import numpy as np

from s2i_core.storage.objects import ObjectStore

SAMPLES = Path(__file__).parent.parent / "samples"
#: A random model is never sure of anything, and its pictures need not be good.
SETTINGS = {"scenes.min_confidence": -1, "image.steps": 1, "image.guidance": 1, "image.size_px": 64}
_RATE_HZ = 16000


def clip(name: str, start_s: float, end_s: float) -> bytes:
    """A stretch of a sample as a WAV file, mono at 16 kHz."""
    resampler = av.AudioResampler("s16", "mono", _RATE_HZ)
    parts: list[np.ndarray] = []
    length = 0
    with av.open(str(SAMPLES / name)) as container:
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                parts.append(piece.to_ndarray()[0])
                length += len(parts[-1])
            if length >= end_s * _RATE_HZ:
                break
    samples = np.concatenate(parts)[round(start_s * _RATE_HZ) : round(end_s * _RATE_HZ)]
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_RATE_HZ)
        out.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def keys(objects: ObjectStore, uri: str, prefix: str = "") -> list[str]:
    """Keys in the bucket of a destination."""
    return [item.key for item in objects.list(uri.removeprefix("s3://"), prefix)]
