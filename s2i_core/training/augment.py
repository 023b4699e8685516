"""What a recording does to a voice: another sampling rate, a room, noise, a telephone, a slower or faster speaker.

Waveforms are float32 `(T,)` in [-1, 1].
"""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]


def resample(waveform: Waveform, rate_hz: int, target_hz: int) -> Waveform:
    """Return the waveform `(T,)` at another sampling rate, `(ceil(T * target_hz / rate_hz),)`, band-limited."""
    if rate_hz == target_hz or not waveform.size:
        return waveform
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform[None], np.float32), format="fltp", layout="mono")
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=target_hz)
    pieces = [piece.to_ndarray()[0] for source in (frame, None) for piece in resampler.resample(source)]
    length = -(-len(waveform) * target_hz // rate_hz)
    resampled = np.concatenate(pieces)[:length]
    return np.pad(resampled, (0, length - len(resampled))).astype(np.float32, copy=False)
