"""The places that the layout predictor tells apart, in the order in which it counts them.

Training paints them (`corpus/backgrounds.py`); here they only have names.
"""

from __future__ import annotations

SETTINGS = (
    *("grass", "farm", "garden", "forest", "mountains", "desert", "beach", "sea", "river", "underwater", "snow"),
    *("city", "road", "rails", "room", "table", "sky", "space", "rain", "stage"),
    *("plain white", "plain gray", "plain red", "plain orange", "plain yellow", "plain green", "plain blue"),
    *("plain purple", "plain pink", "plain black"),
)
TIMES = ("day", "sunset", "night")
WITHOUT_SKY = frozenset(["underwater", "room", "table", "space", "stage", *SETTINGS[20:]])
"""Where nobody sees what time of day it is."""


def named(setting: int, time: int) -> tuple[str | None, str | None]:
    """The names of a place and of its time of day; None for what has none."""
    if setting >= len(SETTINGS):
        return None, None
    return SETTINGS[setting], None if SETTINGS[setting] in WITHOUT_SKY else TIMES[time]
