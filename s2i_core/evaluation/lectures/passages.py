"""Half-minute passages of talk with the places where they name something that the library shows.

Lecturers, podcasters and story tellers, in their own syntax: several things in a sentence, and sentences that name
none. `test.toml` is for reporting, `dev.toml` for choosing and stopping; none of it is in any training data.
`accepted.toml` says which of the library's titles are right for what is named, beside the one that it is the name of.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from s2i_core.english.vocabulary import english

Split = Literal["dev", "test"]

_MARK = re.compile(r"\[([^\]]+)\]|\(([^)]+)\)")


@dataclass(frozen=True)
class Marked:
    """Where a line names a thing.

    Attributes:
        start, end: its place in the line, as of a slice.
        accepted: titles of the library that are right.
        needed: whether a listener that shows nothing here has missed something. Others ("a monk") name what the library
            has not: a picture that is near is no fault, and none is none either.
    """

    start: int
    end: int
    accepted: frozenset[str]
    needed: bool


@dataclass(frozen=True)
class Line:
    """A sentence as it is said, and what it names."""

    text: str
    mentions: tuple[Marked, ...]


@dataclass(frozen=True)
class Script:
    """Some eighty words on one topic; `topic` is `nothing` where nothing of the library is named."""

    title: str
    topic: str
    lines: tuple[Line, ...]


@cache
def passages(split: Split) -> tuple[Script, ...]:
    """The passages of a split, in the order of their file."""
    rows = tomllib.loads(_read(f"{split}.toml"))["passage"]
    return tuple(Script(row["title"], row["topic"], tuple(line(marked) for marked in row["lines"])) for row in rows)


def line(marked: str) -> Line:
    """A line of the files: what it names stands in brackets, square ones where it is needed.

    >>> line("An [owl] and a (monk).").text
    'An owl and a monk.'

    Raises:
        KeyError: `accepted.toml` does not say what is right for one of them.
    """
    text, mentions, at = "", [], 0
    for match in _MARK.finditer(marked):
        text += marked[at : match.start()]
        named = match[1] or match[2]
        accepted = _accepted()[named.lower()] | called(named)
        mentions.append(Marked(len(text), len(text) + len(named), accepted, match[1] is not None))
        text += named
        at = match.end()
    return Line(text + marked[at:], tuple(mentions))


def accepted_for(named: str) -> frozenset[str]:
    """The titles that are right where this is named, of what the passages name; none for anything else."""
    return _accepted().get(named.lower(), frozenset())


def called(named: str) -> frozenset[str]:
    """The things whose plain name this is, in the singular or the plural: they are right without being written down."""
    return _by_name().get(named.lower(), frozenset())


@cache
def _by_name() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for concept in english().concepts.values():
        for form in (concept.names[0].singular, concept.names[0].plural):
            if form:
                found.setdefault(form.lower(), set()).add(concept.name)
    return {form: frozenset(names) for form, names in found.items()}


@cache
def _accepted() -> dict[str, frozenset[str]]:
    return {named: frozenset(titles) for named, titles in tomllib.loads(_read("accepted.toml")).items()}


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
