"""SVG files that somebody else made: what may be in one that is kept and rendered again and again.

They are drawings and nothing more: no script, nothing from elsewhere, no entities, which can multiply without end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from s2i_core.errors import ModelError

MOST_ELEMENTS = 2000
"""A drawing with more takes long to render: it is kept as a picture."""
_MOST_ELEMENTS_READ = 200_000
_DEEPEST = 200
_EMBEDDED = re.compile(r"data:image/(png|jpeg|gif|webp);base64,", re.IGNORECASE)
_ADDRESS = re.compile(r"url\(\s*['\"]?\s*(?!#|data:)([^)'\"]{1,60})|@import\s+([^;]{1,60})", re.IGNORECASE)
_PLAIN = "Save it as plain SVG."


@dataclass
class Svg:
    """What is known of an SVG.

    Attributes:
        text: it, without what comes before its first element.
        elements: how many there are.
        notes: what is not drawn of it.
    """

    text: str
    elements: int = 0
    notes: list[str] = field(default_factory=list)


def checked(name: str, data: bytes) -> Svg:
    """An SVG that can be kept.

    Raises:
        ModelError: it is none, is damaged, or has in it what a drawing does not need.
    """
    reading = _Reading(name)
    try:
        reading.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ModelError(name, f"it cannot be read as SVG: {error}", "Save it again.") from error
    if not reading.elements:
        raise ModelError(name, "it cannot be read as SVG: it has no elements", "Save it again.")
    notes = [note for tag, note in _NOT_DRAWN.items() if tag in reading.tags]
    return Svg(_without_head(data, reading.encoding), reading.elements, notes)


_NOT_DRAWN = {
    "text": "its text is not drawn: convert it to paths",
    "animate": "it moves: it is drawn as it begins",
    "animateTransform": "it moves: it is drawn as it begins",
}


class _Reading:
    """Looks at each part of a file as it is parsed, and ends where something is refused."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.elements = 0
        self.tags: set[str] = set()
        self.encoding = "utf-8"
        self._depth = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._declaration
        self.parser.EntityDeclHandler = self._entity
        self.parser.ProcessingInstructionHandler = self._instruction
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _refuse(self, reason: str, remedy: str = _PLAIN) -> None:
        raise ModelError(self.name, reason, remedy)

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        self.encoding = encoding or "utf-8"

    def _entity(self, entity: str, *_: object) -> None:
        self._refuse(f"it declares an entity, {entity[:40]!r}: entities can multiply without end")

    def _instruction(self, target: str, data: str) -> None:
        if target == "xml-stylesheet":
            self._refuse(f"it refers to something outside of it: {data[:60]!r}")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        self._depth += 1
        local = tag.rpartition(":")[2]
        self.tags.add(local)
        if self.elements == 1 and local != "svg":
            self._refuse(f"it cannot be read as SVG: it begins with <{tag[:40]}>", "Save it again.")
        if self.elements > _MOST_ELEMENTS_READ or self._depth > _DEEPEST:
            self._refuse("it has too many elements, or too many in one another", "Simplify it, or save it as PNG.")
        if local in {"script", "foreignObject"}:
            self._refuse(f"it has a <{local}> in it, which a drawing does not need")
        for attribute, value in attributes.items():
            last = attribute.rpartition(":")[2].lower()
            if last.startswith("on"):
                self._refuse(f"it has a script in it, in {attribute[:40]}")
            if last in {"href", "src"} and local != "a":
                where = value.strip()
                if where and not where.startswith("#") and not _EMBEDDED.match(where):
                    self._refuse(f"it refers to something outside of it: {where[:60]!r}", "Put it in, or leave it out.")
            else:
                self._text(value)

    def _end(self, tag: str) -> None:
        self._depth -= 1

    def _text(self, text: str) -> None:
        if found := _ADDRESS.search(text):
            where = (found[1] or found[2]).strip()
            self._refuse(f"it refers to something outside of it: {where!r}", "Put it in, or leave it out.")


def _without_head(data: bytes, encoding: str) -> str:
    """From its first element on: the declaration's encoding no longer holds, and a document type is not needed."""
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else encoding, "replace")
    return text[re.search(r"<[^?!]", text).start() :]  # type: ignore[union-attr]
