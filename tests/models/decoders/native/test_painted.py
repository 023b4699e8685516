import numpy as np
import pytest

from s2i_core.models.decoders.native.painted import paint
from s2i_core.models.decoders.native.places import PLACES


@pytest.mark.parametrize("style", ["3d", "flat", "sketch", "outline", "a new one"])
def test_it_is_painted_in_any_style_and_proportions(style: str) -> None:
    for setting in PLACES:
        picture = paint(setting, "day", 2**62 + 1, 36, 64, style)
        assert picture.shape == (36, 64, 3) and picture.dtype == np.uint8


def test_a_wider_ground_shows_more_and_a_narrowed_one_the_same() -> None:
    wide = paint("farm", "day", 3, 64, 128)
    narrowed = paint("farm", "day", 3, 64, 64, aspect=2)
    assert np.abs(wide.reshape(64, 64, 2, 3).mean(2) - narrowed).mean() < 4


def test_ink_styles_are_paler_than_paint_but_for_plain_grounds() -> None:
    full, outline, sketch = (
        paint("farm", "day", 3, 48, style=style).astype(int) for style in ("3d", "outline", "sketch")
    )
    assert full.mean() + 25 < sketch.mean() < outline.mean()
    assert np.ptp(outline, axis=2).mean() < 4 < np.ptp(sketch, axis=2).mean()
    plain = [paint("plain red", "day", 3, 48, style=style) for style in ("3d", "outline")]
    np.testing.assert_array_equal(*plain)


def test_there_is_no_second_sun() -> None:
    one, none = (paint("sea", "sunset", 5, 64, lights=lights).astype(int) for lights in (True, False))
    assert one[:34].max() > none[:34].max() and np.abs(one - none)[40:].mean() < 3
