"""Illustrations from public icon sets, cleaned for composing scenes.

Which drawings are wanted is decided by the hand-made vocabulary, one emoji a concept: it leaves out flags, skin tones,
letters, signs, clock faces and trade names, and takes an animal's body where there is one and its face elsewhere.
What is left to do here is to crop, to centre, and to drop blank drawings and near-duplicates.

Six styles of the same things. Three sets are drawn as they come; of three, the look is finished here: the outlines get
paper inside them, the sketch is the flat set in pencil and thin colour, and the clip art is cut out with a white edge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from s2i_core.corpus.sources.packages import Package, fetch
from s2i_core.english.vocabulary import Concept, Vocabulary, english
from s2i_core.models.decoders.native.drawings import RGBA, opened, save_drawings
from s2i_core.models.decoders.native.library import SPRITE_SIZE, SpriteInfo, SpriteLibrary, tight_canvas

FLUENT_3D = Package(
    "npm", "@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
)
FLUENT_FLAT = Package(
    "npm",
    "@iconify-json/fluent-emoji-flat",
    "1.2.6",
    "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
)
NOTO = Package("npm", "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad")
FLUENT_LINES = Package(
    "npm",
    "@iconify-json/fluent-emoji-high-contrast",
    "1.2.6",
    "0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0",
)
TWEMOJI = Package(
    "npm", "@iconify-json/twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"
)
EMOJIBASE = Package(
    "npm", "emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"
)

#: Mean difference (0 to 1) of two drawings at 32 px below which the later one is dropped.
DUPLICATE_BELOW = 0.015
_RENDER_SIZE = 2 * SPRITE_SIZE
_EDGE_SHARE = 0.05  # room around a drawing, for what is finished here
_PENCIL = "#3d3a38"
_COLOUR_LEFT = 0.45

DrawingFile = tuple[str, bytes]
"""How its name ends in `drawings.zip`, and its content."""
Find = Callable[[str], DrawingFile | None]


@dataclass(frozen=True)
class Illustration:
    """One drawing of one concept; `rgba` is `(SPRITE_SIZE, SPRITE_SIZE, 4)` uint8 with straight alpha.

    `file` is what it was made of, to be kept with the library.
    """

    id: str
    concept: str
    title: str
    keywords: tuple[str, ...]
    category: str
    style: str
    source: str
    licence: str
    rgba: RGBA
    file: DrawingFile | None = None
    author: str = ""
    url: str = ""


@dataclass(frozen=True)
class IconSet:
    """A set of drawings of the emoji in one style; `author` and `url` are who made it, and where it can be had."""

    style: str
    source: str
    licence: str
    author: str
    url: str
    package: Package
    open: Callable[[Path], Find]


def load(
    styles: Iterable[str] = ("3d",), vocabulary: Vocabulary | None = None, cache_dir: Path | None = None
) -> list[Illustration]:
    """Fetch and clean the sets of these styles, some of `ICON_SETS`.

    Raises:
        PackageError: a package cannot be fetched.
        KeyError: no set has that style.
    """
    vocabulary = vocabulary or english()
    annotations = _annotations(fetch(EMOJIBASE, cache_dir))
    kept: list[Illustration] = []
    for style in styles:
        icon_set = ICON_SETS[style]
        find = icon_set.open(fetch(icon_set.package, cache_dir))
        kept.extend(distinct(_illustrations(icon_set, find, vocabulary, annotations)))
    return kept


def distinct(illustrations: Iterable[Illustration]) -> Iterator[Illustration]:
    """Leave out drawings that look like an earlier one."""
    seen = np.empty((0, 32 * 32 * 4), dtype=np.float32)
    used = 0
    for illustration in illustrations:
        small = Image.fromarray(illustration.rgba).convert("RGBa").resize((32, 32), Image.Resampling.BOX)
        thumbnail = np.asarray(small, dtype=np.float32).reshape(-1) / 255.0
        if used and float(np.abs(seen[:used] - thumbnail).mean(axis=1).min()) < DUPLICATE_BELOW:
            continue
        if used == len(seen):
            seen = np.concatenate([seen, np.empty((max(64, used), seen.shape[1]), dtype=np.float32)])
        seen[used] = thumbnail
        used += 1
        yield illustration


def library(illustrations: Iterable[Illustration]) -> SpriteLibrary:
    """The retrieval library of these illustrations, still without vectors."""
    items = list(illustrations)
    infos = [
        SpriteInfo(i.id, i.concept, i.title, i.category, i.style, i.source, i.licence, i.author, i.url) for i in items
    ]
    return SpriteLibrary.from_arrays(infos, (item.rgba for item in items))


def save_large(illustrations: Iterable[Illustration], library: SpriteLibrary, folder: Path) -> None:
    """Write the large drawings of a library's sprites into its folder."""
    wanted = {info.id for info in library.infos}
    save_drawings(folder, {f"{i.id}{i.file[0]}": i.file[1] for i in illustrations if i.file and i.id in wanted})


def _illustrations(
    icon_set: IconSet, find: Find, vocabulary: Vocabulary, annotations: dict[str, tuple[str, tuple[str, ...]]]
) -> Iterator[Illustration]:
    for concept in vocabulary.concepts.values():
        file = find(concept.hexcode) if concept.hexcode else None
        rgba = None if file is None else tight_canvas(opened(*file, _RENDER_SIZE))
        if file is None or rgba is None:
            continue
        title, tags = annotations.get(concept.hexcode, (concept.name, ()))
        yield Illustration(
            id=f"{icon_set.style}/{concept.hexcode}",
            concept=concept.name,
            title=title,
            keywords=_keywords(concept, tags),
            category=concept.category,
            style=icon_set.style,
            source=icon_set.source,
            licence=icon_set.licence,
            rgba=rgba,
            file=file,
            author=icon_set.author,
            url=icon_set.url,
        )


def _keywords(concept: Concept, tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(name.singular for name in concept.names), *tags]))


def _annotations(folder: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The CLDR title and keywords of each emoji."""
    entries = json.loads((folder / "en" / "data.json").read_text(encoding="utf-8"))
    return {e["hexcode"].lower(): (e["label"], tuple(e.get("tags", ()))) for e in entries}


def _spellings(hexcode: str) -> tuple[str, ...]:
    """Sets differ in whether they write the variation selector."""
    bare = hexcode.replace("-fe0f", "")
    return hexcode, bare, f"{bare}-fe0f"


def _open_webp(folder: Path) -> Find:
    def find(hexcode: str) -> DrawingFile | None:
        for spelling in _spellings(hexcode):
            path = folder / "assets" / f"{spelling}.webp"
            if path.exists():
                return ".webp", path.read_bytes()
        return None

    return find


def _open_iconify(folder: Path, unit: int, redraw: Callable[[str], str] = str, finish: str = "") -> Find:
    """A set in Iconify's JSON: bodies of SVG on a square of `unit`, found by code point in `chars.json`.

    Args:
        folder: of the unpacked package.
        unit: side of its drawings.
        redraw: what becomes of a drawing's SVG, before it is rendered.
        finish: what becomes of the picture, one of `drawings.FINISHES`.
    """
    icons = json.loads((folder / "icons.json").read_text(encoding="utf-8"))["icons"]
    names = json.loads((folder / "chars.json").read_text(encoding="utf-8"))

    def find(hexcode: str) -> DrawingFile | None:
        icon = next((icons[names[s]] for s in _spellings(hexcode) if names.get(s) in icons), None)
        if icon is None:
            return None
        width, height = icon.get("width", unit), icon.get("height", unit)
        room = _EDGE_SHARE * max(width, height)
        box = f"{-room} {-room} {width + 2 * room} {height + 2 * room}"
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{redraw(icon["body"])}</svg>'
        return f".{finish}.svg" if finish else ".svg", svg.encode()

    return find


def _pencilled(body: str) -> str:
    """Every shape in a pencil's line, and its colour thin."""

    def shape(found: re.Match[str]) -> str:
        colour = found[1] if len(found[1]) == 6 else "".join(2 * digit for digit in found[1][:3])
        channels = [int(colour[n : n + 2], 16) for n in (0, 2, 4)]
        thin = "".join(f"{round(255 - _COLOUR_LEFT * (255 - channel)):02x}" for channel in channels)
        return f'fill="#{thin}"'

    thinned = re.sub(r'fill="#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})"', shape, body)
    return f'<g stroke="{_PENCIL}" stroke-width="0.55" stroke-linejoin="round">{thinned}</g>'


_FLUENT = ("Fluent Emoji, Microsoft", "MIT", "Microsoft", "https://github.com/microsoft/fluentui-emoji")
_NOTO = ("Noto Emoji, Google", "Apache-2.0", "Google", "https://github.com/googlefonts/noto-emoji")
_TWEMOJI = ("Twemoji, Twitter", "CC-BY-4.0", "Twitter and contributors", "https://github.com/jdecked/twemoji")

#: The sets in order of preference, by style. Licence texts: NOTICE.
ICON_SETS = {
    icon_set.style: icon_set
    for icon_set in (
        IconSet("3d", *_FLUENT, FLUENT_3D, _open_webp),
        IconSet("flat", *_FLUENT, FLUENT_FLAT, partial(_open_iconify, unit=32)),
        IconSet("cartoon", *_NOTO, NOTO, partial(_open_iconify, unit=128)),
        IconSet("outline", *_FLUENT, FLUENT_LINES, partial(_open_iconify, unit=32, finish="paper")),
        IconSet("sketch", *_FLUENT, FLUENT_FLAT, partial(_open_iconify, unit=32, redraw=_pencilled, finish="hand")),
        IconSet("clipart", *_TWEMOJI, TWEMOJI, partial(_open_iconify, unit=36, finish="cut")),
    )
}
