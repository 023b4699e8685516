"""Contact sheets."""

import io

import numpy as np
import pytest
from PIL import Image

from publish.recordings import square
from s2i_core.publish.sheet import contact_sheet

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200)]


@pytest.mark.parametrize("labels", [(), ("one", "two", "three", "four", "a label far too long for its picture")])
def test_every_picture_is_there_in_its_order(labels):
    data = contact_sheet([square(colour) for colour in COLOURS], labels, columns=3, tile_px=64)
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    places = []
    for colour in COLOURS:
        rows, columns = np.nonzero(np.abs(pixels - colour).max(axis=2) < 12)
        assert len(rows) == pytest.approx(64 * 64, rel=0.02)
        places.append((int(rows.min()), int(columns.min())))
    assert places == sorted(places)


def test_nothing_to_show_or_wrong_labels_are_refused():
    with pytest.raises(ValueError, match="needs an image"):
        contact_sheet([])
    with pytest.raises(ValueError, match="labels"):
        contact_sheet([square((0, 0, 0))], ["a", "b"])
