"""What a composed scene shows, as plain data."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any, Literal

from s2i_core.models.decoders.native.places import Time
from s2i_core.models.decoders.native.reference import Slot

Size = Literal["big", "small"]
Relation = Literal["left", "right", "above", "front", "next"]

#: One in this many (concept, setting) and (concept, colour) pairs is held out for testing.
HOLD_OUT_EVERY = 10


@dataclass(frozen=True)
class Group:
    """One to four of the same thing."""

    sprite: int
    concept: str
    count: int = 1
    colour: str | None = None
    size: Size | None = None


@dataclass(frozen=True)
class SceneSpec:
    """Everything about a scene, as plain data.

    Attributes:
        groups: what captions speak of, in the order of speaking.
        slots: every instance in its place, left to right, then top to bottom.
        relation: how the first group stands to the second.
        setting: a key of `backgrounds.SETTINGS`.
        time: the time of day.
        told_setting: whether captions must name the setting; else it is the one that the first concept brings along.
        told_time: the same for the time of day.
        seed: decides the details of the background.
    """

    groups: tuple[Group, ...]
    slots: tuple[Slot, ...]
    setting: str
    seed: int
    relation: Relation | None = None
    time: Time = "day"
    told_setting: bool = False
    told_time: bool = False

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SceneSpec:
        """The spec that `to_json` wrote."""
        data: dict[str, Any] = json.loads(text)
        groups = tuple(Group(**group) for group in data.pop("groups"))
        slots = tuple(Slot(**{**slot, "box": tuple(slot["box"])}) for slot in data.pop("slots"))
        return cls(groups=groups, slots=slots, **data)


def split_of(spec: SceneSpec) -> Literal["train", "test"]:
    """The half of the data that a scene belongs to.

    A tenth of the (concept, told setting) and (concept, colour) pairs is kept from training, so that a test on it is
    about new combinations of things that were all seen before.
    """
    for group in spec.groups:
        if spec.told_setting and _held_out(group.concept, f"in {spec.setting}"):
            return "test"
        if group.colour and _held_out(group.concept, f"of {group.colour}"):
            return "test"
    return "train"


def _held_out(concept: str, combination: str) -> bool:
    return zlib.crc32(f"{concept}|{combination}".encode()) % HOLD_OUT_EVERY == 0
