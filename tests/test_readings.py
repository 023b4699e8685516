"""Readings: different things, the likeliest first; what was refused and all that is like it is gone."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import doubting_pipeline

from s2i_core import steps
from s2i_core.audio.listen import Utterance
from s2i_core.records import Scene


@pytest.fixture(scope="module")
def model():
    return doubting_pipeline().model


@pytest.fixture(scope="module")
def utterances(model):
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 16000)).astype(np.float32)
    return [Utterance(place, place + 1.0, model.encoder.frontend(each), -20.0) for place, each in enumerate(noise)]


def titles(things):
    return [thing.title for thing in things]


def test_all_that_can_be_named_competes(model, utterances):
    found = steps.readings(utterances, model, 4)
    assert len(set(titles(found))) == 4
    assert titles(steps.readings(utterances, model, 9))[:4] == titles(found)
    assert len(steps.readings(utterances, model, 9)) == 6, "there are no more"
    assert all(0 <= thing.start_s < thing.end_s for thing in found)


def test_what_was_chosen_before_is_first_and_what_was_refused_is_gone(model, utterances):
    before = titles(steps.readings(utterances, model, 6))
    found = titles(steps.readings(utterances, model, 3, first=("no such thing", before[5]), without=before[:2]))
    assert found == [before[5], before[2], before[3]]


def test_nearly_the_same_is_no_choice(model, utterances):
    grounding, vocabulary = model.encoder.grounding
    first, second = titles(steps.readings(utterances, model, 2))
    vectors = vocabulary.vectors.copy()
    vectors[list(vocabulary.titles).index(second)] = vectors[list(vocabulary.titles).index(first)]
    model.encoder.grounding = grounding, replace(vocabulary, vectors=vectors)
    try:
        assert not {first, second} <= set(titles(steps.readings(utterances, model, 6)))
    finally:
        model.encoder.grounding = grounding, vocabulary


def test_a_scene_takes_a_meaning_and_says_it_again(model, utterances):
    embedded = steps.embed(utterances, model)
    (scene,) = _planned(embedded)
    things = steps.readings(utterances, model, 2)
    meant = steps.meaning(scene, things)
    assert meant.things == titles(things) and scene.things != meant.things
    back = steps.shown_things(meant)
    assert titles(back) == titles(things)
    assert [thing.confidence for thing in back] == pytest.approx([thing.confidence for thing in things], abs=1e-3)
    assert np.array_equal(back[0].vector, things[0].vector)


def _planned(embedded) -> list[Scene]:
    from s2i_core.config import SceneConfig
    from s2i_core.scenes import plan_scenes

    names = {"recording_id": "0" * 32, "model_digest": "m", "plan_digest": "p", "run_id": "r"}
    return plan_scenes(embedded, [], SceneConfig(min_s=1, max_s=9), least=0.999, **names)
