"""What drawings are called: by a table, by their own metadata, or else by their files."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from s2i_core.errors import ConfigError

TABLE = "names.csv"
"""Its columns: `file`, within the folder, and what else is known: `title`, `category`, `author`, `licence`, `url`."""
_COLUMNS = ("title", "category", "author", "licence", "url")
_LONGEST = 80
_MOST_BYTES = 16 << 20
_NUMBERED = re.compile(r"(?<=\w)\s*(\(\d+\)|@\dx|(?<=\s)(\d+\s*x\s*\d+(px)?|v?\d+|copy))$", re.IGNORECASE)
"""The number of one of several files of a thing, or its size."""
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class Called:
    """What is known of a drawing besides its pixels."""

    title: str
    category: str = "house"
    author: str = ""
    licence: str = "own"
    url: str = ""


def called(name: str, told: Mapping[str, str], title: str, author: str) -> Called:
    """What a drawing is called.

    Args:
        name: of its file, within the folder.
        told: its row of the table, or nothing.
        title: that of its metadata, or empty.
        author: likewise.
    """
    known = {column: _clean(told.get(column) or "") for column in _COLUMNS}
    known["title"] = known["title"] or _clean(title) or of_file(name)
    known["author"] = known["author"] or _clean(author)
    return Called(**{column: value for column, value in known.items() if value})


def of_file(name: str) -> str:
    """A title from a file's name: "RedCar_2.png" is a red car.

    >>> of_file("animals/brown-bear_02.svg"), of_file("RedCar@2x.png"), of_file("٣ قطط.png")
    ('brown bear', 'Red Car', '٣ قطط')
    """
    stem = PurePosixPath(name).stem
    words = _clean(_HUMPS.sub(" ", re.sub(r"[_-]+", " ", stem)))
    shorter = _clean(_NUMBERED.sub("", words))
    return shorter if any(letter.isalpha() for letter in shorter) else words or stem


def table(data: bytes, where: str) -> dict[str, dict[str, str]]:
    """The rows of a table by their files.

    Raises:
        ConfigError: it is no such table.
    """
    remedy = f"Write a CSV with the columns file and title, and if you like {', '.join(_COLUMNS[1:])}."
    if len(data) > _MOST_BYTES:
        raise ConfigError(where, f"it is larger than {_MOST_BYTES >> 20} MB", remedy)
    try:
        text = data.decode("utf-8-sig")
        head = text.partition("\n")[0]
        rows = list(csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=head.count)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(where, f"it cannot be read as CSV in UTF-8: {error}", remedy) from error
    if not rows or not rows[0].get("file"):
        raise ConfigError(where, "it has no column called file, or no rows", remedy)
    return {unicodedata.normalize("NFC", row["file"].strip()): row for row in rows if row.get("file")}


def _clean(text: str) -> str:
    """One line of words, the same however it was typed, and no longer than a line."""
    normal = unicodedata.normalize("NFC", text)
    shown = "".join(each if each.isprintable() else " " for each in normal)
    return " ".join(shown.split())[:_LONGEST].strip()
