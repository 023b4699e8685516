"""Credits of the drawings in pictures, as CC BY asks for them: what, by whom, under which licence, and links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from s2i_core.records import Shown

OWN = "own"
"""The licence of a customer's own drawings: nobody else is to be named."""
_DEEDS = {
    "CC-BY-3.0": ("CC BY 3.0", "https://creativecommons.org/licenses/by/3.0/"),
    "CC-BY-4.0": ("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    "CC0-1.0": ("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
}


@dataclass(frozen=True)
class Credit:
    """A source with what was drawn after it.

    Attributes:
        titles: of its drawings, in the order of their first use.
        source: its name.
        author: who made it; None where the source says so, or nobody knows.
        url: where it is found.
        licence: for people.
        licence_url: its text.
    """

    titles: tuple[str, ...]
    source: str
    author: str | None
    url: str | None
    licence: str
    licence_url: str

    @property
    def line(self) -> str:
        """In plain text."""
        by = f" by {self.author}" if self.author else ""
        words = f"{', '.join(self.titles)}: {self.source}{by}, {self.licence}"
        return f"{words}, {self.url}" if self.url else words


def credits_of(things: Iterable[Shown]) -> list[Credit]:
    """The credits of what some pictures show, by their sources."""
    titles: dict[tuple[str, str, str, str], dict[str, None]] = {}
    for thing in things:
        if thing.licence != OWN:
            author = thing.author or ""
            whom = thing.source, "" if author in thing.source else author, thing.url or "", thing.licence
            titles.setdefault(whom, {})[thing.title] = None
    return [
        Credit(tuple(own), source, author or None, url or None, *_licence(licence))
        for (source, author, url, licence), own in sorted(titles.items())
    ]


def _licence(identifier: str) -> tuple[str, str]:
    return _DEEDS.get(identifier, (identifier, f"https://spdx.org/licenses/{identifier}.html"))
