"""Whisper's log-mel spectrogram of one utterance.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2: 80 mel bands, a 25 ms
Hann window every 10 ms, the logarithm limited to 80 dB below the loudest bin. Whisper always pads to 30 s; we pad only
as needed, because the encoder works on a crop as well, but by at least one second, because a tight crop costs accuracy.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

SAMPLING_RATE_HZ = 16_000
MEL_BANDS = 80
FRAMES_PER_S = 100
WINDOW = 400
HOP = SAMPLING_RATE_HZ // FRAMES_PER_S

MIN_TRAILING_SILENCE_S = 1
LENGTH_STEP_S = 2
"""Clips are padded to a multiple of this, so that batches have few different lengths."""
MAX_LENGTH_S = 30

_POWER_FLOOR = np.float32(1e-10)
# A small divisor of every padded length: BLAS would share larger products among threads, and on a busy machine
# waiting for a second core takes longer than the work itself.
_FRAMES_AT_ONCE = 8


def padded_samples(samples: int) -> int:
    """Length of a clip of `samples` after padding: one second of silence or more, a multiple of 2 s, at most 30 s.

    Raises:
        ValueError: the clip is longer than 30 s.
    """
    longest = MAX_LENGTH_S * SAMPLING_RATE_HZ
    if samples > longest:
        raise ValueError(f"a clip of {samples} samples is longer than the {MAX_LENGTH_S} s that the encoder takes")
    step = LENGTH_STEP_S * SAMPLING_RATE_HZ
    return min(longest, -(-(samples + MIN_TRAILING_SILENCE_S * SAMPLING_RATE_HZ) // step) * step)


def log_mel(waveform: NDArray[np.floating]) -> NDArray[np.float16]:
    """Log-mel features of a clip; they depend on this clip alone.

    Args:
        waveform: `(T,)`, mono at 16 kHz, within -1 to 1, at most 30 s.

    Returns:
        `(80, F)` with `F = padded_samples(T) // 160`, that is 100 frames a second.

    Raises:
        ValueError: the waveform is not one-dimensional, or longer than 30 s.
    """
    if waveform.ndim != 1:
        raise ValueError(f"expected a mono waveform (T,), not {waveform.shape}")
    samples = len(waveform)
    total = padded_samples(samples)
    padded = np.zeros(total + WINDOW, dtype=np.float32)
    centre = padded[WINDOW // 2 : WINDOW // 2 + total]
    centre[:samples] = waveform
    # Frames are centred on their time: both ends are mirrored, without repeating the edge sample itself.
    padded[: WINDOW // 2] = centre[WINDOW // 2 : 0 : -1]
    padded[-(WINDOW // 2) :] = centre[-2 : -2 - WINDOW // 2 : -1]

    frames = total // HOP
    # Frames that see only padding are at the floor; only the others need a transform.
    sounding = frames if samples > total - WINDOW else min(frames, -(-(samples + WINDOW // 2) // HOP))
    sounding = -(-sounding // _FRAMES_AT_ONCE) * _FRAMES_AT_ONCE
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: sounding * HOP : HOP]
    spectrum = np.fft.rfft(windows * _hann_window())
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    mel = power.reshape(-1, _FRAMES_AT_ONCE, WINDOW // 2 + 1) @ mel_filters().T

    features = np.full((MEL_BANDS, frames), _POWER_FLOOR, dtype=np.float32)
    np.maximum(mel.reshape(-1, MEL_BANDS).T, _POWER_FLOOR, out=features[:, :sounding])
    np.log10(features, out=features)
    np.maximum(features, features.max() - np.float32(8.0), out=features)
    features += np.float32(4.0)
    features /= np.float32(4.0)
    return features.astype(np.float16)


class LogMel:
    """`log_mel` as a frontend (`models/contracts.py`)."""

    sampling_rate_hz = SAMPLING_RATE_HZ
    max_clip_s = float(MAX_LENGTH_S - MIN_TRAILING_SILENCE_S)
    rate_hz = float(FRAMES_PER_S)
    shape: tuple[int, ...] = (MEL_BANDS, -1)

    def __call__(self, waveform: NDArray[np.floating]) -> NDArray[np.float16]:
        """`(T,)` to `(80, F)`."""
        return log_mel(waveform)


@functools.cache
def mel_filters() -> NDArray[np.float32]:
    """Triangular mel filters `(80, 201)` over 0 to 8 kHz on Slaney's scale, each of equal area.

    Slaney, "Auditory Toolbox" (1998): linear up to 1 kHz (15 mel), then 27 steps for each factor of 6.4.
    """
    edges_hz = _mel_to_hz(np.linspace(0.0, _hz_to_mel(SAMPLING_RATE_HZ / 2), MEL_BANDS + 2))
    bins_hz = np.linspace(0.0, SAMPLING_RATE_HZ / 2, WINDOW // 2 + 1)
    lower, peak, upper = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    triangles = np.minimum((bins_hz - lower) / (peak - lower), (upper - bins_hz) / (upper - peak))
    filters = np.maximum(triangles, 0.0) * (2.0 / (upper - lower))
    return np.ascontiguousarray(filters, dtype=np.float32)


_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_FROM_MEL + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _LOG_FROM_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _LOG_FROM_MEL) - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, mel * _LINEAR_HZ_PER_MEL, logarithmic)


@functools.cache
def _hann_window() -> NDArray[np.float32]:
    # Periodic, as spectral analysis wants it: the last sample is not a second zero.
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
