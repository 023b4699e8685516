"""Alternative text: one plain sentence of what a picture shows, for those who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from s2i_core.english.vocabulary import NUMERALS, Name, english
from s2i_core.records import Contents, Shown

_LONGEST_NAME = 60
"""Characters of a name from a file that somebody called as they liked."""
_COLOURS = frozenset(
    ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray", "golden", "blond"]
)
_PLACES = {
    "grass": "on the grass",
    "farm": "on a farm",
    "garden": "in a garden",
    "forest": "in a forest",
    "mountains": "in the mountains",
    "desert": "in a desert",
    "beach": "on a beach",
    "sea": "at sea",
    "river": "by a river",
    "underwater": "under water",
    "snow": "in the snow",
    "city": "in a city",
    "road": "on a road",
    "rails": "on a railway",
    "room": "in a room",
    "table": "on a table",
    "sky": "in the sky",
    "space": "in outer space",
    "rain": "in the rain",
    "stage": "on a stage",
}
_TIMES = {"sunset": "at sunset", "night": "at night"}
_PLAIN = "plain "


def alt_text(contents: Contents) -> str:
    """What a picture shows in one sentence: "Two bears and a honey pot in a forest at night." """
    things = _listed([named(shown) for shown in contents.things]) or "a scene"
    place = phrase_of(contents.setting) if contents.setting else ""
    sentence = " ".join(part for part in (things, place, _TIMES.get(contents.time_of_day or "", "")) if part)
    return f"{sentence[0].upper()}{sentence[1:]}."


def named(shown: Shown) -> str:
    """A thing with its number and colour: "two red balloons", "a honey pot", "rice"."""
    name, colour = _name(shown), shown.colour or ""
    if colour and not _COLOURS.isdisjoint(name.singular.lower().split()):
        # "a blue black cat" is no cat that anybody knows.
        return f"{_counted(name, shown.count, '')} in {colour}"
    return _counted(name, shown.count, colour)


def phrase_of(setting: str) -> str:
    """How a sentence says where something is; empty for a place that it has no words for."""
    if setting.startswith(_PLAIN):
        return f"on a {setting} background"
    return _PLACES.get(setting, "")


def _name(shown: Shown) -> Name:
    known = english().concepts.get(shown.thing)
    title = " ".join(shown.title.split())[:_LONGEST_NAME].strip() or "thing"
    if known is None:
        # What is not English has articles and plurals of its own: it stands as it is.
        return english()[title].names[0] if title.isascii() else Name(title, title, "mass")
    name = known.names[0]
    # The names are for speaking; proper ones are written as the drawing's title has them.
    return replace(name, singular=title) if title.lower() == name.singular else name


def _counted(name: Name, count: int, modifiers: str) -> str:
    if count == 1 or name.plural is None:
        return name.indefinite(modifiers)
    number = NUMERALS[count] if count < len(NUMERALS) else str(count)
    return " ".join(word for word in (number, modifiers, name.plural) if word)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
