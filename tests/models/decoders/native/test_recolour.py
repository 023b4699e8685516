import numpy as np
import pytest
from PIL import Image, ImageDraw

from s2i_core.models.decoders.native.recolour import COLOURS, colour_name, repaint, single_hue


def sprite(*fills):
    """Discs beside each other, each with a darker half."""
    image = Image.new("RGBA", (128, 128))
    draw = ImageDraw.Draw(image)
    step = 120 / len(fills)
    for i, (red, green, blue) in enumerate(fills):
        box = (4 + i * step, 10, 4 + (i + 1) * step, 118)
        draw.ellipse(box, fill=(red, green, blue))
        draw.chord(box, 0, 180, fill=(red * 3 // 4, green * 3 // 4, blue * 3 // 4))
    return np.asarray(image)


def test_many_hues_are_left_alone():
    assert single_hue(sprite((220, 30, 30), (40, 160, 60))) is None
    assert single_hue(sprite((120, 120, 120))) is None


@pytest.mark.parametrize("colour", COLOURS)
def test_repainting_gives_the_colour_and_keeps_the_shade(colour):
    original = sprite((220, 40, 40))
    paint = single_hue(original)
    assert paint is not None and paint.colour == "red"
    painted = repaint(original, paint, colour)
    np.testing.assert_array_equal(painted[:, :, 3], original[:, :, 3])
    assert painted[40, 64, :3].mean() > painted[90, 64, :3].mean(), "the shaded half stays darker"
    mean = painted[original[:, :, 3] == 255][:, :3].mean(0) / 255
    assert colour_name(mean.astype(np.float32)) == colour


def test_white_parts_stay_white():
    original = sprite((220, 40, 40), (240, 240, 240))
    small = original.copy()
    small[:, 64:, 3] = np.where(np.arange(128)[:, None] < 40, small[:, 64:, 3], 0)
    paint = single_hue(small)
    assert paint is not None
    painted = repaint(small, paint, "blue")
    np.testing.assert_array_equal(painted[30, 94], small[30, 94])


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_called_by_their_names(name):
    assert colour_name(np.array(COLOURS[name], np.float32) / 255) == name
