"""Recordings and pictures made in code, for the tests of what is published."""

import io
import wave

import numpy as np

from s2i_core.config import ImageConfig
from s2i_core.publish.images import encode_image

RATE_HZ = 16_000


def wav(*parts, rate_hz=RATE_HZ):
    """A WAV file, mono, 16 bit, of float parts `(T,)` end to end."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.concatenate(parts) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def tone(seconds, level=0.5, hz=440.0, rate_hz=RATE_HZ):
    """A sine `(T,)`."""
    return level * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz)


def square(rgb, size_px=32):
    """A WebP of one colour."""
    return encode_image(np.full((size_px, size_px, 3), rgb, np.uint8), ImageConfig())
