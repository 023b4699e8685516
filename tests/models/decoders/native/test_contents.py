"""What a picture shows, held against its pixels: number, colour, box; and how it was named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from s2i_core.models.decoders.native.contents import Said, shown
from s2i_core.models.decoders.native.library import SpriteInfo, SpriteLibrary, tight_canvas
from s2i_core.models.decoders.native.reference import Slot, SpritePainter
from s2i_core.records import SpeechEmbedding

FRAME_PX = (144, 256)


def drawing(kind: str) -> np.ndarray:
    image = Image.new("RGBA", (200, 200))
    draw = ImageDraw.Draw(image)
    if kind == "pole":
        draw.rectangle((95, 10, 105, 190), (200, 40, 40, 255))
    else:
        draw.ellipse((10, 10, 190, 190), (40, 80, 220, 255))
        if kind == "flag":
            draw.rectangle((10, 80, 190, 190), (240, 200, 40, 255))
    return tight_canvas(image)


@pytest.fixture(scope="module")
def painter() -> SpritePainter:
    names = ("pole", "disc", "flag")
    infos = [SpriteInfo(f"3d/{n}", n, f"{n} title", "thing", "3d", "tests", "CC0-1.0", "Ann", "a.org") for n in names]
    library = SpriteLibrary.from_arrays(infos, map(drawing, names))
    library.vectors = np.eye(4, dtype=np.float32)[:3]
    return SpritePainter(library)


def painted_box(painter: SpritePainter, slots: list[Slot]) -> list[float]:
    """Left, top, right and bottom of what there is in the painted picture."""
    alpha = painter.painted(slots, *FRAME_PX)[:, :, 3] > 0.1
    rows, columns = np.nonzero(alpha.any(1))[0], np.nonzero(alpha.any(0))[0]
    height, width = FRAME_PX
    return [columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height]


@pytest.mark.parametrize(
    "slots",
    [
        [Slot(0, "pole", (0.5, 0.5, 0.02, 0.6))],
        [Slot(0, "pole", (0.3, 0.5, 0.03, 0.1))],  # wider than it is: its own proportions hold
        [Slot(1, "disc", (0.2, 0.4, 0.2, 0.3)), Slot(1, "disc", (0.7, 0.6, 0.1, 0.2), flip=True)],
        [Slot(1, "disc", (0.95, 0.9, 0.3, 0.5))],  # cut by the frame
    ],
)
def test_the_box_is_that_of_the_painted_pixels(painter: SpritePainter, slots: list[Slot]) -> None:
    (found,) = shown(painter, slots, FRAME_PX, None)
    assert found.count == len(slots)
    box = found.box
    np.testing.assert_allclose(
        [box.x, box.y, box.x + box.w, box.y + box.h], painted_box(painter, slots), atol=2 / min(FRAME_PX)
    )
    assert (found.title, found.source, found.author, found.url) == (f"{found.thing} title", "tests", "Ann", "a.org")


def test_one_kind_in_one_colour_is_one_entry_and_many_hues_stay(painter: SpritePainter) -> None:
    place = (0.5, 0.5, 0.1, 0.1)
    slots = [Slot(1, "disc", place, colour) for colour in ("red", None, "red")] + [Slot(2, "flag", place, "green")]
    found = shown(painter, slots, FRAME_PX, None)
    assert [(each.thing, each.count, each.colour) for each in found] == [
        ("disc", 2, "red"),
        ("disc", 1, None),
        ("flag", 1, None),
    ]


def test_each_thing_says_how_surely_and_when_it_was_named(painter: SpritePainter) -> None:
    slots = [Slot(n, name, (0.5, 0.5, 0.1, 0.1)) for n, name in enumerate(("pole", "disc"))]
    vectors = torch.zeros(3, 4, 4)
    vectors[0, :2] = vectors[1, :2] = torch.eye(4)[[1, 0]]
    named = torch.zeros(3, 4, 2)
    named[0, :2] = torch.tensor([[0.9, 12.5], [0.7, 3.0]])
    extras = {"things": vectors, "named": named}
    speech = SpeechEmbedding(torch.zeros(3, 1, 1), torch.zeros(3, 4), torch.ones(3), extras)
    by_row = [shown(painter, slots, FRAME_PX, said) for said in Said.each(speech)]
    facts = [[(each.thing, each.confidence, each.start_s) for each in row] for row in by_row]
    assert facts[0] == [("disc", pytest.approx(0.9), 12.5), ("pole", pytest.approx(0.7), 3.0)]  # the surest first
    unknown = [("pole", None, None), ("disc", None, None)]
    assert facts[1] == unknown  # a row of before: what was named is known, and no more
    assert facts[2] == unknown
