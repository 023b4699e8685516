"""When a scene is in doubt, and what is asked then."""

import base64
from dataclasses import replace

import numpy as np
import pytest

from cluster.serve.clips import doubt
from cluster.serve.problems import Refusal
from cluster.serve.schemas import Chosen, LiveStart
from s2i_core import steps
from s2i_core.config import SceneConfig
from s2i_core.records import Status, Thing
from s2i_core.scenes import Embedded, plan_scenes

VECTOR = np.eye(8, dtype=np.float32)[0]
LIKE, UNLIKE = VECTOR + 0.3 * np.eye(8)[1], VECTOR + 2 * np.eye(8)[2]


def scene(*things):
    """Of these titles and confidences."""
    named = [Thing(title, 0.1 * n, 0.1 * n + 0.5, sure, np.eye(8)[n]) for n, (title, sure) in enumerate(things)]
    tokens = np.zeros((2, 8), np.float16)
    (made,) = plan_scenes(
        [Embedded(0.0, 2.0, tokens, VECTOR, 0.5, 1.0, things=named)],
        [],
        SceneConfig(),
        least=0.5,
        recording_id="0" * 32,
        model_digest="m",
        plan_digest="p",
        run_id="r",
    )
    return made


def chosen(vector, thing):
    return Chosen(vector=base64.b64encode(np.asarray(vector, "<f2").tobytes()).decode(), thing=thing)


def wish(**more):
    return LiveStart(type="start", **({"choices": 3} | more))


def test_the_limit_of_a_batch_job_is_that_of_doubt():
    sure, unsure = scene(("owl", 0.6)), scene(("owl", 0.4))
    assert sure.status == Status.OK and doubt.question(sure, wish()) is None
    assert unsure.status == Status.SKIPPED and doubt.question(unsure, wish()) == doubt.Question(3, (), (), ())
    assert doubt.question(unsure, wish(choices=0)) is None


def test_what_was_not_meant_is_not_offered_again():
    asked = doubt.question(scene(("owl", 0.9)), wish(not_meant=["owl"]))
    assert asked == doubt.Question(3, (), ("owl",), ())
    # Of two things that are named it was the less sure one; whoever refuses another for it means none of them.
    two = scene(("owl", 0.9), ("ship", 0.6))
    asked = doubt.question(two, wish(not_meant=["owl", "ship"]))
    assert [thing.title for thing in asked.kept] == ["owl"]
    assert doubt.question(two, wish(not_meant=["owl", "ship", "tree"])).kept == ()
    assert [thing.title for thing in doubt.question(two, wish(not_meant=["owl"])).kept] == ["ship"]
    one, other = doubt.meanings(two, asked, [Thing(title, 1, 2, 0.1, np.eye(8)[n + 3]) for n, title in enumerate("ab")])
    assert one.things == ["owl", "a"] and other.things == ["owl", "b"]
    assert [doubt.thing_of(each, [one, other]) for each in (one, other)] == ["a", "b"]
    assert [thing.title for thing in steps.shown_things(one)] == ["owl", "a"]


def test_what_was_chosen_for_the_same_sound_comes_first():
    unsure, sure = scene(("owl", 0.4)), scene(("owl", 0.9))
    assert doubt.question(unsure, wish(chosen=[chosen(UNLIKE, "fox"), chosen(LIKE, "key")])).first == ("key",)
    assert doubt.question(unsure, wish(chosen=[chosen(UNLIKE, "fox")])).first == ()
    # It was corrected once: the correction, and what it would draw.
    assert doubt.question(sure, wish(chosen=[chosen(LIKE, "key")])).first == ("key", "owl")
    assert doubt.question(sure, wish(chosen=[chosen(LIKE, "owl")])) is None
    # Of another model, or refused since.
    assert doubt.question(sure, wish(chosen=[chosen(LIKE[:4], "key"), chosen([np.nan] * 8, "key")])) is None
    assert doubt.question(unsure, wish(chosen=[chosen(LIKE, "key")], not_meant=["key"])).first == ()


def test_what_is_no_vector_is_refused():
    with pytest.raises(Refusal, match="base64"):
        doubt.question(scene(), wish(chosen=[Chosen(vector="not base64!", thing="key")]))


def test_a_model_without_single_things_is_in_doubt_where_a_batch_job_skips():
    whole = replace(scene(("owl", 0.9)), things=None)
    assert doubt.question(whole, wish()) is None
