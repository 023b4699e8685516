import numpy as np
import pytest
from PIL import Image, ImageDraw

from s2i_core.models.decoders.native.library import SpriteInfo, SpriteLibrary, tight_canvas
from s2i_core.models.decoders.native.reference import Slot, SpritePainter


@pytest.fixture
def painter():
    """Sprite 0: left half red, right half blue; sprite 1: green."""
    sprites = []
    for colours in (("red", "blue"), ("lime", "lime")):
        image = Image.new("RGBA", (100, 100))
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 0, 49, 99), fill=colours[0])
        draw.rectangle((50, 0, 99, 99), fill=colours[1])
        sprites.append(tight_canvas(image))
    infos = [SpriteInfo(str(i), str(i), str(i), "thing", "test", "us", "CC0-1.0") for i in range(2)]
    return SpritePainter(SpriteLibrary.from_arrays(infos, sprites))


@pytest.mark.parametrize("size", [64, 128, 256])
def test_the_reference_fills_the_box_and_nothing_else(painter, size):
    picture = painter.reference([Slot(0, "0", (0.3, 0.6, 0.4, 0.4))], size)
    rows, columns = np.nonzero(picture[:, :, 3] > 128)
    assert picture.shape == (size, size, 4)
    for found, wanted in ((columns.min(), 0.1), (columns.max() + 1, 0.5), (rows.min(), 0.4), (rows.max() + 1, 0.8)):
        assert found / size == pytest.approx(wanted, abs=2.1 / size)
    assert (picture[picture[:, :, 3] == 0] == 0).all()


def test_flip_mirrors(painter):
    plain = painter.reference([Slot(0, "0", (0.5, 0.5, 0.5, 0.5))], 64)
    flipped = painter.reference([Slot(0, "0", (0.5, 0.5, 0.5, 0.5), flip=True)], 64)
    assert plain[32, 20, 0] > 200 > 60 > plain[32, 20, 2]
    assert flipped[32, 20, 2] > 200 > 60 > flipped[32, 20, 0]


def test_who_stands_lower_covers(painter):
    back, front = Slot(0, "0", (0.5, 0.4, 0.4, 0.4)), Slot(1, "1", (0.5, 0.5, 0.4, 0.4))
    for order in ([back, front], [front, back]):
        assert painter.reference(order, 64)[32, 32, 1] > 200


def test_proportions_stay_whatever_box_is_asked_for(painter):
    assert painter.placement(Slot(0, "0", (0.5, 0.5, 0.4, 0.1)), 100) == painter.placement(
        Slot(0, "0", (0.5, 0.5, 0.4, 0.4)), 100
    )


def test_what_sticks_out_is_cut(painter):
    picture = painter.reference([Slot(1, "1", (0.0, 0.0, 0.5, 0.5)), Slot(1, "1", (3.0, 3.0, 0.2, 0.2))], 64)
    assert picture[0, 0, 3] == 255
    assert picture[40:, 40:, 3].max() == 0


def test_the_cache_keeps_to_its_limit(painter):
    small = SpritePainter(painter.library, cache_bytes=20_000)
    for side in range(10, 60):
        small.resized(0, side, False)
    assert small._held <= 20_000 + 60 * 60 * 16
