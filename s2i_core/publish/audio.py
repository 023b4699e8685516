"""Sound for a page: small, played by every current browser, and on the clock that the scenes were planned on."""

from __future__ import annotations

import io
import itertools
from contextlib import closing
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from s2i_core.audio.decode import decode
from s2i_core.audio.isolated import Decode
from s2i_core.config import AudioConfig

# Opus in WebM: free, and played by current Chromium builds, Firefox and Safari alike, which AAC and Ogg are not.
_TYPE = "audio/webm"
_BITS_PER_S = 32_000
_RATE_HZ = 48_000


def web_audio(
    file: BinaryIO, name: str = "audio", config: AudioConfig | None = None, decode: Decode = decode
) -> tuple[bytes, str]:
    """Mono Opus in WebM at 32 kbit/s: 14 MB an hour; equal audio gives equal bytes.

    It is decoded by the same decoder as the speech, so that a picture's time means the same instant in both, damaged
    and odd files included.

    Args:
        file: any recording that `audio.decode` reads; seekable; stays open.
        name: its URI or path, for messages.
        config: limits on size and time.
        decode: a decoder in this process, or `DecoderProcess.decode` for files that nobody vouches for.

    Returns:
        The file's bytes and its MIME type.

    Raises:
        DecodeError, LimitExceeded: as `audio.decode.decode`.
    """
    settings = (config or AudioConfig()).model_copy(update={"sampling_rate_hz": _RATE_HZ})
    out = io.BytesIO()
    # Bit-exact: neither random ids nor the encoder's version in the file.
    with (
        closing(decode(file, name, settings)) as decoder,
        av.open(out, "w", format="webm", options={"fflags": "+bitexact"}) as container,
    ):
        stream = container.add_stream("libopus", rate=_RATE_HZ, layout="mono", options={"flags": "+bitexact"})
        stream.bit_rate = _BITS_PER_S
        position = 0
        for chunk in decoder:
            frame = av.AudioFrame.from_ndarray(chunk[None], format="flt", layout="mono")
            frame.sample_rate, frame.pts = _RATE_HZ, position
            position += len(chunk)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue(), _TYPE


def levels(audio: bytes, bars: int) -> list[float]:
    """Loudness over the length of a recording, for drawing: `bars` values, 0 for silence, 1 for its loudest parts.

    Args:
        audio: a file that `audio.decode` reads.
        bars: how many values.

    Raises:
        DecodeError: it isn't such a file.
    """
    config = AudioConfig()
    # Short blocks first, for the length of a stream is known at its end only.
    block = config.sampling_rate_hz // 50
    powers: list[NDArray[np.float32]] = []
    rest = np.empty(0, np.float32)
    with decode(io.BytesIO(audio), "audio", config) as decoder:
        for chunk in decoder:
            samples = np.concatenate([rest, chunk])
            whole = len(samples) // block * block
            powers.append(np.square(samples[:whole]).reshape(-1, block).mean(axis=1))
            rest = samples[whole:]
    power = np.concatenate([*powers, np.zeros(1, np.float32)])
    edges = np.linspace(0, len(power), bars + 1)
    means = [float(power[int(a) : max(int(a) + 1, int(b))].mean()) for a, b in itertools.pairwise(edges)]
    # The square root of the amplitude is near to how loud it sounds; the 98th percentile forgives a single click.
    loud = np.power(np.asarray(means), 0.25)
    top = float(np.percentile(loud, 98)) or 1.0
    return [round(min(1.0, float(value) / top), 3) if top > 1e-3 else 0.0 for value in loud]
