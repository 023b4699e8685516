"""The report of a library: a page that opens from disk and shows each drawing with what it is found by."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from s2i_core.build_library.folder import Folder
from s2i_core.models.decoders.native.library import RGBA
from s2i_core.models.speech.grounding import Vocabulary

FILE = "report.html"
MOST_SHOWN = 2000
"""Drawings on a page; the first of those that need a look, then the others."""
_POLICY = "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'"
_NAMES_EACH = 6
_LIKE = 0.97
"""Cosine from which two drawings may be one to the model."""
_SAME_PIXELS = 6.0
"""Mean difference of a channel on white, of 255, below which they are one to the eye."""


@dataclass(frozen=True)
class Finding:
    """What leads to a drawing.

    Attributes:
        by: what people may name to get it, with the cosine of both; the surest first.
        nearest: where nothing leads to it, what comes nearest and leads to another.
    """

    by: Sequence[tuple[str, float]] = ()
    nearest: tuple[str, float] | None = None


def found_by(vectors: NDArray[np.float32], vocabulary: Vocabulary | None) -> list[Finding]:
    """What leads to each drawing of a library.

    Args:
        vectors: of the drawings `(N, E)`.
        vocabulary: what the model listens for; None where it hears no single things.
    """
    if vocabulary is None:
        return [Finding()] * len(vectors)
    cosines = vocabulary.vectors @ vectors.T
    leading: list[dict[str, float]] = [{} for _ in vectors]
    for thing, row in enumerate(cosines.argmax(1).tolist()):
        title, cosine = vocabulary.titles[thing], float(cosines[thing, row])
        leading[row][title] = max(cosine, leading[row].get(title, -1.0))
    found = []
    for row, (titles, thing) in enumerate(zip(leading, cosines.argmax(0).tolist(), strict=True)):
        nearest = None if titles else (vocabulary.titles[thing], float(cosines[thing, row]))
        found.append(Finding(sorted(titles.items(), key=lambda each: -each[1]), nearest))
    return found


def twins(vectors: NDArray[np.float32], sprites: Sequence[RGBA]) -> list[list[int]]:
    """For each drawing the numbers of those that are nearly the same, to the model and to the eye."""
    found: list[list[int]] = [[] for _ in sprites]
    for start in range(0, len(vectors), 512):
        rows, columns = np.nonzero(vectors[start : start + 512] @ vectors.T > _LIKE)
        for row, column in zip((rows + start).tolist(), columns.tolist(), strict=True):
            if row < column and _difference(sprites[row], sprites[column]) < _SAME_PIXELS:
                found[row].append(column)
                found[column].append(row)
    return found


def _difference(one: RGBA, other: RGBA) -> float:
    white = [each[..., :3] * (each[..., 3:] / np.float32(255)) + 255.0 - each[..., 3:] for each in (one, other)]
    return float(np.abs(white[0] - white[1]).mean())


def report(title: str, folder: Folder, vectors: NDArray[np.float32], vocabulary: Vocabulary | None) -> str:
    """The page, as HTML without any external address.

    Args:
        title: of the library.
        folder: what became of its files.
        vectors: of its drawings `(N, E)`.
        vocabulary: what the model listens for; None where it hears no single things.
    """
    sprites = [drawing.cut.sprite for drawing in folder.drawings]
    alike = twins(vectors, sprites)
    cards: list[dict[str, Any]] = []
    for drawing, finding, same in zip(folder.drawings, found_by(vectors, vocabulary), alike, strict=True):
        cards.append(
            {
                "title": drawing.info.title,
                "file": drawing.info.id,
                "sprite": drawing.cut.sprite,
                "kept": "vector" if drawing.cut.kind == "svg" else "picture",
                "by": finding.by[:_NAMES_EACH],
                "more": max(0, len(finding.by) - _NAMES_EACH),
                "nearest": finding.nearest,
                "notes": drawing.cut.notes,
                "twins": [folder.drawings[other].info.id for other in same],
                "credit": ", ".join(each for each in (drawing.info.author, drawing.info.licence) if each != "own"),
            }
        )
    unfound = sum(card["nearest"] is not None for card in cards)
    facts = [
        (len(cards), "drawings"),
        (len({drawing.info.concept for drawing in folder.drawings}), "things"),
        (unfound, "found by nothing"),
        (sum(bool(card["twins"]) for card in cards), "nearly the same as another"),
        (sum(not drawing.cut.is_cut_out for drawing in folder.drawings), "not cut out"),
        (len(folder.left_out), "files left out"),
    ]
    # What needs a look comes first.
    cards.sort(key=lambda card: not (card["notes"] or card["twins"] or card["nearest"]))
    shown = cards[:MOST_SHOWN]
    for card in shown:
        card["sprite"] = _data_uri(card["sprite"])
    style = _read("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .from_string(_read("report.html"))
        .render(
            title=title,
            facts=facts,
            cards=shown,
            hidden=len(cards) - len(shown),
            left_out=folder.left_out,
            hears=vocabulary is not None,
            style=Markup(style),
            policy=_POLICY.format(digest),
        )
    )


def _data_uri(sprite: RGBA) -> str:
    file = io.BytesIO()
    Image.fromarray(sprite).save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


@cache
def _read(name: str) -> str:
    return files("s2i_core.build_library").joinpath(name).read_text("utf-8")


@cache
def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
