"""Each effect does to a known signal what it says, and the same seed does the same again."""

import numpy as np
import pytest
from pydantic import ValidationError

from s2i_core.corpus.augment import (
    Augmentation,
    add_noise,
    augment,
    resample,
    rms,
    room_impulse,
    telephone,
    trim_silence,
)

RATE_HZ = 16_000


def tone(hz: float, seconds: float = 1.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def loudest_hz(waveform: np.ndarray, rate_hz: int = RATE_HZ) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.fft.rfftfreq(len(waveform), 1 / rate_hz)[spectrum.argmax()])


@pytest.mark.parametrize("target_hz", [8_000, 16_000, 24_000, 48_000])
def test_resampling_keeps_pitch_level_and_length(target_hz):
    resampled = resample(tone(440, 1.0, 22_050), 22_050, target_hz)
    assert resampled.shape == (target_hz,)
    assert loudest_hz(resampled, target_hz) == pytest.approx(440, abs=1)
    assert rms(resampled) == pytest.approx(0.5 / 2**0.5, rel=0.02)


def test_resampling_does_not_fold_high_tones_back():
    assert rms(resample(tone(7_000), RATE_HZ, 8_000)) < 0.01


def test_resampling_nothing_gives_nothing():
    assert resample(np.zeros(0, np.float32), 24_000, RATE_HZ).size == 0


def test_trimming_keeps_a_margin():
    silence = np.zeros(8_000, np.float32)
    trimmed = trim_silence(np.concatenate([silence, tone(200), silence]), RATE_HZ, margin_s=0.05)
    assert len(trimmed) == pytest.approx(RATE_HZ * 1.1, abs=20)


def test_noise_is_as_loud_as_asked():
    rng = np.random.default_rng(0)
    speech = tone(300, 4.0)
    for snr_db in (0, 10, 20):
        noise = add_noise(speech, RATE_HZ, snr_db, rng) - speech
        assert 20 * np.log10(rms(speech) / rms(noise)) == pytest.approx(snr_db, abs=0.5)


def test_a_telephone_passes_the_voice_band_only():
    assert rms(telephone(tone(1_000), RATE_HZ)) == pytest.approx(rms(tone(1_000)), rel=0.02)
    assert rms(telephone(tone(100), RATE_HZ)) < 0.02
    assert rms(telephone(tone(5_000), RATE_HZ)) < 0.02


def test_a_room_decays_as_asked():
    impulse = room_impulse(RATE_HZ, 0.5, 3.0, np.random.default_rng(0))
    echo = impulse[1:]
    assert 10 * np.log10(1 / np.sum(echo**2)) == pytest.approx(3.0, abs=0.1)
    level_db = [20 * np.log10(rms(echo[start : start + 1600])) for start in (400, 4400)]
    assert level_db[0] - level_db[1] == pytest.approx(60 * 0.25 / 0.5, abs=2)


def test_the_same_seed_gives_the_same_recording_and_another_one_another():
    always = Augmentation(
        speed_probability=1, room_probability=1, noise_probability=1, telephone_probability=1, gain_probability=1
    )
    first, again, other = (
        augment(tone(440), RATE_HZ, always, np.random.default_rng([0, place])) for place in (7, 7, 8)
    )
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)
    assert first.dtype == np.float32
    assert 10 ** (-24 / 20) * 0.99 <= np.abs(first).max() <= 1


def test_nothing_is_done_where_nothing_is_asked():
    never = Augmentation(
        speed_probability=0,
        room_probability=0,
        noise_probability=0,
        telephone_probability=0,
        gain_probability=0,
        leading_silence_s=(0, 0),
    )
    assert np.array_equal(augment(tone(440), RATE_HZ, never, np.random.default_rng(0)), tone(440))


@pytest.mark.parametrize("length", [0, 1, 5, 160])
def test_very_short_sound_survives(length):
    for seed in range(20):
        sound = augment(tone(440)[:length], RATE_HZ, Augmentation(), np.random.default_rng(seed))
        assert np.isfinite(sound).all()


def test_bounds_must_ascend():
    with pytest.raises(ValidationError, match="first bound"):
        Augmentation(snr_db=(30, 5))
