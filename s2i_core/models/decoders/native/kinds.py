"""What things are by nature: how large, what bears them, and what of them is drawn.

A library says of a thing its name and its category. Sizes are those of the real world, a few names beside one for each
category; how large a thing is drawn follows from them much damped (`arrange.py`), so they need not be exact.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Support = Literal["ground", "air", "sky", "water"]
"""What bears a thing: the ground; air, in which it flies; the sky, which it is part of; water, on or in which it is."""
Figure = Literal["whole", "bust", "head"]
"""What of a being is drawn: all of it; what is above its chest, cut off straight; its head alone."""

_SIZES_M: dict[str, float] = {
    "animal": 1.2, "bird": 0.4, "sea": 0.6, "plant": 0.6, "fruit": 0.12, "food": 0.2, "drink": 0.2, "person": 1.7,
    "face": 0.4, "body": 0.5, "building": 12, "vehicle": 5, "boat": 10, "air": 12, "space": 40, "weather": 40,
    "thing": 0.35, "toy": 0.3, "clothing": 0.4, "instrument": 0.8,
}  # fmt: skip
"""Longest extent of what a category holds."""
_NAMED_M: dict[float, str] = {
    0.02: "ant bee fly ladybug mosquito beetle cricket wasp ring coin button pill seed germ",
    0.06: "spider butterfly worm caterpillar snail cockroach scorpion key egg dice cherry feather needle moth "
    "dragonfly",
    0.12: "mouse hamster frog chick watch apple candle pen pencil seashell leaf mushroom",
    0.25: "rat lizard hedgehog chipmunk squirrel rabbit bat book crown rose tulip",
    0.5: "cat hen chicken duck rooster raccoon skunk badger otter beaver koala penguin monkey turtle snake eagle owl "
    "crow parrot dove goose backpack suitcase television sunflower pumpkin",
    0.9: "dog fox swan flamingo peacock turkey sheep goat pig wolf chair table guitar child baby seedling",
    2.0: "lion tiger leopard gorilla kangaroo deer donkey bear dolphin bicycle motorcycle sofa bed door piano "
    "snowman bathtub ladder umbrella parasol cactus boar ram ewe bull",
    3.0: "horse cow ox camel zebra moose bison buffalo rhinoceros hippopotamus crocodile unicorn llama shark "
    "tent canoe",
    5.0: "elephant giraffe mammoth dinosaur tyrannosaurus dragon car taxi tractor hut squid tree palm",
    12.0: "whale bus truck lorry tram house church shop balloon helicopter fountain pine",
    25.0: "castle factory temple tower train locomotive ship ferry airplane rocket stadium school hospital hotel "
    "mosque synagogue lighthouse skyscraper bridge",
    150.0: "mountain volcano island rainbow city glacier canyon",
}  # fmt: skip
"""Things of a name's last word that are smaller or larger than most of their category."""
_NAMED = {name: size for size, names in _NAMED_M.items() for name in names.split()}

_SKY = frozenset(
    {
        "sun", "moon", "star", "cloud", "rainbow", "comet", "planet", "earth", "saturn", "bolt", "lightning",
        "snowflake", "thunderstorm", "fireworks", "meteor"
    }
)  # fmt: skip
_FLIES = frozenset(
    {
        "bee", "butterfly", "fly", "mosquito", "bat", "eagle", "dove", "angel", "fairy", "superhero", "ghost",
        "wasp", "dragonfly", "moth", "airplane", "helicopter", "balloon", "kite", "parachute", "rocket", "saucer",
        "satellite", "feather", "bubbles", "drone", "ufo", "hawk", "seagull", "swallow", "bird", "explosion",
        "drop", "sparkles", "money"
    }
)  # fmt: skip
_ON_GROUND = frozenset(
    {
        "fire", "tornado", "hole", "wave", "rock", "tramway", "railway", "nest"
    }
)  # fmt: skip
_ON_SEABED = frozenset(
    {
        "crab", "lobster", "coral", "seashell", "oyster", "shrimp", "starfish"
    }
)  # fmt: skip
_IN_AIR, _IN_SKY, _IN_WATER = frozenset({"air"}), frozenset({"weather", "space"}), frozenset({"boat", "sea"})

_BUST_FOOT, _BUST_WIDE = 0.84, 0.6
_HEAD_UNLIKE, _HEAD_FULL, _HEAD_WIDE = 0.09, 0.66, 0.72
_BEINGS = frozenset({"animal", "person"})
_LEAST_HEADED_M = 0.1
"""Size below which beings have no head that is drawn alone: insects seen from above are as even as a face."""


def size_m(concept: str, category: str) -> float:
    """How long a thing is in the real world where it is longest, roughly."""
    words = _words(concept)
    return next((_NAMED[word] for word in reversed(words) if word in _NAMED), _SIZES_M.get(category, 0.4))


def support(concept: str, category: str) -> Support:
    """What bears a thing."""
    words = set(_words(concept))
    if words & _ON_GROUND or words & _ON_SEABED:
        return "ground"
    if words & _FLIES:
        return "air"
    if category in _IN_SKY or (words & _SKY and category != "food"):
        return "sky"
    if category in _IN_AIR:
        return "air"
    return "water" if category in _IN_WATER else "ground"


def figure(concept: str, category: str, rgba: NDArray[np.uint8]) -> Figure:
    """What of a being its drawing shows, by its outline.

    What is cut off is as wide below as it is anywhere. A face looks at us: it is even, and fills its box.

    Args:
        concept: what it is.
        category: of what kind.
        rgba: the drawing on transparent ground `(S, S, 4)`.
    """
    if category not in _BEINGS or size_m(concept, category) < _LEAST_HEADED_M:
        return "whole"
    alpha = rgba[:, :, 3]
    rows, columns = (np.nonzero((alpha > 24).any(axis))[0] for axis in (1, 0))
    if not len(rows):
        return "whole"
    drawn = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32) / 255
    covered = drawn[:, :, 3]
    height, width = covered.shape
    foot = float((covered[-max(2, height // 20) :] > 0.5).any(0).mean())
    if foot >= _BUST_FOOT and width / height > _BUST_WIDE:
        return "bust"
    seen = np.concatenate([drawn[:, :, :3] * drawn[:, :, 3:], drawn[:, :, 3:]], axis=2)
    unlike = float(np.abs(seen - seen[:, ::-1]).mean(2).sum() / covered.sum())
    face = unlike < _HEAD_UNLIKE and covered.mean() > _HEAD_FULL and width / height > _HEAD_WIDE
    return "head" if face else "whole"


def _words(concept: str) -> list[str]:
    return concept.lower().replace("-", " ").split()
