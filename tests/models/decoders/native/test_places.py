"""The decoder's names of places are those that training counts, in their order."""

from s2i_core.corpus.backgrounds import SETTINGS, TIMES
from s2i_core.models.decoders.native import places


def test_the_names_are_those_of_training():
    assert tuple(SETTINGS) == places.SETTINGS
    assert TIMES == places.TIMES


def test_a_place_has_a_time_of_day_where_one_sees_the_sky():
    assert places.named(places.SETTINGS.index("beach"), 1) == ("beach", "sunset")
    assert places.named(places.SETTINGS.index("room"), 1) == ("room", None)
    assert places.named(len(places.SETTINGS), 0) == (None, None)
    assert places.WITHOUT_SKY.isdisjoint(name for name, place in SETTINGS.items() if len(place.times) > 1)
