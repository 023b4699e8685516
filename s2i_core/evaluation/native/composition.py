"""Does the picture show what was said: the right things, their number and colour, the place, who is where?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2i_core.corpus.compose import render
from s2i_core.corpus.spec import SceneSpec
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.native import planned
from s2i_core.evaluation.native.composed import test_scenes
from s2i_core.evaluation.native.judges import ASPECTS
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, mean, share
from s2i_core.models.decoders.native.reference import Slot

_OTHER_SCENES = 400
_DEPARTED = 24
"""Difference of a colour channel, of 255, from which a pixel counts as changed."""


def run(exam: Examination) -> Part:
    """Measure it."""
    size = exam.image.size_px
    others = test_scenes(exam.tests.book, _OTHER_SCENES, seed=3)
    specs = exam.drawn_specs
    looked_up = exam.slots
    sets = [
        _Set("judge", "composed pictures of other unseen scenes", _real(exam, others, size), others, _own(others)),
        _Set("real", "composed pictures of the very scenes", _real(exam, specs, size), specs, _own(specs)),
        _Set("references", "the model", exam.draw("references").images, specs, looked_up),
        _Set("plain", "the model without references", exam.draw("plain").images, specs, looked_up),
        _Set("paste", "paste only: what was looked up, on its ground", exam.pasted, specs, looked_up),
        _Set("cascade", "cascade, with references", exam.draw("cascade").images, specs, exam.slots_of("cascade")),
    ]
    rows: list[list[Cell]] = []
    figures: dict[str, Figure] = {}
    for one in sets:
        right = exam.judges.right(one.pictures, one.specs, one.slots)
        found = {aspect: share(right[aspect]) for aspect in ASPECTS}
        rows.append([one.title, *found.values()])
        figures |= {f"{one.name}_{aspect}": figure for aspect, figure in found.items()}
    plan = planned.right(specs, looked_up, exam.decoder.predict(exam.embedding("references")), exam.painter)
    found = {aspect: share(plan[aspect]) for aspect in ASPECTS}
    rows.append(["no picture: the model's plan, held against the scene", *found.values()])
    figures |= {f"planned_{aspect}": figure for aspect, figure in found.items()}
    table = Table(
        "Composition on combinations that training never shows, spoken by neural test voices",
        ("pictures", *ASPECTS),
        rows,
        "Judged by two networks that were trained on composed pictures alone and share nothing with the model. One "
        "looks at the layout's places: object is right where every thing that was named stands in some place, number "
        "where as many places show the thing as were said, colour and relation where the places that look most like "
        "the things have it and lie so. What is drawn outside of these places is not seen. The other names the setting "
        "of the whole picture. The first two rows are of real pictures, of combinations that neither network was "
        "trained on, and say how far the judges can be trusted: no model can be told better than that. Paste only is "
        "what a picture starts from. The last row is no picture and has no judge: what the layout says, held against "
        "the scene. "
        "Chance: object under 0.01, setting 0.03, colour 0.09, number under 0.01, relation 0.25.",
    )
    return Part([table, _departure(exam, figures)], figures)


@dataclass(frozen=True)
class _Set:
    """Pictures `(N, S, S, 3)` of scenes, and where in each of them something is."""

    name: str
    title: str
    pictures: NDArray[np.uint8]
    specs: Sequence[SceneSpec]
    slots: Sequence[Sequence[Slot]]


def _own(specs: Sequence[SceneSpec]) -> list[Sequence[Slot]]:
    return [spec.slots for spec in specs]


def _real(exam: Examination, specs: Sequence[SceneSpec], size: int) -> NDArray[np.uint8]:
    return np.stack([render(spec, exam.tests.book, size)[0] for spec in specs])


def _departure(exam: Examination, figures: dict[str, Figure]) -> Table:
    """How far pictures are from what was looked up."""
    rows: list[list[Cell]] = []
    for name, title, drawn in (
        ("references", "the model", exam.draw("references")),
        ("plain", "without", exam.draw("plain")),
    ):
        under = exam.references[..., 3] > 127
        distance, changed = _distances(drawn.images, exam.pasted, under)
        ground_distance, ground_changed = _distances(drawn.images, exam.pasted, ~under)
        taken = mean(drawn.taken)
        rows.append([title, taken, *(mean(part) for part in (distance, changed, ground_distance, ground_changed))])
        figures |= {f"{name}_taken": taken, f"{name}_changed": mean(changed)}
        figures |= {f"{name}_ground_changed": mean(ground_changed)}
    return Table(
        "How far a picture departs from what was retrieved",
        (
            "pictures",
            "references: taken over",
            "mean difference",
            "pixels changed",
            "grounds: mean difference",
            "pixels changed",
        ),
        rows,
        "Under the references: the share of pixels that the decoder took over (its gate), the mean difference of a "
        f"channel (0 to 1), and the share of pixels that differ by more than {_DEPARTED} of 255 in some channel. Of "
        "the rest of the picture the same difference from the ground that it starts from.",
    )


def _distances(
    drawn: NDArray[np.uint8], start: NDArray[np.uint8], where: NDArray[np.bool_]
) -> tuple[list[float], list[float]]:
    distance, changed = [], []
    for picture, other, chosen in zip(drawn.astype(np.int16), start.astype(np.int16), where, strict=True):
        if chosen.any():
            difference = np.abs(picture - other)[chosen]
            distance.append(float(difference.mean() / 255))
            changed.append(float((difference.max(1) > _DEPARTED).mean()))
    return distance, changed
