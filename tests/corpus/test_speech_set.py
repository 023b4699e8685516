"""A speech set holds what was said, resumes without saying it again, and says so when it is unfinished."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from s2i_core.corpus.augment import Augmentation
from s2i_core.corpus.sources.voices import UnspeakableText, VoiceError
from s2i_core.corpus.speech_set import (
    INDEX_FILE,
    RATE_HZ,
    SpeechSet,
    SpeechSetError,
    Utterance,
    build_speech_set,
    cast,
    synthetic_voice,
)

VOICE_RATE_HZ = 22_050


@dataclass(frozen=True)
class Sweep:
    """A voice that says a text as a rising tone: a tenth of a second a letter, from a pitch of its own."""

    start_hz: float

    def say(self, text: str) -> tuple[np.ndarray, int]:
        if not text.strip("."):
            raise UnspeakableText("sweep", f"the text {text!r} has no sound", "give it words")
        time_s = np.arange(len(text) * VOICE_RATE_HZ // 10) / VOICE_RATE_HZ
        return (0.5 * np.sin(2 * np.pi * (self.start_hz + 50 * time_s) * time_s)).astype(np.float32), VOICE_RATE_HZ


def sweep(utterance: Utterance) -> Sweep:
    return Sweep({"low": 200.0, "high": 800.0}[utterance.voice])


def utterances(count: int) -> list[Utterance]:
    return [Utterance(100 + place, "dog" + "!" * (place % 4), ("low", "high")[place % 2]) for place in range(count)]


def shards(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*")}


def test_every_utterance_can_be_read_back_in_order(tmp_path):
    built = build_speech_set(utterances(7), tmp_path, voice_of=sweep, shard_size=3)
    opened = SpeechSet.open(tmp_path)
    assert len(built) == len(opened) == 7
    assert len(shards(tmp_path)) == 3
    for place, (waveform, text_id, voice) in enumerate(opened):
        assert (text_id, voice) == (100 + place, ("low", "high")[place % 2])
        assert waveform.dtype == np.float32
        assert len(waveform) / RATE_HZ == pytest.approx(0.3 + 0.1 * (place % 4), abs=0.01)
        assert len(waveform) / RATE_HZ == opened.durations_s[place]
        spectrum = np.abs(np.fft.rfft(waveform))
        assert (np.fft.rfftfreq(len(waveform), 1 / RATE_HZ)[spectrum.argmax()] > 500) == (voice == "high")
    assert list(opened.text_ids) == list(range(100, 107))
    assert np.array_equal(opened[-1][0], opened[6][0])
    with pytest.raises(IndexError):
        opened[7]


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(tmp_path):
    class Interrupted(Exception):
        pass

    said: list[int] = []

    def dies_at_fifth(utterance: Utterance) -> Sweep:
        if utterance.text_id == 104:
            raise Interrupted
        return sweep(utterance)

    def counted(utterance: Utterance) -> Sweep:
        said.append(utterance.text_id)
        return sweep(utterance)

    with pytest.raises(Interrupted):
        build_speech_set(utterances(6), tmp_path, voice_of=dies_at_fifth, shard_size=2)
    with pytest.raises(SpeechSetError, match="not finished"):
        SpeechSet.open(tmp_path)
    before = shards(tmp_path)
    assert len(before) == 2
    assert len(build_speech_set(utterances(6), tmp_path, voice_of=counted, shard_size=2)) == 6
    assert said == [104, 105]
    assert before.items() <= shards(tmp_path).items()


def test_changed_texts_are_said_again_and_the_others_are_not(tmp_path):
    build_speech_set(utterances(6), tmp_path, voice_of=sweep, shard_size=2)
    before = shards(tmp_path)
    changed = [*utterances(4), Utterance(7, "a cat", "low"), Utterance(8, "a cow", "high")]
    built = build_speech_set(changed, tmp_path, voice_of=sweep, shard_size=2)
    assert before.items() <= shards(tmp_path).items()
    assert len(shards(tmp_path)) == 4
    assert list(built.text_ids) == [100, 101, 102, 103, 7, 8]


def test_texts_without_sound_are_left_out_and_named(tmp_path):
    texts = [Utterance(1, "dog", "low"), Utterance(2, "...", "low"), Utterance(3, "cat", "high")]
    built = build_speech_set(texts, tmp_path, voice_of=sweep)
    assert list(built.text_ids) == [1, 3]
    assert '"text_id": 2' in (tmp_path / INDEX_FILE).read_text()


def test_augmentation_follows_the_seed_and_not_the_shards(tmp_path):
    settings = Augmentation()
    one, two, three = (
        build_speech_set(
            utterances(4), tmp_path / name, voice_of=sweep, augmentation=settings, seed=seed, shard_size=size
        )
        for name, seed, size in (("one", 1, 2), ("two", 1, 4), ("three", 2, 4))
    )
    assert all(np.array_equal(one[place][0], two[place][0]) for place in range(4))
    assert not all(np.array_equal(one[place][0], three[place][0]) for place in range(4))


def test_worker_processes_make_the_same_set(tmp_path):
    alone = build_speech_set(utterances(4), tmp_path / "alone", voice_of=sweep, shard_size=2)
    together = build_speech_set(utterances(4), tmp_path / "together", voice_of=sweep, shard_size=2, workers=2)
    assert all(np.array_equal(alone[place][0], together[place][0]) for place in range(4))


def test_a_missing_shard_is_named(tmp_path):
    build_speech_set(utterances(4), tmp_path, voice_of=sweep, shard_size=2)
    lost = sorted(tmp_path.glob("shard-*"))[1]
    lost.unlink()
    with pytest.raises(SpeechSetError, match="missing") as caught:
        SpeechSet.open(tmp_path)
    assert caught.value.subject == str(lost)


def test_a_damaged_shard_is_named(tmp_path):
    build_speech_set(utterances(4), tmp_path, voice_of=sweep, shard_size=2)
    damaged = sorted(tmp_path.glob("shard-*"))[0]
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(SpeechSetError, match="damaged"):
        SpeechSet.open(tmp_path)


def test_a_set_can_be_handed_to_another_process_and_may_be_empty(tmp_path):
    built = build_speech_set(utterances(2), tmp_path / "two", voice_of=sweep)
    copy = pickle.loads(pickle.dumps(built))
    assert np.array_equal(copy[1][0], built[1][0])
    assert len(build_speech_set([], tmp_path / "none", voice_of=sweep)) == 0


def test_an_unknown_voice_stops_the_build(tmp_path):
    with pytest.raises(VoiceError, match="no such engine"):
        build_speech_set([Utterance(1, "dog", "nobody")], tmp_path, voice_of=synthetic_voice)


def test_a_cast_gives_each_text_different_voices_whatever_comes_after_it():
    voices = [f"espeak:{number}" for number in range(20)]
    short, long = cast(["dog", "cat"], voices, takes=5), cast(["dog", "cat", "cow"], voices, takes=5)
    assert long[:10] == short
    assert [utterance.text_id for utterance in short] == [0] * 5 + [1] * 5
    assert len({utterance.voice for utterance in short[:5]}) == 5
    assert all(0.8 <= utterance.speed <= 1.3 and 0.3 <= utterance.pitch <= 0.7 for utterance in short)
    assert cast(["dog"], voices, takes=5, seed=1) != short[:5]
