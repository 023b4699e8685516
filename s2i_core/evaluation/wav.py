"""A sound as a file, for what is measured on the product's way, which begins with bytes."""

from __future__ import annotations

import io

import av
import numpy as np
from numpy.typing import NDArray

from s2i_core.audio.features import SAMPLING_RATE_HZ


def wav(sound: NDArray[np.float32]) -> bytes:
    """A sound `(T,)` at 16 kHz as the bytes of a file."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLING_RATE_HZ, layout="mono")
        samples = (sound.clip(-1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16", layout="mono")
        frame.sample_rate = SAMPLING_RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()
