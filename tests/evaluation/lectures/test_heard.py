"""What another listener heard takes the place of what the model did, in the same utterances."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import tiny_library, tiny_pipeline

from s2i_core.evaluation.lectures import heard, kept
from s2i_core.evaluation.lectures.heard import HeardLectures, Hearing, told
from s2i_core.evaluation.lectures.score import Guess
from s2i_core.evaluation.lectures.spoken import Lecture
from s2i_core.presets import cpu
from s2i_core.records import Gap, Skip, Thing
from s2i_core.scenes import Embedded


def utterance(start_s, things=()):
    none = np.zeros((1, 8), np.float16)
    return Embedded(start_s, start_s + 2, none, np.ones(8, np.float32), 0.5, 1.0, things=list(things))


@pytest.fixture
def library():
    library = tiny_library()
    library.vectors = np.eye(len(library), 8, dtype=np.float32)
    return library


@pytest.fixture
def hearing(library):
    lecture = Lecture("t", "topic", "v", np.zeros(16000 * 6, np.float32), (), ())
    thing = Thing("any", 0.2, 0.6, 0.8, library.vectors[1].astype(np.float16))
    return Hearing(lecture, lecture.sound, [utterance(0.0, [thing]), utterance(3.0)], [], 0.1)


def test_guesses_that_are_sure_enough_become_things_of_their_utterances(hearing, library):
    first, second = (library.infos[n].concept for n in (0, 1))
    guesses = [Guess(first, 1.0, 0.6), Guess(second, 2.3, 0.9), Guess(first, 4.0, 0.7), Guess(second, 4.5, 0.5)]
    made = told(hearing, guesses, library, limit=0.6, least=0.4)
    things = [[(thing.title, round(thing.confidence, 2)) for thing in one.things] for one in made.embedded]
    # 2.3 s lies in the pause: the nearer utterance has it.
    assert things == [[(first, 0.4), (second, 1.0)], [(first, 0.6)]]
    assert np.array_equal(made.embedded[0].things[1].vector, library.vectors[1].astype(np.float16))
    assert hearing.embedded[0].things[0].title == "any"
    assert [one.things for one in told(hearing, [], library, 0.6, 0.4).embedded] == [[], []]


def test_every_recording_is_heard_once_and_by_the_titles_of_the_library(hearing, library, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(heard, "lectures", lambda split, voices, takes: [hearing.lecture] * takes)
    monkeypatch.setattr(heard, "through", lambda lecture, channel: lecture.sound)
    monkeypatch.setattr(heard, "hear", lambda *_: asked.append(1) or replace(hearing))
    for _ in range(2):  # the second time, what was heard is on disk
        talk = HeardLectures(tiny_pipeline().model, cpu(), library, tmp_path, tmp_path / "heard", takes=2)
        assert talk.by_model("neural") is talk.by_model("neural")
        assert talk.guesses(None, "neural") == [[Guess(library.infos[1].concept, 0.4, 0.8)]] * 2
    assert len(asked) == 1  # both takes sound the same here


def test_what_was_heard_comes_back_from_disk(hearing, tmp_path):
    path = tmp_path / "heard" / "one.safetensors"
    gaps = [Gap(2.0, 3.0, Skip.SILENCE)]
    extra = replace(hearing.embedded[0], extras={"layout": np.ones((2, 3), np.float16)})
    kept.save(path, [extra, hearing.embedded[1]], gaps, 0.25)
    embedded, own_gaps, cost_s = kept.load(path)
    assert (own_gaps, cost_s, [one.things for one in embedded]) == (gaps, 0.25, [extra.things, []])
    assert np.array_equal(embedded[0].extras["layout"], extra.extras["layout"])
    assert np.array_equal(embedded[0].things[0].vector, extra.things[0].vector)
    assert (embedded[1].start_s, embedded[1].pooled.tolist()) == (3.0, hearing.embedded[1].pooled.tolist())
    kept.save(path, [], [], 0.1)
    assert kept.load(path) == ([], [], 0.1)
