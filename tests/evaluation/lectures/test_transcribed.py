"""The cascade's words get the times of those that were said."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.evaluation.lectures import transcribed
from s2i_core.evaluation.lectures.score import Guess
from s2i_core.evaluation.lectures.spoken import Lecture

SAID = (("an", 0.0, 0.2), ("owl", 0.2, 0.6), ("on", 0.6, 0.8), ("a", 0.8, 0.9), ("ladder", 0.9, 1.5))


@pytest.mark.parametrize(
    ("transcript", "times"),
    [
        ("an owl on a ladder", [(0.0, 0.2), (0.2, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.5)]),
        ("an owl a ladder", [(0.0, 0.2), (0.2, 0.6), (0.8, 0.9), (0.9, 1.5)]),
        ("an hour on a ladder", [(0.0, 0.2), (0.2, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.5)]),
        ("an owl on a ladder now", [(0.0, 0.2), (0.2, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.5), (1.5, 1.5)]),
        ("", []),
    ],
)
def test_words_are_set_against_those_that_were_said(transcript, times):
    assert transcribed.timed(transcript.split(), SAID) == times


@dataclass
class FakeCascade:
    """Hears what it is told; the vectors of two words are those of two titles."""

    text: str
    clips: list[int] = field(default_factory=list)

    def transcripts(self, features):
        self.clips.append(features[0].shape[1])
        return [self.text]

    def embed(self, texts):
        known = {"owl": [1.0, 0.0], "ladder": [0.0, 1.0]}
        return np.array([known.get(text, [0.1, 0.1]) for text in texts], np.float32)


def lecture(sound):
    return Lecture("Owls", "birds", "none", sound, (), SAID)


def test_things_are_the_titles_nearest_to_words_and_pairs_of_them():
    sound = np.zeros(2 * SAMPLING_RATE_HZ, np.float32)
    cascade = FakeCascade("An owl on a ladder.")
    heard = transcribed.hear(cascade, lecture(sound), sound, ["owl", "ladder"], np.eye(2, dtype=np.float32))
    assert heard == [Guess("owl", 0.4, 1.0), Guess("ladder", 1.2, 1.0)]


def test_silence_names_nothing():
    sound = np.zeros(SAMPLING_RATE_HZ, np.float32)
    assert transcribed.hear(FakeCascade(""), lecture(sound), sound, ["owl"], np.ones((1, 2), np.float32)) == []


def test_long_talk_is_cut_where_it_is_quiet():
    sound = np.full(60 * SAMPLING_RATE_HZ, 0.1, np.float32)
    sound[round(20.5 * SAMPLING_RATE_HZ) : 21 * SAMPLING_RATE_HZ] = 0
    cascade = FakeCascade("owl")
    transcribed.hear(cascade, lecture(sound), sound, ["owl", "ladder"], np.eye(2, dtype=np.float32))
    clips = transcribed._clips(sound)
    assert len(cascade.clips) == len(clips) >= 3
    assert len(clips[0]) / SAMPLING_RATE_HZ == pytest.approx(20.75, abs=0.2)
    assert sum(map(len, clips)) == len(sound)


def test_of_what_is_near_in_time_the_surest_stays():
    heard = [Guess("owl", 1.0, 0.5), Guess("ship", 1.2, 0.9), Guess("owl", 1.7, 0.4), Guess("ship", 2.1, 0.3)]
    assert transcribed.distinct(heard) == [Guess("ship", 1.2, 0.9), Guess("owl", 1.7, 0.4)]


def test_words_of_no_known_time_are_spread_evenly():
    sound = np.zeros(4 * SAMPLING_RATE_HZ, np.float32)
    unknown = Lecture("Owls", "birds", "none", sound, (), ())
    heard = transcribed.hear(FakeCascade("owl and a ladder"), unknown, sound, ["owl", "ladder"], np.eye(2))
    assert [(guess.title, guess.at_s) for guess in heard] == [("owl", 0.5), ("ladder", 3.5)]
