"""The light of a scene on its things."""

import numpy as np
import pytest

from s2i_core.corpus.light import light_on
from s2i_core.models.decoders.native.reference import Slot

SLOT = Slot(0, "cat", (0.5, 0.6, 0.4, 0.4))


def test_noon_in_no_place_changes_nothing() -> None:
    assert light_on(SLOT, "plain blue", "day", "3d", 16) is None
    assert light_on(SLOT, "grass", "day", "flat", 16) is None


@pytest.mark.parametrize("style", ["3d", "flat", "clipart"])
def test_night_is_dark_and_blue(style: str) -> None:
    light = light_on(SLOT, "grass", "night", style, 16)
    assert light is not None and light.shape == (16, 16, 3)
    red, _, blue = light.mean((0, 1))
    assert red < 0.6 < blue < 1


def test_ink_on_paper_has_no_light() -> None:
    assert light_on(SLOT, "grass", "night", "outline", 16) is None


def test_shade_grows_toward_the_ground() -> None:
    light = light_on(SLOT, "grass", "day", "3d", 100)
    assert light is not None
    column = light[:, 50, 0]
    assert column[41] > 1 > column[79]
    assert (np.diff(column[40:80]) < 0).all()
