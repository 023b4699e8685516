"""What the pictures of a lecture show, against what is named in their scenes: the whole way but for the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s2i_core import identity, steps
from s2i_core.config import RunConfig
from s2i_core.evaluation.lectures.heard import Hearing
from s2i_core.evaluation.lectures.score import SLACK_S, TimedMention
from s2i_core.models.contracts import Model
from s2i_core.records import Scene, Status


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
        named: for each picture, of each thing that it shows, whether it is named in its scene.
        of_naming: how many of the pictures are of lectures that name something.
        minutes: how long the lectures are.
        naming_minutes: how long those are that name something.
        heard_s: seconds of one core to decode, find speech, encode and hear them.
    """

    named: tuple[tuple[bool, ...], ...]
    of_naming: int
    minutes: float
    naming_minutes: float
    heard_s: float

    @property
    def pictures(self) -> int:
        """How many there are."""
        return len(self.named)

    @property
    def right(self) -> list[bool]:
        """Of each picture, whether it shows something that is named in its scene."""
        return [any(own) for own in self.named]

    @property
    def things_right(self) -> list[bool]:
        """Of each thing in a picture, whether it is named in its scene."""
        return [right for own in self.named for right in own]

    @property
    def a_minute(self) -> float:
        """Pictures in a minute of talk."""
        return self.pictures / self.minutes if self.minutes else 0.0

    @property
    def a_minute_of_names(self) -> float:
        """The same in lectures that name something."""
        return self.of_naming / self.naming_minutes if self.naming_minutes else 0.0

    @property
    def heard_s_a_minute(self) -> float:
        """Seconds of one core to hear a minute of talk."""
        return self.heard_s / self.minutes if self.minutes else 0.0


def planned(hearing: Hearing, model: Model, config: RunConfig) -> list[Scene]:
    """The scenes of a recording."""
    return steps.plan(
        hearing.embedded,
        hearing.gaps,
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


def named_in(picture: Picture, said: Sequence[TimedMention]) -> tuple[bool, ...]:
    """Of each thing that a picture shows, whether it is named in its scene."""
    return tuple(
        any(
            title in mention.accepted
            and mention.start_s < picture.end_s + SLACK_S
            and mention.end_s > picture.start_s - SLACK_S
            for mention in said
        )
        for title in picture.shows
    )


def measure(model: Model, config: RunConfig, hearings: Sequence[Hearing]) -> Shown:
    """Set the pictures of lectures against what is said in them."""
    named: list[tuple[bool, ...]] = []
    minutes = naming_minutes = 0.0
    of_naming = 0
    for hearing in hearings:
        said, own_minutes = hearing.lecture.said, hearing.lecture.duration_s / 60
        own = [named_in(picture, said) for picture in pictures(model, config, planned(hearing, model, config))]
        named += own
        minutes += own_minutes
        if any(mention.needed for mention in said):
            naming_minutes += own_minutes
            of_naming += len(own)
    return Shown(tuple(named), of_naming, minutes, naming_minutes, sum(hearing.cost_s for hearing in hearings))
