"""Does the picture show what was said: the right things, their number and colour, the place, who is where?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2i_core.evaluation.examination import Drawn, Examination
from s2i_core.evaluation.judges import ASPECTS, test_scenes
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, mean, share
from s2i_core.models.reference import Box, Slot
from s2i_core.training.compose import render
from s2i_core.training.spec import SceneSpec

_OTHER_SCENES = 400
_CROP_PX = 64
_DEPARTED = 24
"""Difference of a colour channel, of 255, from which a pixel counts as changed."""


def run(exam: Examination) -> Part:
    """Measure it."""
    size = exam.image.size_px
    others = test_scenes(exam.tests.book, _OTHER_SCENES, seed=3)
    specs = exam.drawn_specs
    planned = exam.slots
    sets = [
        _Set("judge", "composed pictures of other unseen scenes", _real(exam, others, size), others, _own(others)),
        _Set("real", "composed pictures of the very scenes", _real(exam, specs, size), specs, _own(specs)),
        _Set("references", "the model", exam.draw("references").images, specs, planned),
        _Set("plain", "the model without references", exam.draw("plain").images, specs, planned),
        _Set("paste", "paste only: what was looked up, on white", exam.pasted, specs, planned),
        _Set("cascade", "cascade, with references", exam.draw("cascade").images, specs, exam.slots_of("cascade")),
    ]
    rows: list[list[Cell]] = []
    figures: dict[str, Figure] = {}
    for one in sets:
        right = exam.judges.right(one.pictures, one.specs, exam.tests.book)
        figures[f"{one.name}_object_by_judge"] = share(right["object"])
        right["object"] = _named(exam, one)
        found = {aspect: share(right[aspect]) for aspect in ASPECTS}
        rows.append([one.title, *found.values()])
        figures |= {f"{one.name}_{aspect}": figure for aspect, figure in found.items()}
    known = figures["judge_object_by_judge"].value
    table = Table(
        "Composition on combinations that training never shows, spoken by neural test voices",
        ("pictures", *ASPECTS),
        rows,
        "Setting, colour, number and relation by a network that was trained on composed pictures alone. It was not "
        f"trained long enough to tell the library's things apart ({known:.2f} on real pictures), so these are named by "
        "the model's own image encoder, which is no independent judge: object is right where, among the nearest "
        "illustrations of what is seen in the layout's places, there is every thing that was named. The first two rows "
        "are of real pictures and say how far either can be trusted; where they are low, the column says little. Paste "
        "only has no ground. Chance: object under 0.01, setting 0.03, colour 0.09, number 0.33, relation 0.25.",
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


def _named(exam: Examination, one: _Set) -> list[bool]:
    """Whether the crops of each picture, by their nearest illustrations, show every thing that its scene names."""
    library = exam.library
    crops, owner = [], []
    for row, (picture, slots) in enumerate(zip(one.pictures, one.slots, strict=True)):
        for slot in slots:
            crops.append(_crop(picture, slot.box))
            owner.append(row)
    vectors = [exam.pipeline.encode_images(np.stack(crops[n : n + 64])).cpu().numpy() for n in range(0, len(crops), 64)]
    _, nearest = library.nearest(np.concatenate(vectors), k=1)
    seen: list[set[str]] = [set() for _ in one.pictures]
    for row, sprite in zip(owner, nearest[:, 0].tolist(), strict=True):
        seen[row].add(library.infos[sprite].concept)
    return [{group.concept for group in spec.groups} <= found for spec, found in zip(one.specs, seen, strict=True)]


def _crop(picture: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The square around a box `(cx, cy, w, h)`, with a little room, at `_CROP_PX`."""
    size = picture.shape[0]
    half = max(2.0, 0.55 * max(box[2], box[3]) * size)
    x, y = box[0] * size, box[1] * size
    square = Image.fromarray(np.ascontiguousarray(picture)).transform(
        (_CROP_PX, _CROP_PX),
        Image.Transform.EXTENT,
        (x - half, y - half, x + half, y + half),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(square, dtype=np.uint8)


def _real(exam: Examination, specs: Sequence[SceneSpec], size: int) -> NDArray[np.uint8]:
    return np.stack([render(spec, exam.tests.book, size)[0] for spec in specs])


def _departure(exam: Examination, figures: dict[str, Figure]) -> Table:
    """How far pictures are from what was looked up."""
    rows: list[list[Cell]] = []
    for name, title, drawn in (
        ("references", "the model", exam.draw("references")),
        ("plain", "without", exam.draw("plain")),
    ):
        distance, changed = _distances(drawn, exam.references)
        taken = mean(drawn.taken)
        rows.append([title, taken, mean(distance), mean(changed), mean(1 - _covered(exam.references))])
        figures |= {f"{name}_taken": taken, f"{name}_changed": mean(changed)}
    return Table(
        "How far a picture departs from what was retrieved",
        ("pictures", "taken over unchanged", "mean difference", "pixels changed", "pixels without a reference"),
        rows,
        "Under the references: the share of pixels that the decoder took over (its gate), the mean difference of a "
        f"channel (0 to 1), and the share of pixels that differ by more than {_DEPARTED} of 255 in some channel. The "
        "last column is the rest of the picture, which is drawn from nothing but speech and noise.",
    )


def _distances(drawn: Drawn, references: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    distance, changed = [], []
    for picture, reference in zip(drawn.images.astype(np.int16), references.astype(np.int16), strict=True):
        under = reference[..., 3] > 127
        if under.any():
            difference = np.abs(picture - reference[..., :3])[under]
            distance.append(float(difference.mean() / 255))
            changed.append(float((difference.max(1) > _DEPARTED).mean()))
    return distance, changed


def _covered(references: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray((references[..., 3] > 127).mean((1, 2)))
