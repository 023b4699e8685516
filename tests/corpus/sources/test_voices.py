"""The roles of voices: what a test hears was never in training."""

import itertools

import pytest

from s2i_core.corpus.sources.voices import (
    DEV,
    KOKORO_DEV,
    KOKORO_TEST,
    KOKORO_TRAIN,
    TEST,
    TRAIN,
    Espeak,
    Flite,
    Kokoro,
    Piper,
    UnspeakableText,
    VoiceError,
    voice_named,
)


def test_no_voice_has_two_roles():
    for one, other in itertools.combinations((TRAIN, DEV, TEST), 2):
        assert not set(one) & set(other)
    assert len(set(TRAIN)) == len(TRAIN)


def test_no_timbre_of_espeak_has_two_roles():
    timbres = [{name.partition("+")[2] for name in role if name.startswith("espeak:")} for role in (TRAIN, DEV, TEST)]
    for one, other in itertools.combinations(timbres, 2):
        assert one
        assert not one & other


def test_every_role_has_both_sexes_and_both_accents_of_kokoro():
    assert len(KOKORO_TRAIN + KOKORO_DEV + KOKORO_TEST) == 28
    for role in (KOKORO_TRAIN, KOKORO_DEV, KOKORO_TEST):
        assert {name[0] for name in role} == {"a", "b"}
        assert {name[1] for name in role} == {"f", "m"}


def test_a_name_gives_its_voice():
    assert voice_named("kokoro:af_heart", speed=1.2) == Kokoro("af_heart", 1.2)
    assert voice_named("espeak:en-us+f3", speed=1.25, pitch=0.4) == Espeak("en-us+f3", rate_wpm=200, pitch=40)
    assert voice_named("piper:joe", speed=1.1) == Piper("joe", 1.1)
    assert voice_named("flite:slt", speed=0.9) == Flite("slt", 0.9)
    with pytest.raises(VoiceError, match="no such engine"):
        voice_named("sam:old")


@pytest.mark.parametrize("name", ["kokoro:af_heart", "piper:joe", "flite:slt", "espeak:en-us+f3"])
@pytest.mark.parametrize("text", ["", "...", "?!"])
def test_punctuation_has_no_sound(name, text):
    with pytest.raises(UnspeakableText, match="no letter or digit"):
        voice_named(name).say(text)
