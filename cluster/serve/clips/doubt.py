"""Doubt: what may have been said where it is not sure, for whoever spoke to choose from.

It is not sure where a batch job would skip the scene, by the same limit; where it was told that what it drew was not
meant; and where the same sound was given another meaning before. What was chosen is kept by the client, which sends it
along: the service remembers nobody.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cluster.serve.problems import Refusal
from cluster.serve.schemas import Choices, Chosen, LiveStart
from s2i_core import steps
from s2i_core.records import Scene, Status, Thing

LIKE = 0.7
"""Cosine from which two sounds are the same words. Of 34 recorded names of things by one speaker, no two that differ
come nearer to each other than 0.59."""


@dataclass(frozen=True)
class Question:
    """What is asked of the encoder for a scene.

    Attributes:
        most: how many readings.
        first: titles that come first.
        without: titles that are barred.
        kept: what every picture shows besides.
    """

    most: int
    first: tuple[str, ...]
    without: tuple[str, ...]
    kept: tuple[Thing, ...]


def vector_of(scene: Scene) -> str:
    """What a scene's words sound like, for a client to keep."""
    return base64.b64encode(scene.focus_pooled).decode()


def question(scene: Scene, wish: Choices) -> Question | None:
    """What to ask where a scene is in doubt; None where it is not, or nobody wants to choose.

    Raises:
        Refusal: a vector that the client sends is none.
    """
    if not wish.choices:
        return None
    named = scene.things or []
    before = _remembered(scene, wish.chosen) if isinstance(wish, LiveStart) else None
    if before in wish.not_meant:
        before = None
    sure = scene.status == Status.OK
    if sure and not wish.not_meant and (before is None or before in named):
        return None
    # Of several things that are named, those that were refused are the doubtful ones; where none was, or all of them
    # were, the least sure one. Who refused another for it, too, means none.
    kept: tuple[Thing, ...] = ()
    refused = set(wish.not_meant)
    if sure and len(named) > 1 and refused <= set(named):
        shown = steps.shown_things(scene)
        least = min(shown, key=lambda thing: thing.confidence)
        doubted = refused if refused and refused != set(named) else {least.title}
        kept = tuple(thing for thing in shown if thing.title not in doubted)
    first = () if before is None else (before,)
    if sure and not wish.not_meant:
        first = (*first, *(title for title in named if title not in {thing.title for thing in kept}))
    return Question(wish.choices, first, (*wish.not_meant, *(thing.title for thing in kept)), kept)


def meanings(scene: Scene, asked: Question, readings: Sequence[Thing]) -> list[Scene]:
    """The scene in each of its readings."""
    return [steps.meaning(scene, sorted((*asked.kept, one), key=lambda thing: thing.start_s)) for one in readings]


def thing_of(scene: Scene, among: Sequence[Scene]) -> str:
    """What one of the readings of a scene has that the others have not."""
    common = set.intersection(*(set(each.things or ()) for each in among)) if len(among) > 1 else set()
    return next(title for title in scene.things or () if title not in common)


def _remembered(scene: Scene, chosen: Sequence[Chosen]) -> str | None:
    """What was chosen for the sound that is nearest to this one, if it is near.

    Vectors of other models are passed over.
    """
    own = _unit(np.frombuffer(scene.focus_pooled, "<f2"))
    cosines = [(float(_unit(vector) @ own), place) for place, vector in _decoded(chosen, len(own))]
    nearest, place = max(cosines, default=(-1.0, -1))
    return chosen[place].thing if nearest >= LIKE else None


def _decoded(chosen: Sequence[Chosen], width: int) -> Iterator[tuple[int, NDArray[np.float16]]]:
    for place, each in enumerate(chosen):
        try:
            data = base64.b64decode(each.vector, validate=True)
        except binascii.Error:
            remedy = "Send vectors as the service gives them."
            raise Refusal(422, "invalid", "A vector in `chosen` is not in base64.", remedy) from None
        vector = np.frombuffer(data[: len(data) // 2 * 2], "<f2")
        if len(vector) == width and np.isfinite(vector).all():
            yield place, vector


def _unit(vector: NDArray[np.float16]) -> NDArray[np.float32]:
    wide = vector.astype(np.float32)
    return np.asarray(wide / max(float(np.linalg.norm(wide)), 1e-6), np.float32)
