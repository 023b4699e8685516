"""A passage is spoken with the times of what it names, and comes through a channel."""

import numpy as np
import pytest

from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.corpus.augment import rms
from s2i_core.evaluation.lectures.passages import Script, line
from s2i_core.evaluation.lectures.spoken import speak, through

PASSAGE = Script("Owls", "birds", (line("Up there, an [owl] saw it all."), line("Then the (monk) took a [ladder].")))
VOICE = "espeak:en+m8"


@pytest.fixture
def lecture(tmp_path, monkeypatch):
    pytest.importorskip("espeakng_loader")
    monkeypatch.setenv("S2I_CACHE", str(tmp_path))
    return speak(PASSAGE, VOICE)


def test_what_is_named_has_its_time(lecture):
    words = [word for word, _, _ in lecture.words]
    assert words[:4] == ["up", "there,", "an", "owl"] or words[:4] == ["up", "there", "an", "owl"]
    owl, monk, ladder = lecture.said
    assert (owl.needed, monk.needed, ladder.needed) == (True, False, True)
    assert 0.5 < owl.start_s < owl.end_s < monk.start_s < monk.end_s < ladder.start_s < ladder.end_s
    assert ladder.end_s < lecture.duration_s
    loud = lecture.sound[round(owl.start_s * SAMPLING_RATE_HZ) : round(owl.end_s * SAMPLING_RATE_HZ)]
    assert rms(loud) > 0.02


def test_the_second_time_it_comes_from_the_cache(lecture, monkeypatch):
    monkeypatch.setattr("s2i_core.evaluation.lectures.spoken.voice_named", None)
    again = speak(PASSAGE, VOICE)
    np.testing.assert_array_equal(again.sound, lecture.sound)
    assert again.said == lecture.said


def test_channels_change_the_sound_and_not_its_length(lecture):
    clean, noise, telephone = (through(lecture, channel) for channel in ("clean", "noise", "telephone"))
    assert clean is lecture.sound
    assert len(noise) == len(telephone) == len(clean)
    assert rms(noise[:4000]) > 10 * rms(clean[:4000])
    high = np.abs(np.fft.rfft(telephone))[round(len(clean) * 4000 / SAMPLING_RATE_HZ) :]
    assert high.max() < 1e-2 * np.abs(np.fft.rfft(telephone)).max()
    np.testing.assert_array_equal(noise, through(lecture, "noise"))
