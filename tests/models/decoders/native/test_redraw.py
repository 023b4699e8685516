import numpy as np
import pytest
from PIL import Image, ImageDraw

from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.redraw import STYLES, Redrawing


def ring(width=18, side=256):
    image = Image.new("RGBA", (side, side))
    ImageDraw.Draw(image).ellipse((40, 40, side - 40, side - 40), outline="black", width=width)
    return image


def disc(side=256):
    image = Image.new("RGBA", (side, side))
    ImageDraw.Draw(image).ellipse((40, 40, side - 40, side - 40), fill="black")
    return image


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("side", [200, 256, 512])
def test_every_style_paints_what_a_line_encloses_at_every_size(style, side):
    redrawn = Redrawing(style, "line", "#c04030")(ring().resize((side, side)))
    assert redrawn.size == (side, side)
    alpha = np.asarray(redrawn)[:, :, 3]
    assert alpha[side // 2, side // 2] > 250
    assert alpha[2, 2] == 0


def test_a_thing_has_its_colour_where_the_style_has_colours():
    inside = {}
    for style in STYLES:
        made = np.asarray(Redrawing(style, "solid", "#2060c0")(disc())).astype(int)
        inside[style] = made[128, 128, 2] - made[128, 128, 0]
    assert all(inside[style] > 60 for style in ("3d", "flat", "cartoon", "sketch", "clipart", "line"))
    assert inside["outline"] == 0
    assert inside["silhouette"] < 40


def test_an_outline_is_ink_on_white_and_a_silhouette_ink_alone():
    outline = np.asarray(Redrawing("outline", "solid", "#2060c0")(disc()))
    assert outline[128, 128].tolist() == [255, 255, 255, 255]
    assert outline[42, 128, :3].max() < 80
    silhouette = np.asarray(Redrawing("silhouette", "line", "#2060c0")(ring()))
    assert silhouette[128, 128, :3].max() < 60


def test_what_is_round_is_lit_from_above_left():
    made = np.asarray(Redrawing("3d", "solid", "#888888")(disc()))[:, :, :3].astype(int).sum(2)
    assert made[72, 72] > made[128, 128] > made[184, 184]


def test_it_is_told_and_read_again():
    redrawing = Redrawing("sketch", "line", "#0a0b0c")
    assert Redrawing.of(str(redrawing)) == redrawing
    for told in (
        "",
        "sketch",
        "sketch line",
        "oil line #000000",
        "sketch dots #000000",
        "sketch line red",
        "flat line #00",
    ):
        with pytest.raises(ModelError, match="no such way"):
            Redrawing.of(told)
