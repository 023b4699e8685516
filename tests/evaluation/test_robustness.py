"""The sounds of the test, and the file that they go through."""

import io

import numpy as np

from s2i_core.audio.decode import decode
from s2i_core.config import AudioConfig
from s2i_core.evaluation.robustness import _DISTURBANCES, _limited, _sounds, wav


def test_a_sound_comes_back_from_its_file():
    sound = np.sin(np.arange(16_000) * 0.05).astype(np.float32) * 0.5
    back = np.concatenate(list(decode(io.BytesIO(wav(sound)), "sound", AudioConfig())))
    np.testing.assert_allclose(back, sound, atol=1e-3)


def test_sounds_are_all_there_within_bounds_and_only_one_is_silent():
    kinds = dict(_sounds())
    assert len(kinds) >= 8
    every = [sound for sounds in kinds.values() for sound in sounds]
    assert all(np.isfinite(sound).all() and np.abs(sound).max() <= 1 for sound in every)
    assert sum(not sound.any() for sound in every) == 1


def test_noise_at_0_db_is_as_loud_as_the_speech():
    speech = np.sin(np.arange(32_000) * 0.3).astype(np.float32) * 0.3
    noisy = _DISTURBANCES["noise 0 dB"](speech, np.random.default_rng(0))
    noise = noisy - speech
    assert 0.8 < np.sqrt((noise**2).mean()) / np.sqrt((speech**2).mean()) < 1.25
    assert np.abs(_limited(noisy * 10)).max() <= 0.951
