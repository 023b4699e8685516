import numpy as np
import pytest

from s2i_core.corpus.backgrounds import SETTINGS, paint
from s2i_core.models.decoders.native.places import PLAIN


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_can_be_painted_at_its_times(name):
    pictures = [paint(name, at, 3, 64) for at in SETTINGS[name].times]
    for picture in pictures:
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    for other in pictures[1:]:
        assert np.abs(pictures[0].astype(int) - other).mean() > 15, "the time of day must show"


def test_settings_differ_from_each_other():
    thumbnails = {name: paint(name, "day", 3, 32).astype(int) for name in SETTINGS}
    assert len(thumbnails) - len(PLAIN) >= 14
    for name, picture in thumbnails.items():
        for other, its in thumbnails.items():
            assert name == other or np.abs(picture - its).mean() > 4, (name, other)


def test_the_seed_varies_details_and_repeats():
    one, two = paint("grass", "day", 1, 64), paint("grass", "day", 2, 64)
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(one, paint("grass", "day", 1, 64))
    assert np.abs(one.astype(int) - two).mean() < 40


def test_sizes_show_the_same_picture():
    large = paint("beach", "sunset", 4, 128).reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(large - paint("beach", "sunset", 4, 64)).mean() < 3


def test_an_unknown_setting_is_an_error():
    with pytest.raises(KeyError):
        paint("atlantis", "day", 1, 64)
