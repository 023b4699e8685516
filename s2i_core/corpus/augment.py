"""What a recording does to a voice: a slower or faster speaker, a room, noise, a telephone line, a level.

Waveforms are float32 `(T,)` in [-1, 1]. Everything random comes from the generator that is passed in.
"""

from __future__ import annotations

from typing import Annotated

import av
import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Waveform = npt.NDArray[np.float32]

# Below this a sample of synthetic speech is silence: -40 dB of full scale.
_SILENCE = 0.01


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the first bound is above the second")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Augmentation(BaseModel):
    """How often each effect is used, and between which bounds its strength is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speed_probability: Probability = Field(
        0.5, description="Share of utterances played faster or slower, pitch included."
    )
    speed: Range = Field((0.9, 1.1), description="Factor of speed; 1.1 is faster and higher.")
    room_probability: Probability = Field(0.4, description="Share of utterances heard in a room.")
    reverberation_s: Range = Field((0.1, 0.6), description="Time in which the room's echo falls by 60 dB (RT60).")
    direct_to_room_db: Range = Field((-2.0, 12.0), description="Energy of the direct sound over that of the echo.")
    noise_probability: Probability = Field(0.6, description="Share of utterances with noise added.")
    snr_db: Range = Field((5.0, 30.0), description="Level of the speech over the noise.")
    telephone_probability: Probability = Field(
        0.15, description="Share of utterances cut to 300-3400 Hz (8 kHz telephone)."
    )
    gain_probability: Probability = Field(0.8, description="Share of utterances whose level is changed.")
    peak_db: Range = Field((-24.0, -0.5), description="Peak after the change of level, of full scale.")
    leading_silence_s: Range = Field((0.0, 0.4), description="Silence before the speech; noise and room cover it too.")


def augment(waveform: Waveform, rate_hz: int, settings: Augmentation, rng: np.random.Generator) -> Waveform:
    """Return the waveform `(T,)` as one random recording of it, `(T',)`, with a peak of at most 1."""

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability)

    sound = waveform
    if happens(settings.speed_probability):
        # Whole per cents: libswresample builds a filter for each new ratio.
        factor = round(rng.uniform(*settings.speed), 2)
        sound = resample(sound, round(rate_hz * factor), rate_hz)
    lead = np.zeros(round(rng.uniform(*settings.leading_silence_s) * rate_hz), np.float32)
    sound = np.concatenate([lead, sound])
    if happens(settings.room_probability):
        impulse = room_impulse(
            rate_hz, rng.uniform(*settings.reverberation_s), rng.uniform(*settings.direct_to_room_db), rng
        )
        sound = _convolve(sound, impulse)
    if happens(settings.noise_probability):
        sound = add_noise(sound, rate_hz, rng.uniform(*settings.snr_db), rng)
    if happens(settings.telephone_probability):
        sound = telephone(sound, rate_hz)
    peak = float(np.abs(sound).max(initial=0.0))
    if peak > 0 and happens(settings.gain_probability):
        sound = sound * np.float32(10 ** (rng.uniform(*settings.peak_db) / 20) / peak)
    elif peak > 1:
        sound = sound / np.float32(peak)
    return sound


def resample(waveform: Waveform, rate_hz: int, target_hz: int) -> Waveform:
    """Return the waveform `(T,)` at another sampling rate, `(ceil(T * target_hz / rate_hz),)`, band-limited."""
    if rate_hz == target_hz or not waveform.size:
        return waveform
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform[None], np.float32), format="fltp", layout="mono")
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=target_hz)
    # Of a sound shorter than its filter the resampler returns nothing.
    pieces = [np.zeros(0, np.float32)]
    pieces += [piece.to_ndarray()[0] for source in (frame, None) for piece in resampler.resample(source)]
    length = -(-len(waveform) * target_hz // rate_hz)
    resampled = np.concatenate(pieces)[:length]
    return np.pad(resampled, (0, length - len(resampled))).astype(np.float32, copy=False)


def trim_silence(waveform: Waveform, rate_hz: int, margin_s: float = 0.05) -> Waveform:
    """Cut silence off both ends of clean synthetic speech `(T,)`, but for a margin."""
    loud = np.flatnonzero(np.abs(waveform) > _SILENCE)
    if not loud.size:
        return waveform
    margin = round(margin_s * rate_hz)
    return waveform[max(0, loud[0] - margin) : loud[-1] + 1 + margin]


def rms(waveform: npt.NDArray[np.floating]) -> float:
    """Root mean square of a waveform of any shape."""
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def room_impulse(rate_hz: int, rt60_s: float, direct_to_room_db: float, rng: np.random.Generator) -> Waveform:
    """A room's impulse response `(T,)`: the direct sound, then noise that decays exponentially (Polack's model)."""
    time_s = np.arange(round(rt60_s * rate_hz)) / rate_hz
    echo = rng.standard_normal(len(time_s)) * 10 ** (-3 * time_s / rt60_s)
    echo[: round(rng.uniform(0.002, 0.01) * rate_hz)] = 0
    echo *= 10 ** (-direct_to_room_db / 20) / (rms(echo) * len(echo) ** 0.5)
    return np.concatenate([[1.0], echo[1:]]).astype(np.float32)


def add_noise(waveform: Waveform, rate_hz: int, snr_db: float, rng: np.random.Generator) -> Waveform:
    """Add stationary noise of a random colour, from white to brown, at a level under that of the speech itself."""
    speech = waveform[np.abs(waveform) > _SILENCE * np.abs(waveform).max(initial=0.0)]
    if not speech.size:
        return waveform
    length = _fft_length(len(waveform))
    # Flat below 50 Hz: brown noise would else be a slow drift that nobody hears.
    colour = np.maximum(1, np.fft.rfftfreq(length, 1 / rate_hz) / 50) ** -rng.uniform(0, 1)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * colour)[: len(waveform)]
    return (waveform + noise * (rms(speech) * 10 ** (-snr_db / 20) / rms(noise))).astype(np.float32)


def telephone(waveform: Waveform, rate_hz: int) -> Waveform:
    """Keep 300 to 3400 Hz, the band of a telephone line (ITU-T G.712), with edges 100 Hz wide."""
    length = _fft_length(len(waveform))
    hz = np.fft.rfftfreq(length, 1 / rate_hz)
    passed = np.clip((hz - 200) / 100, 0, 1) * np.clip((3500 - hz) / 100, 0, 1)
    return np.fft.irfft(np.fft.rfft(waveform, length) * passed)[: len(waveform)].astype(np.float32)


def _convolve(waveform: Waveform, impulse: Waveform) -> Waveform:
    total = len(waveform) + len(impulse) - 1
    length = _fft_length(total)
    return np.fft.irfft(np.fft.rfft(waveform, length) * np.fft.rfft(impulse, length))[:total].astype(np.float32)


def _fft_length(at_least: int) -> int:
    """The next multiple of a quarter of a power of two: quick to transform, and at most a quarter longer."""
    step = max(2, 1 << max(0, at_least.bit_length() - 3))
    return -(-at_least // step) * step
