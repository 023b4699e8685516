"""The arrangement of a picture: what stands where, how large and how near, from what was heard and what things are.

The layout predictor says what there is and how it lies; the composer that it learnt from set everything in a row. Here
things get the sizes that they have beside each other in the world, much damped; they stand on the ground of their
place, small ones near, large ones far, or fly, or float; single ones stand off the middle, as painters set them. What
was heard of order (left, right, above, in front) and of size holds.

Each thing, the largest first, takes of some hundred places the one that costs least: it should not cover others, nor
leave its order, and the picture should balance. The seed decides about what is left open: other seeds, other pictures
of the same scene.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2i_core.models.decoders.native.kinds import Figure, Support
from s2i_core.models.decoders.native.reference import Box

Numbers = NDArray[np.float64]

EDGE = 0.03
"""Free room at the edge of the frame, as a share of its height."""
TOUCH = 0.15
"""How much of the smaller of two things may be covered."""
_NOT_SEEN = 0.02
"""How far what is drawn cut off goes down below the frame."""
_STEPPED = 0.22
"""The same of two that do not stand in a line."""
_BEHIND = 0.3
"""The same of a thing behind which there is nothing but sky: mountains, houses."""
_BEHIND_M, _FARTHEST_M = 8.0, 40.0
"""Sizes from which a thing is one of those, and from which larger ones look no larger."""
_DAMPED = 0.22
"""Power of real sizes that is left of them among the things of a picture."""
_LEAST = 0.36
"""Size of the smallest thing over that of the largest."""
_SKY = 0.62
"""Size of what is in the sky over that of the largest thing below."""
_LARGEST = {1: 0.60, 2: 0.56, 3: 0.54}
_LARGEST_OF_MANY = 0.50
"""Longest extent of the largest of one, two, three or more things, as a share of the frame's shorter side."""
_ORDERED, _STACKED = 0.10, 0.15
"""Distance, in a square frame, from which the layout sets a thing beside another, and above it."""
_TOLD = 1.9
"""Ratio of sizes in the layout from which one was said to be big, the other small."""
_STEPS = (-0.15, -0.08, 0.0, 0.05)
"""How far from where it would stand a thing may be moved back and forth, so that it is seen beside others."""
_ROUNDS, _SHRUNK = 12, 0.92
_ACROSS, _DOWN = 25, 6
_VARIED = (1.0, 0.76, 1.14)
"""Sizes of things in the variants of a picture over those in its first, by turns."""


@dataclass(frozen=True)
class Stage:
    """Where things can be in a place.

    Attributes:
        far, near: where the feet of the farthest and the nearest things are, as shares of the frame from the top.
        ceiling: above this line is air to fly in.
        floats: whether things hang in it: water, sky, space.
        water: whether what stands on the ground elsewhere floats on water here.
    """

    far: float
    near: float
    ceiling: float
    floats: bool = False
    water: bool = False


@dataclass(frozen=True)
class Thing:
    """What is to be arranged.

    Attributes:
        key: equal for several of a kind.
        size_m: how long it is in the world.
        support: what bears it.
        figure: what of it is drawn.
        shape: width and height of the drawing, the longer is 1.
        may_turn: whether it stays right when mirrored.
        told: where and how large the layout has it in a square frame; None where nothing was said.
    """

    key: int
    size_m: float
    support: Support
    figure: Figure
    shape: tuple[float, float]
    may_turn: bool = False
    told: Box | None = None


@dataclass(frozen=True)
class Spot:
    """Where a thing went.

    Attributes:
        box: centre and extent as shares of the frame.
        turned: mirrored left to right, to look into the picture.
        aloft: whether it touches no ground.
    """

    box: Box
    turned: bool = False
    aloft: bool = False


def arrange(
    things: Sequence[Thing], stage: Stage, seed: int, aspect: float = 1.0, variant: int = 0
) -> tuple[Spot, ...]:
    """A place for each of up to four things.

    Args:
        things: in any order; the same things give the same places in every order but for what the seed decides.
        stage: of their setting.
        seed: decides what nothing else does.
        aspect: width of the frame over its height.
        variant: of several pictures of the same, which differ in the side that is weighty and in sizes; 0 is the first.
    """
    if not things:
        return ()
    long_sides = [side * _VARIED[variant % len(_VARIED)] for side in _sizes(things, aspect)]
    for _ in range(_ROUNDS):
        work = _Work(things, stage, np.random.default_rng(seed), aspect, long_sides, variant)
        boxes = work.placed()
        if not work.crowded(boxes):
            break
        long_sides = [side * _SHRUNK for side in long_sides]
    return tuple(
        Spot(
            (x / aspect, y, w / aspect, h),
            thing.may_turn and x < aspect / 2 - EDGE,
            work.aloft(thing),
        )
        for thing, (x, y, w, h) in zip(things, boxes, strict=True)
    )


def _sizes(things: Sequence[Thing], aspect: float) -> list[float]:
    """The longer side of each thing as a share of the frame's height."""
    frame = min(1.0, aspect) * min(1.15, max(aspect, 1 / aspect) ** 0.3)
    if len(things) == 1:
        alone = things[0]
        natural = float(np.clip((alone.size_m / 2) ** 0.12, 0.64, 1.15))
        told = max(alone.told[2:]) if alone.told else 0.6
        by_word = 0.6 if told < 0.4 else 1.15 if told > 0.72 else 1.0
        return [_LARGEST[1] * natural * by_word * frame * _nearness(alone)]
    largest = _LARGEST.get(len(things), _LARGEST_OF_MANY) * frame
    below = [min(thing.size_m, _FARTHEST_M) for thing in things if thing.support != "sky"]
    largest_m = max(below, default=0.0)
    sides = [
        largest
        * _nearness(thing)
        * (
            (_SKY if below else 0.8)
            if thing.support == "sky"
            else max(_LEAST, (min(thing.size_m, _FARTHEST_M) / largest_m) ** _DAMPED)
        )
        for thing in things
    ]
    keys = {thing.key for thing in things}
    if len(keys) == 2 and all(thing.told for thing in things):
        means = {key: np.mean([max(t.told[2:]) for t in things if t.key == key and t.told]) for key in keys}
        small, big = sorted(keys, key=lambda key: means[key])
        if means[big] > _TOLD * means[small]:
            sides = [side * (1.2 if t.key == big else 0.68) for side, t in zip(sides, things, strict=True)]
    return sides


def _nearness(thing: Thing) -> float:
    """Half a figure stands nearer than a whole one."""
    return {"whole": 1.0, "bust": 1.12, "head": 0.92}[thing.figure]


class _Work:
    """An arrangement under way; lengths are shares of the frame's height, x from 0 to its aspect."""

    def __init__(
        self,
        things: Sequence[Thing],
        stage: Stage,
        rng: np.random.Generator,
        aspect: float,
        long_sides: Sequence[float],
        variant: int = 0,
    ) -> None:
        self.things, self.stage, self.rng, self.aspect = things, stage, rng, aspect
        self.extents = [
            (side * thing.shape[0], side * thing.shape[1]) for side, thing in zip(long_sides, things, strict=True)
        ]
        for n, (w, h) in enumerate(self.extents):
            high = 1.0 if stage.floats or not self.aloft(things[n]) else stage.ceiling
            fit = min(1.0, (aspect - 2 * EDGE) / w, (high - 2 * EDGE) / h)
            self.extents[n] = (w * fit, h * fit)
        self.left_of, self.above, self.before = self._said()
        # A third of the frame that the seed chooses, unless what was said decides.
        self.side = 1 / 3 if rng.random() < 0.5 else 2 / 3
        if variant:
            self.side = 2 / 3 if variant % 2 else 1 / 3
        self.twins = {n: self._turn(n) for n in range(len(things))}

    def _turn(self, n: int) -> int:
        """Which of its kind a thing is."""
        return sum(thing.key == self.things[n].key for thing in self.things[:n])

    def _said(self) -> tuple[set[tuple[int, int]], set[tuple[int, int]], set[tuple[int, int]]]:
        """Pairs of things of which the layout has the first left of, above and before the second."""
        left: set[tuple[int, int]] = set()
        above: set[tuple[int, int]] = set()
        before: set[tuple[int, int]] = set()
        for i, j in itertools.permutations(range(len(self.things)), 2):
            a, b = self.things[i].told, self.things[j].told
            if a is None or b is None or self.things[i].key == self.things[j].key:
                continue
            across, down = b[0] - a[0], b[1] - a[1]
            over = float(_overlap(np.array(a[0]), np.array(a[1]), a[2:], b))
            if down > _STACKED and abs(across) < 0.5 * (a[2] + b[2]) and a[1] + a[3] / 2 < b[1]:
                above.add((i, j))
            elif across > _ORDERED:
                left.add((i, j))
            if over > 0.02 and (a[1] + a[3] / 2) - (b[1] + b[3] / 2) > 0.05:
                before.add((i, j))
        return left, above, before

    def aloft(self, thing: Thing) -> bool:
        """Whether it touches no ground here."""
        if self.stage.floats:
            return not (thing.support == "ground" and thing.figure == "whole" and self.stage.water)
        return thing.support in {"air", "sky"}

    def foot(self, n: int) -> float:
        """Where a thing stands: the larger, the farther."""
        thing, stage = self.things[n], self.stage
        if thing.figure == "bust":
            return 1 + _NOT_SEEN
        if thing.figure == "head":
            return 1 - EDGE / 2
        away = 0.5 * float(np.clip(np.log(thing.size_m / 0.1) / np.log(1000), 0, 1)) + 0.5 * self._rank(thing)
        foot = stage.near + (stage.far - stage.near) * away
        kin = sum(other.key == thing.key for other in self.things)
        if kin > 1:
            # Of several, every second stands a step back.
            foot -= 0.25 * (stage.near - stage.far) * (self.twins[n] % 2)
        if any(pair[0] == n for pair in self.before):
            foot = stage.near
        elif any(pair[1] == n for pair in self.before):
            foot = min(foot, stage.near - 0.08)
        return foot

    def _rank(self, thing: Thing) -> float:
        """How large it is among those on the ground: 0 the smallest, 1 the largest."""
        sizes = [math.log(other.size_m) for other in self.things if not self.aloft(other)]
        low, high = min(sizes), max(sizes)
        return (math.log(thing.size_m) - low) / (high - low) if high - low > 1 else 0.4

    def places(self, n: int) -> NDArray[np.float64]:
        """Middles that a thing may take `(K, 2)`."""
        thing, (w, h) = self.things[n], self.extents[n]
        low, high = EDGE + w / 2, self.aspect - EDGE - w / 2
        across = np.linspace(low, high, _ACROSS) if high > low else np.array([self.aspect / 2])
        if self.aloft(thing):
            floor = 1 - EDGE if self.stage.floats else self.stage.ceiling
            top, bottom = EDGE + h / 2, floor - h / 2
            if thing.support == "sky" and not self.stage.floats:
                bottom = min(bottom, top + 0.12)
            down = np.linspace(top, max(top, bottom), _DOWN)
        else:
            foot = self.foot(n)
            steps = (0.0,) if thing.figure != "whole" or len(self.things) == 1 else _STEPS
            far, near = min(foot, self.stage.far), max(foot, self.stage.near)
            down = np.unique([max(float(np.clip(foot + step, far, near)) - h / 2, EDGE + h / 2) for step in steps])
        return np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)

    def placed(self) -> list[Box]:
        """A box for each thing."""
        order = sorted(range(len(self.things)), key=lambda n: (-self.extents[n][0] * self.extents[n][1], n))
        boxes: dict[int, Box] = {}
        for n in order:
            found = self.places(n)
            costs = self._costs(n, found[:, 0], found[:, 1], boxes) + self.rng.uniform(0, 0.05, len(found))
            x, y = found[int(costs.argmin())].tolist()
            boxes[n] = (x, y, *self.extents[n])
        return [boxes[n] for n in range(len(self.things))]

    def _costs(self, n: int, x: Numbers, y: Numbers, boxes: dict[int, Box]) -> Numbers:
        """What a thing's places cost `(K,)` beside those that are placed already."""
        (w, h), thing = self.extents[n], self.things[n]
        if self.aloft(thing):
            # Neither at the very edge nor at the height of the eye.
            costs = 0.4 * np.abs(y - (0.45 if self.stage.floats else 0.26))
        else:
            costs = 0.5 * np.abs(y + h / 2 - self.foot(n))
        if not boxes:
            rank = sum(pair[1] == n for pair in self.left_of) - sum(pair[0] == n for pair in self.left_of)
            at = self.side if rank == 0 else (1 / 3 if rank < 0 else 2 / 3)
            at += (0.5 - at) * min(1.0, 1.2 * w / self.aspect)
            return np.asarray(costs + np.abs(x / self.aspect - at))
        weight = w * h
        total = weight + sum(b[2] * b[3] for b in boxes.values())
        middle = (x * weight + sum(b[0] * b[2] * b[3] for b in boxes.values())) / total
        costs = costs + 0.6 * np.abs(middle / self.aspect - 0.5)
        for other, taken in boxes.items():
            covered = _overlap(x, y, (w, h), taken)
            allowed = self._allowed(n, other, y + h / 2 - taken[1] - taken[3] / 2)
            costs += 1.5 * covered + 12 * np.maximum(0.0, covered - allowed)
            gap = np.maximum(np.abs(x - taken[0]) - (w + taken[2]) / 2, np.abs(y - taken[1]) - (h + taken[3]) / 2)
            costs += 0.5 * np.maximum(0.0, 0.04 - gap) * (covered == 0)
            for pairs, first, second in ((self.left_of, x, taken[0]), (self.above, y, taken[1])):
                if (n, other) in pairs:
                    costs += 6 * np.maximum(0.0, first - second + 0.12)
                if (other, n) in pairs:
                    costs += 6 * np.maximum(0.0, second - first + 0.12)
            if {(n, other), (other, n)} & self.above:
                costs += 1.0 * np.abs(x - taken[0])
            if {(n, other), (other, n)} & self.before:
                costs += 0.5 * np.abs(x - taken[0])
        return np.asarray(costs)

    def _allowed(self, n: int, other: int, nearer: Numbers) -> Numbers:
        """How much of the smaller of two may be covered, of which the first stands so much nearer `(K,)`."""
        if self.things[n].key == self.things[other].key:
            return np.full(len(nearer), 0.03)
        allowed = np.where(np.abs(nearer) < 0.05, TOUCH, _STEPPED)
        for back, behind in ((n, nearer < -0.03), (other, nearer > 0.03)):
            if self.things[back].size_m >= _BEHIND_M and not self.aloft(self.things[back]):
                allowed = np.where(behind, _BEHIND, allowed)
        return np.asarray(allowed)

    def crowded(self, boxes: Sequence[Box]) -> bool:
        """Whether a thing covers more of another than it may."""
        for i, j in itertools.combinations(range(len(boxes)), 2):
            (x, y, w, h), other = boxes[i], boxes[j]
            nearer = np.array([y + h / 2 - other[1] - other[3] / 2])
            if (_overlap(np.array([x]), np.array([y]), (w, h), other) > self._allowed(i, j, nearer) + 1e-3).any():
                return True
        return False


def _overlap(x: Numbers, y: Numbers, extent: tuple[float, float], other: Box) -> Numbers:
    """How much of the smaller of two boxes the other covers, for each middle of the first `(K,)`."""
    (w, h), (ox, oy, ow, oh) = extent, other
    across = np.minimum(x + w / 2, ox + ow / 2) - np.maximum(x - w / 2, ox - ow / 2)
    down = np.minimum(y + h / 2, oy + oh / 2) - np.maximum(y - h / 2, oy - oh / 2)
    return np.asarray(across.clip(min=0) * down.clip(min=0) / max(min(w * h, ow * oh), 1e-9))
