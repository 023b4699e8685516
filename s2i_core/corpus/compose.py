"""Composes scenes of illustrations with captions: unlimited pairs that teach number, colour, size, place and relation.

Three steps that can be run apart: `sample_spec` decides everything about a scene and puts it in a `SceneSpec` of plain
data, `render` draws a spec at any size, and `captions` words it. `compose` does all three.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from s2i_core.corpus.backgrounds import PASTELS, SETTINGS, paint
from s2i_core.corpus.light import light_on
from s2i_core.corpus.spec import Group, Relation, SceneSpec, Size, split_of
from s2i_core.corpus.wording import COLOUR_WORDS, SIZE_WORDS, word_scene
from s2i_core.english.vocabulary import Concept, Vocabulary, english
from s2i_core.models.decoders.native.library import RGBA, SpriteLibrary
from s2i_core.models.decoders.native.places import PLAIN, Time
from s2i_core.models.decoders.native.recolour import COLOURS
from s2i_core.models.decoders.native.reference import Box, Slot, SpritePainter

T = TypeVar("T")

MAX_SLOTS = 4
#: Free room at the edge of the frame.
EDGE = 0.025
#: Mean difference (of 255) between a sprite and a plain ground from which it can be made out.
_LEGIBLE_FROM = 40.0


@dataclass(frozen=True)
class ComposedScene:
    """A scene with its words and pictures.

    Attributes:
        spec: what it was drawn from.
        captions: several wordings of all that the spec says.
        image: `(S, S, 3)` uint8.
        reference: `(S, S, 4)` uint8, the sprites in place on transparent ground.
    """

    spec: SceneSpec
    captions: list[str]
    image: npt.NDArray[np.uint8]
    reference: RGBA

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Every instance in its place."""
        return self.spec.slots

    @property
    def setting(self) -> str:
        """The key of the background."""
        return self.spec.setting


@dataclass
class SpriteBook:
    """A sprite library with what the composer needs to know of its concepts.

    Args:
        library: the drawings.
        vocabulary: their names; by default the English one.
        style: sample only sprites of this style; `None` for any, one style a scene.
        concepts: sample only these concepts.
    """

    library: SpriteLibrary
    vocabulary: Vocabulary = field(default_factory=english)
    style: str | None = None
    concepts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.painter = SpritePainter(self.library)
        self._legible: dict[int, tuple[str, ...]] = {}
        self._by_style: dict[str, list[int]] = {}
        wanted = None if self.concepts is None else set(self.concepts)
        for index, info in enumerate(self.library.infos):
            if (self.style is None or info.style == self.style) and (wanted is None or info.concept in wanted):
                self._by_style.setdefault(info.style, []).append(index)
        if not self._by_style:
            raise ValueError("the library has no sprite of that style and those concepts")

    @classmethod
    def load(cls, folder: Path, **options: Any) -> SpriteBook:
        """The book of a saved library; `options` as of the class."""
        return cls(SpriteLibrary.load(folder), **options)

    def save(self, folder: Path) -> None:
        """Write the library."""
        self.library.save(folder)

    @cached_property
    def styles(self) -> tuple[str, ...]:
        """The styles to sample from."""
        return tuple(self._by_style)

    def concept(self, sprite: int) -> Concept:
        """What a sprite shows."""
        return self.vocabulary[self.library.infos[sprite].concept]

    def category(self, sprite: int) -> str:
        """What kind of thing a sprite shows."""
        return self.library.infos[sprite].category

    def candidates(self, style: str) -> list[int]:
        """The sprites of a style."""
        return self._by_style[style]

    @cached_property
    def fitting(self) -> dict[tuple[str, str], list[int]]:
        """The sprites of a style that one expects in a setting."""
        found: dict[tuple[str, str], list[int]] = {}
        for style, sprites in self._by_style.items():
            for sprite in sprites:
                for setting in settings_of(self.concept(sprite)):
                    found.setdefault((style, setting), []).append(sprite)
        return found

    @cached_property
    def kin(self) -> dict[tuple[str, str], list[int]]:
        """The sprites of a style and category."""
        found: dict[tuple[str, str], list[int]] = {}
        for style, sprites in self._by_style.items():
            for sprite in sprites:
                found.setdefault((style, self.category(sprite)), []).append(sprite)
        return found

    def legible_grounds(self, sprite: int) -> tuple[str, ...]:
        """The plain grounds on which a sprite stands out by its mean colour."""
        if sprite not in self._legible:
            rgba = self.library.rgba(sprite)
            mean = rgba[rgba[:, :, 3] > 128][:, :3].mean(0)
            distances = {name: float(np.abs(mean - ground).mean()) for name, ground in PLAIN.items()}
            self._legible[sprite] = tuple(name for name, distance in distances.items() if distance > _LEGIBLE_FROM)
        return self._legible[sprite]


#: Where each kind of thing is at home, besides its own home.
_FITTING: Mapping[str, tuple[str, ...]] = {
    "animal": ("grass", "farm", "forest", "mountains", "snow", "desert", "beach", "river", "garden", "road", "rain"),
    "bird": ("grass", "farm", "garden", "beach", "river", "snow", "forest", "rain"),
    "sea": ("underwater", "beach", "sea"),
    "plant": ("grass", "garden", "forest", "mountains", "river", "room", "farm"),
    "fruit": ("table", "grass", "garden"),
    "food": ("table", "room"),
    "drink": ("table", "room", "beach"),
    "person": (
        "grass",
        "city",
        "road",
        "beach",
        "room",
        "forest",
        "mountains",
        "snow",
        "farm",
        "garden",
        "stage",
        "rain",
    ),
    "face": (),
    "body": (),
    "building": ("grass", "city", "mountains", "beach", "snow", "forest", "river", "road", "desert", "rain"),
    "vehicle": ("road", "city", "grass", "beach", "desert", "mountains", "snow", "forest", "rain"),
    "boat": ("sea", "river", "beach"),
    "air": ("sky", "sea", "mountains", "grass", "city", "desert", "beach"),
    "space": ("space", "sky"),
    "weather": ("sky",),
    "thing": ("room", "table", "grass", "beach"),
    "toy": ("room", "grass", "beach", "garden"),
    "clothing": ("room", "beach"),
    "instrument": ("stage", "room", "grass", "beach"),
}
#: Kinds that hang in the air wherever there is a sky.
_FLYING = {"air", "space", "weather"}
_MAY_FLOAT_ON_SEA = {"boat", "air", "bird", "weather", "space", "sea"}
_MAY_SINK = {"sea"}
#: How large a kind is drawn beside others.
_STATURE: Mapping[str, float] = {
    "building": 1.0, "vehicle": 0.92, "boat": 0.92, "air": 0.85, "space": 0.9, "animal": 0.82, "person": 0.82,
    "plant": 0.8, "bird": 0.7, "sea": 0.78, "instrument": 0.75, "weather": 0.85,
}  # fmt: skip
_DEFAULT_STATURE = 0.74
#: Styles whose things throw no soft shadow.
_SHADELESS = {"flat", "outline", "sketch"}
#: Drawings that stay right when mirrored: no letters, no clocks.
_MAY_FLIP = {"animal", "bird", "sea", "plant", "person", "vehicle", "boat", "air", "fruit", "body", "instrument"}
_KEEP_COLOUR = {"person", "face", "body", "weather", "space"}


def settings_of(concept: Concept) -> tuple[str, ...]:
    """The settings, but for plain ones, where a concept is expected: its home first."""
    home = home_of(concept)[0]
    fitting = _FITTING.get(concept.category, ("room",))
    named = (home, *fitting) if not home.startswith("plain") else fitting
    if concept.home in {"sea", "underwater"} and concept.category == "person":
        named = ("underwater", "sea", "beach") if concept.home == "underwater" else ("sea", "beach")
    return tuple(dict.fromkeys(named))


def home_of(concept: Concept) -> tuple[str, Time]:
    """The setting and the time of day that a concept has when nothing is said: always the same for a concept."""
    if concept.home == "plain":
        return f"plain {PASTELS[zlib.crc32(concept.name.encode()) % len(PASTELS)]}", "day"
    setting, _, time = concept.home.partition("@")
    return setting, "night" if time == "night" else "day"


def compose(
    rng: np.random.Generator, book: SpriteBook, size: int = 128, captions_wanted: int = 4, split: str | None = None
) -> ComposedScene:
    """Sample, draw and word one scene.

    Args:
        rng: decides everything.
        book: the sprites to choose from.
        size: pixels a side of the pictures.
        captions_wanted: how many wordings.
        split: "train" or "test" for scenes of that half only; `None` for both.
    """
    spec = sample_spec(rng, book)
    while split is not None and split_of(spec) != split:
        spec = sample_spec(rng, book)
    image, reference = render(spec, book, size)
    return ComposedScene(spec, captions(spec, book, rng, captions_wanted), image, reference)


def captions(spec: SceneSpec, book: SpriteBook, rng: np.random.Generator, n: int = 4) -> list[str]:
    """Up to `n` different wordings of a spec, each saying all that it tells."""
    found: dict[str, None] = {}
    for _ in range(4 * n):
        found[word_scene(spec, book.vocabulary, rng)] = None
        if len(found) == n:
            break
    return list(found)


def sample_spec(rng: np.random.Generator, book: SpriteBook) -> SceneSpec:
    """Decide about a scene: what, how many, which colours and sizes, where, how laid out."""
    style = _pick(rng, book.styles)
    candidates = book.candidates(style)
    first = int(_pick(rng, candidates))
    concept = book.concept(first)
    home, home_time = home_of(concept)
    kind = rng.random()
    if kind < 0.22:
        # The bare noun: what most short speech is about, so it must be well-posed.
        return _finish(rng, book, (Group(first, concept.name),), None, home, home_time, told_setting=False)
    setting, told = _choose_setting(rng, book, first, concept, home)
    groups, relation = _choose_groups(rng, book, style, first, concept, setting, kind)
    time: Time = home_time if setting == home else "day"
    told_time = told and time != "day"
    times = SETTINGS[setting].times
    if len(times) > 1 and time == "day" and rng.random() < 0.2:
        time, told_time = _pick(rng, times[1:]), True
    return _finish(rng, book, groups, relation, setting, time, told, told_time)


def bare_spec(rng: np.random.Generator, book: SpriteBook, sprite: int) -> SceneSpec:
    """A scene of one sprite at its home, with nothing told about it."""
    concept = book.concept(sprite)
    home, time = home_of(concept)
    return _finish(rng, book, (Group(sprite, concept.name),), None, home, time, told_setting=False)


def _finish(
    rng: np.random.Generator,
    book: SpriteBook,
    groups: tuple[Group, ...],
    relation: Relation | None,
    setting: str,
    time: Time,
    told_setting: bool,
    told_time: bool = False,
) -> SceneSpec:
    slots = _as_told(_lay_out(rng, book, groups, relation, setting), groups, relation)
    # Columns count before rows, and sprites above each other share a column.
    ordered = sorted(slots, key=lambda slot: (round(slot.box[0] * 5), slot.box[1]))
    return SceneSpec(groups, tuple(ordered), setting, int(rng.integers(2**31)), relation, time, told_setting, told_time)


def _choose_setting(
    rng: np.random.Generator, book: SpriteBook, sprite: int, concept: Concept, home: str
) -> tuple[str, bool]:
    """A setting and whether it is told: its home untold, a fitting or unlikely one, or a plain ground told."""
    chance = rng.random()
    if chance < 0.30:
        return home, False
    fitting = settings_of(concept)
    if chance < 0.42 or not fitting:
        return f"plain {_pick(rng, book.legible_grounds(sprite))}", True
    if chance < 0.92:
        return _pick(rng, fitting), True
    return _pick(rng, tuple(name for name in SETTINGS if _suits(concept.category, name))), True


def _suits(category: str, setting: str) -> bool:
    """Whether a thing may be shown there at all: no houses on the water."""
    if setting == "underwater":
        return category in _MAY_SINK
    if setting == "sea":
        return category in _MAY_FLOAT_ON_SEA
    if setting == "sky":
        return category in _FLYING | {"bird"}
    if setting == "space":
        return category not in {"sea", "boat", "building"}
    if setting in {"rails", "table"}:
        return category not in {"sea", "boat", "building", "weather", "plant"}
    return category not in {"sea", "boat"} or setting.startswith("plain")


def _choose_groups(
    rng: np.random.Generator, book: SpriteBook, style: str, first: int, concept: Concept, setting: str, kind: float
) -> tuple[tuple[Group, ...], Relation | None]:
    head = _attributes(rng, book, first, concept, setting)
    if kind < 0.47:
        count = 1 if not concept.countable or kind < 0.34 else int(rng.integers(2, MAX_SLOTS + 1))
        return (replace(head, count=count),), None
    groups = [head]
    wanted = 2 if kind < 0.93 else 3
    # Mostly what belongs together: things of the place, or of one kind where there is no place.
    pool = book.fitting.get((style, setting)) or book.kin[style, book.category(first)]
    if rng.random() < 0.25:
        pool = book.candidates(style)
    for _ in range(20):
        if len(groups) == wanted:
            break
        sprite = int(_pick(rng, pool))
        other = book.concept(sprite)
        if other.name in {group.concept for group in groups} or not _suits(other.category, setting):
            continue
        if setting.startswith("plain ") and setting.removeprefix("plain ") not in book.legible_grounds(sprite):
            continue
        groups.append(_attributes(rng, book, sprite, other, setting))
    if len(groups) == 1:
        return tuple(groups), None
    relation: Relation | None = None
    if len(groups) == 2:
        relation = _choose_relation(rng, book, groups, setting)
        if relation in {None, "next"} and rng.random() < 0.25:
            which = int(rng.integers(2))
            if book.concept(groups[which].sprite).countable:
                groups[which] = replace(groups[which], count=int(rng.integers(2, 4)))
        if relation is None and rng.random() < 0.25:
            sizes: tuple[Size, Size] = ("big", "small") if rng.random() < 0.5 else ("small", "big")
            groups = [replace(group, size=size) for group, size in zip(groups, sizes, strict=True)]
    return tuple(groups), relation


def _attributes(rng: np.random.Generator, book: SpriteBook, sprite: int, concept: Concept, setting: str) -> Group:
    group = Group(sprite, concept.name)
    words = set(concept.name.split())
    chance = rng.random()
    if chance < 0.6 and concept.category not in _KEEP_COLOUR and not words & COLOUR_WORDS:
        found = book.painter.paint_of(sprite)
        if found is not None:
            ground = setting.removeprefix("plain ")
            dark = setting in {"space", "stage"}
            choices = tuple(colour for colour in COLOURS if colour != ground and not (dark and colour == "black"))
            natural = found.colour in choices and rng.random() < 0.3
            return replace(group, colour=found.colour if natural else _pick(rng, choices))
    elif chance > 0.88 and not words & SIZE_WORDS:
        return replace(group, size="big" if rng.random() < 0.5 else "small")
    return group


def _choose_relation(
    rng: np.random.Generator, book: SpriteBook, groups: Sequence[Group], setting: str
) -> Relation | None:
    first, second = (book.category(group.sprite) for group in groups)
    floats = SETTINGS[setting].horizon is None
    upper_ok = floats or first in _FLYING or (first == "bird" and setting != "table")
    # Who would hang in the air beside one on the ground is said to be above it.
    if not floats and first in _FLYING and second not in _FLYING:
        return "above"
    if not floats and second in _FLYING and first not in _FLYING:
        return None
    chance = rng.random()
    if chance < 0.24 and upper_ok and second not in _FLYING:
        return "above"
    if (
        chance < 0.50
        and second in {"building", "plant", "vehicle"}
        and first in {"animal", "person", "bird", "vehicle"}
    ):
        return "front"
    if chance < 0.66:
        return "left" if rng.random() < 0.5 else "right"
    return "next" if chance < 0.82 else None


def _lay_out(
    rng: np.random.Generator, book: SpriteBook, groups: Sequence[Group], relation: Relation | None, setting: str
) -> list[Slot]:
    horizon = SETTINGS[setting].horizon
    if relation == "above":
        return _stack(rng, book, groups, horizon)
    if relation == "front":
        return _in_front(rng, book, groups, horizon)
    order = list(groups)
    if relation == "right" or (relation is None and len(groups) > 1 and rng.random() < 0.5):
        order.reverse()
    if relation == "next" and rng.random() < 0.5:
        order.reverse()
    members = [group for group in order for _ in range(group.count)][:MAX_SLOTS]
    if len(members) == MAX_SLOTS and len(order) == 1:
        return _grid(rng, book, order[0], horizon)
    return _row(rng, book, members, horizon, mixed=len(order) > 1)


def _as_told(slots: list[Slot], groups: Sequence[Group], relation: Relation | None) -> list[Slot]:
    """The same mirrored, if need be, so that what is told first stands left wherever the words leave the sides open.

    A place that the words do not decide teaches a predictor the mean of two places, where nothing stands.
    """
    if len(groups) == 1 or relation in {"left", "right", "above"}:
        return slots
    first, last = ([slot.box[0] for slot in slots if slot.concept == groups[n].concept] for n in (0, -1))
    if np.mean(first) <= np.mean(last):
        return slots
    return [replace(slot, box=(round(1 - slot.box[0], 4), *slot.box[1:])) for slot in slots]


def _row(
    rng: np.random.Generator, book: SpriteBook, members: Sequence[Group], horizon: float | None, mixed: bool
) -> list[Slot]:
    """Side by side: widths as the drawings need them, then scaled together until they fit."""
    tallest = 0.62 if len(members) == 1 else 0.56 if len(members) == 2 else 0.5
    sides = [_side(rng, book, group, mixed) * tallest for group in members]
    extents = [book.library.extent(group.sprite) for group in members]
    widths = [side * extent[0] for side, extent in zip(sides, extents, strict=True)]
    gap = 0.03
    free = 1 - 2 * EDGE - gap * (len(members) - 1)
    if sum(widths) > free:
        shrink = free / sum(widths)
        sides = [side * shrink for side in sides]
        widths = [width * shrink for width in widths]
    slack = free - sum(widths)
    spread = slack / (len(members) + 1)
    left = EDGE + spread + rng.uniform(-0.4, 0.4) * spread
    twin_flip = rng.random() < 0.5
    line = rng.uniform(0.84, 0.90)
    slots = []
    for group, side, width, extent in zip(members, sides, widths, extents, strict=True):
        height = side * extent[1]
        cy = _height_of(rng, book.category(group.sprite), horizon, height, line)
        slots.append(_slot(book, group, (left + width / 2, cy, width, height), twin_flip))
        left += width + gap + spread
    return slots


def _grid(rng: np.random.Generator, book: SpriteBook, group: Group, horizon: float | None) -> list[Slot]:
    """Four of a kind, two by two; on the ground both rows have to stand on it."""
    extent_w, extent_h = book.library.extent(group.sprite)
    aloft = horizon is None or book.category(group.sprite) in _FLYING
    side = min(0.44 / extent_w, (0.42 if aloft else 0.30) / extent_h) * (0.8 if group.size == "small" else 0.96)
    width, height = side * extent_w, side * extent_h
    flip = rng.random() < 0.5
    low, high = (0.74, 0.26) if aloft else (0.95 - height / 2, 0.93 - height * 1.5)
    dx = 0.235 + rng.uniform(-0.01, 0.01)
    return [_slot(book, group, (0.5 + sx * dx, cy, width, height), flip) for cy in (high, low) for sx in (-1, 1)]


def _stack(rng: np.random.Generator, book: SpriteBook, groups: Sequence[Group], horizon: float | None) -> list[Slot]:
    """The first above the second, in one column."""
    cx = 0.5 + rng.uniform(-0.08, 0.08)
    slots = []
    for row, group in enumerate(groups):
        extent_w, extent_h = book.library.extent(group.sprite)
        side = min(_side(rng, book, group, mixed=True) * 0.5, 0.44 / extent_h, 0.76 / extent_w)
        width, height = side * extent_w, side * extent_h
        margin = 0.03 + height / 2 + rng.uniform(0, 0.015)
        cy = margin if row == 0 else 0.985 - margin
        slots.append(_slot(book, group, (cx, cy, width, height), rng.random() < 0.5))
    return slots


def _in_front(rng: np.random.Generator, book: SpriteBook, groups: Sequence[Group], horizon: float | None) -> list[Slot]:
    """The second large and further back, the first smaller before one of its corners."""
    near, far = groups
    extent_w, extent_h = book.library.extent(far.sprite)
    side = min(0.62 / extent_h, 0.62 / extent_w)
    width, height = side * extent_w, side * extent_h
    toward = 1 if rng.random() < 0.5 else -1
    far_cx = 0.5 + toward * (0.5 - EDGE - width / 2) * 0.7
    base = 0.80 if horizon is not None else 0.76
    back = _slot(book, far, (far_cx, base - height / 2, width, height), rng.random() < 0.5)
    near_w, near_h = book.library.extent(near.sprite)
    near_side = min(0.42 / near_h, 0.42 / near_w) * (0.8 if near.size == "small" else 1.0)
    w, h = near_side * near_w, near_side * near_h
    # A quarter of it may cover the other.
    near_cx = far_cx - toward * (width / 2 + w / 2 - 0.3 * w)
    near_cx = float(np.clip(near_cx, EDGE + w / 2, 1 - EDGE - w / 2))
    return [back, _slot(book, near, (near_cx, 0.93 - h / 2, w, h), rng.random() < 0.5)]


def _side(rng: np.random.Generator, book: SpriteBook, group: Group, mixed: bool) -> float:
    stature = _STATURE.get(book.category(group.sprite), _DEFAULT_STATURE) if mixed else 1.0
    if mixed:
        stature *= {"small": 0.72, "medium": 1.0, "large": 1.2}[book.concept(group.sprite).stature]
    scale = {"big": 1.25, "small": 0.5, None: 1.0}[group.size]
    return stature * scale * rng.uniform(0.93, 1.05)


def _height_of(rng: np.random.Generator, category: str, horizon: float | None, height: float, line: float) -> float:
    """Where the middle goes: on the ground line, or in the air."""
    if horizon is None:
        cy = 0.5 + rng.uniform(-0.03, 0.03)
    elif category in _FLYING:
        cy = 0.36 + rng.uniform(-0.04, 0.04)
    else:
        cy = line - height / 2
    return float(np.clip(cy, EDGE + height / 2, 1 - EDGE - height / 2))


def _slot(book: SpriteBook, group: Group, box: Box, flip: bool) -> Slot:
    placed = (round(float(box[0]), 4), round(float(box[1]), 4), round(float(box[2]), 4), round(float(box[3]), 4))
    may_flip = bool(flip) and book.category(group.sprite) in _MAY_FLIP
    return Slot(group.sprite, group.concept, placed, group.colour, may_flip)


def paint_ground(spec: SceneSpec, book: SpriteBook, size: int) -> npt.NDArray[np.uint8]:
    """The ground of a spec in the style of its sprites, with nothing on it: `(size, size, 3)` uint8."""
    return paint(spec.setting, spec.time, spec.seed, size, book.library.infos[spec.slots[0].sprite].style)


def render(
    spec: SceneSpec, book: SpriteBook, size: int, ground: npt.NDArray[np.uint8] | None = None
) -> tuple[npt.NDArray[np.uint8], RGBA]:
    """Draw a spec, on the `ground` that was painted for it or on one painted now.

    Returns:
        The image `(size, size, 3)` uint8, and the reference `(size, size, 4)` uint8: the sprites in place on
        transparent ground, in their own light and not in the scene's.
    """
    style = book.library.infos[spec.slots[0].sprite].style
    painted = paint_ground(spec, book, size) if ground is None else ground
    frame = painted.astype(np.float32) / 255.0
    grounded = SETTINGS[spec.setting].horizon is not None and spec.setting != "sea" and style not in _SHADELESS
    for slot in sorted(spec.slots, key=lambda slot: slot.bottom):
        if grounded and book.category(slot.sprite) not in _FLYING and slot.bottom > 0.6:
            _shadow(frame, slot)
        book.painter.paste_coloured(frame, slot, light_on(slot, spec.setting, spec.time, style, size))
    image = np.asarray(np.rint(frame.clip(0, 1) * 255), dtype=np.uint8)
    return image, book.painter.reference(spec.slots, size)


def restyle(spec: SceneSpec, book: SpriteBook) -> SceneSpec | None:
    """The same scene drawn with another library's sprites; `None` if it lacks a thing, or can't give it its colour."""
    sprites: dict[str, int] = {}
    for group in spec.groups:
        members = book.library.members(group.concept)
        if not members or (group.colour and book.painter.paint_of(members[0]) is None):
            return None
        sprites[group.concept] = members[0]
    groups = tuple(replace(group, sprite=sprites[group.concept]) for group in spec.groups)
    slots = tuple(replace(slot, sprite=sprites[slot.concept]) for slot in spec.slots)
    return replace(spec, groups=groups, slots=slots)


def _shadow(frame: npt.NDArray[np.float32], slot: Slot) -> None:
    """Darken the ground softly where a sprite stands."""
    size = frame.shape[0]
    cx, cy, rx, ry = (
        slot.box[0] * size,
        (slot.bottom - 0.008) * size,
        slot.box[2] * 0.5 * size,
        slot.box[2] * 0.11 * size,
    )
    y0, y1 = max(0, int(cy - ry)), min(size, int(cy + ry) + 2)
    x0, x1 = max(0, int(cx - rx)), min(size, int(cx + rx) + 2)
    if y0 >= y1 or x0 >= x1:
        return
    dy = (np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5 - cy) / ry
    dx = (np.arange(x0, x1, dtype=np.float32)[None, :] + 0.5 - cx) / rx
    dark = 0.42 * np.clip(1 - dx * dx - dy * dy, 0, 1)
    frame[y0:y1, x0:x1] *= (1 - dark)[:, :, None]


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]
