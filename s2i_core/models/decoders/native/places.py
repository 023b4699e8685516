"""The places that a picture can be set in: where things stand there, what fits, and at which times of day.

Their order is that of the layout predictor's settings. Captions for them are in `corpus/backgrounds.py`, their grounds
are painted by `painting/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from s2i_core.models.decoders.native.arrange import Stage
from s2i_core.models.decoders.native.kinds import Support

Time = Literal["day", "sunset", "night"]
TIMES: tuple[Time, ...] = get_args(Time)

RGB = tuple[int, int, int]
PLAIN: dict[str, RGB] = {
    "white": (252, 252, 252),
    "gray": (190, 193, 200),
    "red": (240, 128, 128),
    "orange": (255, 196, 140),
    "yellow": (253, 228, 145),
    "green": (190, 229, 186),
    "blue": (176, 212, 246),
    "purple": (213, 192, 240),
    "pink": (251, 206, 217),
    "black": (44, 44, 52),
}
"""The plain grounds."""


@dataclass(frozen=True)
class Place:
    """A place.

    Attributes:
        horizon: where the ground begins, as a share of the frame from the top; `None` where things float.
        stage: where things can be in it.
        times: the times of day that it can be painted in.
    """

    horizon: float | None
    stage: Stage
    times: tuple[Time, ...] = ("day",)


_DARK: tuple[Time, ...] = ("day", "night")
_BRIGHT: tuple[Time, ...] = ("day", "sunset")
PLACES: dict[str, Place] = {
    "grass": Place(0.58, Stage(0.64, 0.93, 0.55), TIMES),
    "farm": Place(0.55, Stage(0.64, 0.93, 0.50), TIMES),
    "garden": Place(0.55, Stage(0.66, 0.93, 0.52)),
    "forest": Place(0.62, Stage(0.68, 0.93, 0.55), _DARK),
    "mountains": Place(0.62, Stage(0.68, 0.93, 0.50), TIMES),
    "desert": Place(0.56, Stage(0.63, 0.93, 0.52), TIMES),
    "beach": Place(0.62, Stage(0.72, 0.94, 0.52), TIMES),
    "sea": Place(0.52, Stage(0.60, 0.88, 0.48, water=True), TIMES),
    "river": Place(0.50, Stage(0.74, 0.95, 0.46), _BRIGHT),
    "underwater": Place(None, Stage(0.90, 0.96, 0.90, floats=True)),
    "snow": Place(0.56, Stage(0.64, 0.93, 0.52), _DARK),
    "city": Place(0.66, Stage(0.73, 0.94, 0.42), TIMES),
    "road": Place(0.56, Stage(0.68, 0.93, 0.50), TIMES),
    "rails": Place(0.58, Stage(0.74, 0.945, 0.52), _DARK),
    "room": Place(0.66, Stage(0.75, 0.94, 0.60)),
    "table": Place(0.60, Stage(0.72, 0.92, 0.55)),
    "sky": Place(None, Stage(0.9, 0.95, 0.95, floats=True), _BRIGHT),
    "space": Place(None, Stage(0.9, 0.95, 0.95, floats=True)),
    "rain": Place(0.60, Stage(0.66, 0.93, 0.52)),
    "stage": Place(0.70, Stage(0.78, 0.92, 0.60)),
    **{f"plain {name}": Place(None, Stage(0.76, 0.88, 0.58)) for name in PLAIN},
}
SETTINGS = tuple(PLACES)
WITHOUT_SKY = frozenset(["underwater", "room", "table", "space", "stage", *(f"plain {name}" for name in PLAIN)])
"""Where nobody sees what time of day it is."""
_ANYWHERE = Place(None, Stage(0.76, 0.90, 0.58))
"""Where a model hears other places than these, or none."""

_UNFIT = 4.0
"""What a thing that cannot be in a place takes from its logit."""
_ODD = 1.0
"""What one takes that is seldom there."""
_AT_HOME, _AT_HOME_AT_MOST = 0.8, 1.6
"""What a thing gives to the places where one expects it, and what all of them give together."""
_HOMES: dict[str, frozenset[str]] = {
    "sea": frozenset({"underwater"}),
    "boat": frozenset({"sea", "river"}),
    "vehicle": frozenset({"road", "city"}),
    "space": frozenset({"space"}),
    "fruit": frozenset({"table"}),
    "food": frozenset({"table"}),
    "drink": frozenset({"table"}),
    "instrument": frozenset({"stage", "room"}),
    "animal": frozenset({"grass", "forest", "farm"}),
    "plant": frozenset({"garden", "grass", "forest"}),
    "building": frozenset({"grass", "city"}),
}


def named(setting: int, time: int) -> tuple[str | None, str | None]:
    """The names of a place and of its time of day; None for what has none."""
    if setting >= len(SETTINGS):
        return None, None
    return SETTINGS[setting], None if SETTINGS[setting] in WITHOUT_SKY else TIMES[time]


def place_of(setting: int, known: int) -> Place:
    """A place by its number, of a layout predictor that tells apart `known` of them."""
    return list(PLACES.values())[setting] if known == len(PLACES) else _ANYWHERE


def fitted(
    logits: NDArray[np.float32], things: Sequence[tuple[Support, float]], categories: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Logits of the settings `(S,)`, less what the things take from those in which they cannot be, and a little more
    for those where one expects them.

    What is heard of a place is heard in one sentence, the things in all of a scene: a horse among clouds is a mistake
    more often than what was meant.

    Args:
        logits: as the layout predictor has them.
        things: what bears each, and how long it is in metres.
        categories: of the things.
    """
    if len(logits) != len(PLACES):
        return logits
    taken = np.array([sum(_taken(name, *thing) for thing in things) for name in PLACES])
    given = np.array([sum(_AT_HOME for kind in categories if name in _HOMES.get(kind, ())) for name in PLACES])
    return np.asarray(logits - taken + given.clip(max=_AT_HOME_AT_MOST), np.float32)


def _taken(setting: str, support: Support, size_m: float) -> float:
    if setting == "sky":
        return _UNFIT if support in {"ground", "water"} else 0.0
    if setting == "space":
        return _ODD if support in {"ground", "water"} else 0.0
    if setting == "underwater":
        return _UNFIT if support in {"ground", "sky"} else 0.0
    if setting == "sea":
        return _UNFIT if support == "ground" else 0.0
    if setting in {"table", "room"} and support == "ground":
        return _UNFIT if size_m > 8 else _ODD if setting == "table" and size_m > 1 else 0.0
    return 0.0
