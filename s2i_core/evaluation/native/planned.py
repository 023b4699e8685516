"""Is the plan right, before anything is drawn? What the layout says, held against what the scene tells.

No network judges here, so a fault of the plan can be told from one of the drawing and from one of the judge.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2i_core.corpus.backgrounds import SETTING_NAMES
from s2i_core.corpus.spec import SceneSpec
from s2i_core.models.decoders.native.layout import Layout
from s2i_core.models.decoders.native.reference import Slot, SpritePainter


def right(
    specs: Sequence[SceneSpec], plans: Sequence[Sequence[Slot]], layout: Layout, painter: SpritePainter
) -> dict[str, list[bool]]:
    """For each scene whether its plan has what it tells; only the scenes that tell of an aspect are in its list.

    Args:
        specs: B scenes.
        plans: what the layout of each looks up, in its places.
        layout: of the same B utterances.
        painter: of the library that the plans are about.

    Returns:
        object: every thing that is named is there; setting: where it is named; colour, number: of each thing that has
        one or is several, nothing of it being there counting as wrong; relation: of the two things' middles, or, for
        what is in front, their feet.
    """
    found: dict[str, list[bool]] = {name: [] for name in ("object", "setting", "colour", "number", "relation")}
    settings = layout.settings.argmax(1).tolist() if layout.settings.shape[1] else [-1] * len(specs)
    for spec, plan, setting in zip(specs, plans, settings, strict=True):
        of = {group.concept: [slot for slot in plan if slot.concept == group.concept] for group in spec.groups}
        found["object"].append(all(of.values()))
        if spec.told_setting:
            found["setting"].append(setting == SETTING_NAMES.index(spec.setting))
        for group in spec.groups:
            if group.colour:
                colours = {_colour(slot, painter) for slot in of[group.concept]}
                found["colour"].append(colours == {group.colour})
            if group.count > 1:
                found["number"].append(len(of[group.concept]) == group.count)
        if len(spec.groups) == 2 and spec.relation in _HOLDS:
            first, second = (of[group.concept] for group in spec.groups)
            found["relation"].append(bool(first and second) and _holds(spec.relation, first, second))
    return found


_HOLDS = ("left", "right", "above", "front")


def _holds(relation: str, first: Sequence[Slot], second: Sequence[Slot]) -> bool:
    (ax, ay, a_foot), (bx, by, b_foot) = (
        np.mean([(slot.box[0], slot.box[1], slot.bottom) for slot in slots], axis=0) for slots in (first, second)
    )
    return bool({"left": ax < bx, "right": ax > bx, "above": ay < by, "front": a_foot > b_foot}[relation])


def _colour(slot: Slot, painter: SpritePainter) -> str | None:
    """The colour in which it is drawn: the one it is given, if it can be repainted, or its own."""
    paint = painter.paint_of(slot.sprite)
    if paint is None:
        return None
    return slot.colour or paint.colour
