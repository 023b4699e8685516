"""The features must be Whisper's own, or the pretrained encoder hears something else."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from s2i_core.audio.features import log_mel, padded_samples

RATE = 16_000


def speech_like(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose loudness and colour change, so that bands differ by tens of decibels."""
    random = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    time_s = np.arange(samples) / RATE
    noise = np.cumsum(random.normal(size=samples)) * 0.001 + 0.02 * random.normal(size=samples)
    return (noise * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time_s)) + 0.2 * np.sin(2 * np.pi * 440 * time_s)).astype(
        np.float32
    )


@pytest.mark.parametrize("seconds", [0.013, 0.5, 1.0, 1.001, 4.0, 12.0, 28.99, 29.5, 29.999, 30.0])
def test_agrees_with_transformers(seconds: float) -> None:
    waveform = speech_like(seconds)
    padded = np.zeros(padded_samples(len(waveform)), dtype=np.float32)
    padded[: len(waveform)] = waveform
    reference = WhisperFeatureExtractor()(
        padded, sampling_rate=RATE, padding="longest", return_tensors="np"
    ).input_features[0]
    ours = log_mel(waveform)
    assert ours.dtype == np.float16
    assert ours.shape == reference.shape == (80, len(padded) // 160)
    # Half a unit of float16 at a magnitude below 2 is 0.0005.
    np.testing.assert_allclose(ours.astype(np.float32), reference, atol=6e-4)


@pytest.mark.parametrize(
    ("seconds", "expected_s"),
    [(0, 2), (0.5, 2), (1, 2), (1.001, 4), (3, 4), (3.5, 6), (12, 14), (27, 28), (28, 30), (29, 30), (30, 30)],
)
def test_padding_leaves_a_second_of_silence(seconds: float, expected_s: int) -> None:
    assert padded_samples(round(seconds * RATE)) == expected_s * RATE


def test_silence_and_nothing_are_finite() -> None:
    for waveform in (np.zeros(0, np.float32), np.zeros(5 * RATE, np.float32)):
        assert np.isfinite(log_mel(waveform)).all()


def test_too_long_or_not_mono_is_an_error() -> None:
    with pytest.raises(ValueError, match="longer than the 30 s"):
        log_mel(np.zeros(30 * RATE + 1, np.float32))
    with pytest.raises(ValueError, match="mono"):
        log_mel(np.zeros((2, RATE), np.float32))
