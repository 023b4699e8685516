"""What the pictures of a lecture show, against what is named in their scenes: the whole way but for the drawing."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2i_core import identity, steps
from s2i_core.audio.listen import listen
from s2i_core.config import RunConfig
from s2i_core.evaluation.lectures.score import SLACK_S, TimedMention
from s2i_core.evaluation.lectures.spoken import Lecture
from s2i_core.evaluation.robustness import wav
from s2i_core.models.contracts import Model
from s2i_core.records import Scene, Status
from s2i_core.weights import least_heard


@dataclass(frozen=True)
class Picture:
    """A picture of a scene; `shows` are the titles of what it looks up in the library."""

    start_s: float
    end_s: float
    shows: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """Over some lectures.

    Attributes:
        pictures: how many there are.
        right: share of them that show something that is named in their scene; NaN where there is none.
        things_right: share of what they show that is named in their scene.
        a_minute: pictures in a minute of talk.
        a_minute_of_names: the same in passages that name something.
        heard_s_a_minute: seconds of one core to decode, find speech, encode, hear and plan a minute of talk.
        minutes: how long the lectures are.
    """

    pictures: int
    right: float
    things_right: float
    a_minute: float
    a_minute_of_names: float
    heard_s_a_minute: float
    minutes: float


def planned(model: Model, config: RunConfig, sound: NDArray[np.float32]) -> list[Scene]:
    """The scenes of a recording `(T,)` at 16 kHz."""
    listening = listen(io.BytesIO(wav(sound)), "lecture", config.audio, frontend=model.encoder.frontend)
    utterances = list(listening)
    embedded = steps.embed(utterances, model, least_heard(config)) if utterances else []
    return steps.plan(
        embedded,
        listening.result.gaps,
        config,
        recording_id="lecture",
        encoder_digest=model.encoder_digest,
        run_id="evaluation",
    )


def pictures(model: Model, config: RunConfig, scenes: Sequence[Scene]) -> list[Picture]:
    """What is looked up for the scenes that get a picture; needs a decoder that looks things up (the native one)."""
    wanted = [scene for scene in scenes if scene.status == Status.OK]
    if not wanted:
        return []
    seeds = [identity.seed(scene.scene_id) for scene in wanted]
    plans = model.decoder.plan(model.decoder.predict(steps.focus(wanted, model)), config.image, seeds)
    return [
        Picture(scene.start_s, scene.end_s, tuple(dict.fromkeys(slot.concept for slot in own.slots)))
        for scene, own in zip(wanted, plans, strict=True)
    ]


def named_in(picture: Picture, said: Sequence[TimedMention]) -> list[bool]:
    """Of each thing that a picture shows, whether it is named in its scene."""
    return [
        any(
            title in mention.accepted
            and mention.start_s < picture.end_s + SLACK_S
            and mention.end_s > picture.start_s - SLACK_S
            for mention in said
        )
        for title in picture.shows
    ]


def measure(
    model: Model,
    config: RunConfig,
    recordings: Sequence[tuple[Lecture, NDArray[np.float32]]],
    tell: Callable[[str], None] = lambda _: None,
) -> Shown:
    """Set the pictures of lectures, which came through as these sounds `(T,)`, against what is said in them."""
    judged: list[list[bool]] = []
    heard_s = minutes = naming = 0.0
    of_naming = 0
    for lecture, sound in recordings:
        tell(f"{lecture.title}, {lecture.voice}")
        since = time.process_time()
        scenes = planned(model, config, sound)
        heard_s += time.process_time() - since
        own = [named_in(picture, lecture.said) for picture in pictures(model, config, scenes)]
        judged += own
        minutes += lecture.duration_s / 60
        if any(mention.needed for mention in lecture.said):
            naming += lecture.duration_s / 60
            of_naming += len(own)
    things = [right for own in judged for right in own]
    return Shown(
        pictures=len(judged),
        right=sum(map(any, judged)) / len(judged) if judged else float("nan"),
        things_right=sum(things) / len(things) if things else float("nan"),
        a_minute=len(judged) / minutes if minutes else 0.0,
        a_minute_of_names=of_naming / naming if naming else 0.0,
        heard_s_a_minute=heard_s / minutes if minutes else 0.0,
        minutes=minutes,
    )
