"""One plain sentence of what a picture shows: numbers, articles, lists, places."""

import pytest

from s2i_core.corpus.backgrounds import SETTING_NAMES
from s2i_core.english.alt import _COLOURS, alt_text, phrase_of
from s2i_core.models.decoders.native.recolour import COLOURS
from s2i_core.records import Box, Contents, Shown


def shown(thing, count=1, colour=None, title=None):
    box = Box(0.0, 0.0, 1.0, 1.0)
    return Shown(thing, title or thing, count, colour, box, "tests", None, "CC0-1.0", None, None, None)


@pytest.mark.parametrize(
    ("things", "setting", "time", "sentence"),
    [
        ([shown("bear", 2), shown("honey pot")], "forest", "night", "Two bears and a honey pot in a forest at night."),
        ([shown("owl")], "garden", "day", "An owl in a garden."),
        ([shown("balloon", 3, "red"), shown("rice"), shown("scissors", 2)], "table", None,
         "Three red balloons, rice and scissors on a table."),
        ([shown("umbrella", 1, "orange")], "plain orange", None, "An orange umbrella on a plain orange background."),
        ([shown("black cat", 1, "blue")], None, None, "A black cat in blue."),
        ([shown("santa claus", title="Santa Claus")], "snow", "sunset", "Santa Claus in the snow at sunset."),
        ([shown("wombat", 2)], None, None, "Two wombats."),  # of a customer's library
        ([shown("熊", 2), shown("دب")], "sea", None, "Two 熊 and دب at sea."),
        ([shown("ant", 12)], None, None, "12 ants."),
        ([], "beach", "sunset", "A scene on a beach at sunset."),
        ([], None, None, "A scene."),
        ([shown("  \n")], "a place of tomorrow", None, "A thing."),
    ],
)  # fmt: skip
def test_the_sentence(things, setting, time, sentence):
    assert alt_text(Contents(tuple(things), setting, time)) == sentence


def test_there_are_words_for_every_place_and_colour():
    assert all(map(phrase_of, SETTING_NAMES))
    assert set(COLOURS) <= _COLOURS
