"""Icons of things that no emoji shows, from open sets, and the library that is made of them and of the emoji.

`things.tsv` says of each thing which icon shows it best: a set and a name in it. They were found by name, by WordNet's
first sense of it, and looked at one by one: signs, letters, flags, trademarks and what shows something else are left
out.

An icon has one colour and no style. So one small file serves all of a library's styles: each says how it is redrawn
(`redraw.py`). Two styles, line and silhouette, are made in this way of everything, the emoji's outlines included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2i_core.corpus.sources.packages import Package, fetch
from s2i_core.english.vocabulary import Concept, Vocabulary, english
from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.drawings import Drawings, opened, save_drawings
from s2i_core.models.decoders.native.library import SpriteInfo, SpriteLibrary
from s2i_core.models.decoders.native.redraw import PRINTS, ROOM, STYLES, Redrawing, Shape, shape_of

_SQUARE = 32
"""Side of the emoji's outlines, as they were drawn."""
_OUTLINES = "outline"
_STROKED = re.compile(r'stroke="(?!none)')
_FOLDER = "icons"
_SHAPE_PX = 128
"""Side at which is seen whether an outline is a body."""


@dataclass(frozen=True)
class IconSource:
    """A set of icons, and whom to credit for it."""

    source: str
    licence: str
    author: str
    url: str
    package: Package


def _set(name: str, version: str, sha256: str) -> Package:
    return Package("npm", f"@iconify-json/{name}", version, sha256)


#: By the name that `things.tsv` has for them. Licence texts: NOTICE.
ICON_SOURCES = {
    "game-icons": IconSource(
        "Game-icons",
        "CC-BY-3.0",
        "Lorc, Delapouite and contributors",
        "https://game-icons.net",
        _set("game-icons", "1.2.4", "f5758efb34d91c4f50b941f355f16ee73938625e5996fabc25171288404460a4"),
    ),
    "mdi": IconSource(
        "Material Design Icons",
        "Apache-2.0",
        "Pictogrammers",
        "https://pictogrammers.com/library/mdi/",
        _set("mdi", "1.2.3", "ddd817a7213f91de51147943915c0cda8c8b818a53c92b5c068cfa9883c6d7ac"),
    ),
    "hugeicons": IconSource(
        "Huge Icons",
        "MIT",
        "Hugeicons",
        "https://hugeicons.com",
        _set("hugeicons", "1.2.35", "cca09de913319938961fa0613a8eb42952f76c3ee13a7c68ef411091590c5d8b"),
    ),
    "icon-park": IconSource(
        "IconPark",
        "Apache-2.0",
        "ByteDance",
        "https://github.com/bytedance/IconPark",
        _set("icon-park", "1.2.4", "c1a25212a31602aca93c3fa6f6b3288e89b9d7811afc132dfd78506e9d586b6f"),
    ),
    "fa6-solid": IconSource(
        "Font Awesome 6 Free, solid",
        "CC-BY-4.0",
        "Fonticons, Inc.",
        "https://github.com/FortAwesome/Font-Awesome",
        _set("fa6-solid", "1.2.4", "082c792eaad4751626438773fa7360cb23f495b687cf2dd01b2b0fccc7f6af8b"),
    ),
    "temaki": IconSource(
        "Temaki",
        "CC0-1.0",
        "Bryan Housel and contributors",
        "https://github.com/rapideditor/temaki",
        _set("temaki", "1.2.6", "24a874e1d81a7de9d56e534fdc56287cfe6e73488a24ef5c8982d4fd5f294d8d"),
    ),
    "healthicons": IconSource(
        "Health Icons",
        "MIT",
        "Resolve to Save Lives",
        "https://github.com/resolvetosavelives/healthicons",
        _set("healthicons", "1.2.13", "4c2552c45737788a6599da3c5b72610c7fb4e7f87075d401c56fa16d487d4caf"),
    ),
    "pinhead": IconSource(
        "Pinhead",
        "CC0-1.0",
        "Quincy Morgan",
        "https://github.com/waysidemapping/pinhead",
        _set("pinhead", "1.2.28", "bc672ec8dc614ae0a8e64a1dc9674f3e8fb2f090b22c30beeb35bcb7ec0ea74a"),
    ),
    "tabler": IconSource(
        "Tabler Icons",
        "MIT",
        "Paweł Kuna",
        "https://github.com/tabler/tabler-icons",
        _set("tabler", "1.2.41", "3bf99af156d28d05568aff524a35ed1ba238df640a7835a5e02e1f8e439685f6"),
    ),
    "material-symbols": IconSource(
        "Material Symbols",
        "Apache-2.0",
        "Google",
        "https://github.com/google/material-design-icons",
        _set("material-symbols", "1.2.98", "142d50bf28e7db85362795be335ebc29dac611d73c404fc1e6fc5cc198e2b3d0"),
    ),
    "lucide-lab": IconSource(
        "Lucide Lab",
        "ISC",
        "Lucide Contributors",
        "https://github.com/lucide-icons/lucide-lab",
        _set("lucide-lab", "1.2.3", "ea0a3dc587d60e65b4e710f2239a54a6609fcd19b214f9eb0df66874f920df08"),
    ),
    "mingcute": IconSource(
        "MingCute Icon",
        "Apache-2.0",
        "MingCute Design",
        "https://github.com/Richard9394/MingCute",
        _set("mingcute", "1.2.8", "fec65f4430ac70a968e0e7fc7741e7064ba91e6da992b905f75c9d70c717bd2c"),
    ),
    "ph": IconSource(
        "Phosphor",
        "MIT",
        "Phosphor Icons",
        "https://github.com/phosphor-icons/core",
        _set("ph", "1.2.2", "e3a582a047d9829fc7e8842c660d8065e598d1b68bb58cb68e75a1f1e5a614cc"),
    ),
    "maki": IconSource(
        "Maki",
        "CC0-1.0",
        "Mapbox",
        "https://github.com/mapbox/maki",
        _set("maki", "1.2.5", "cbf41d1b7262fad2eecdc6425ae5afed2de9b3512093c4c778fb456e788d7e12"),
    ),
    "solar": IconSource(
        "Solar",
        "CC-BY-4.0",
        "480 Design",
        "https://www.figma.com/community/file/1166831539721848736",
        _set("solar", "1.2.13", "9efec9045e9188c5dd5cf9de52f8ad968ffabee565026480a6c74bfe63b3bbc2"),
    ),
}


def file_of(concept: Concept, cache_dir: Path | None = None) -> tuple[bytes, Shape]:
    """The icon of a thing as SVG, black, with the room around it that redrawing needs, and what it is made of.

    Raises:
        PackageError: its set cannot be fetched.
        ModelError: the set has no such icon.
    """
    name, _, icon = concept.drawing.partition("/")
    found = _icons(name, cache_dir)
    if icon not in found["icons"]:
        raise ModelError(concept.drawing, f"the icon of {concept.name!r} is not in its set", "Correct things.tsv.")
    entry = found["icons"][icon]
    width, height = (float(entry.get(side, found.get(side, 16))) for side in ("width", "height"))
    left, top = float(entry.get("left", 0)), float(entry.get("top", 0))
    side = max(width, height)
    room = ROOM * side
    box = (left - (side - width) / 2 - room, top - (side - height) / 2 - room, side + 2 * room, side + 2 * room)
    body = _black(entry["body"])
    shape: Shape = "line" if _STROKED.search(body) else "solid"
    view = " ".join(f"{value:g}" for value in box)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}">{body}</svg>'.encode(), shape


def _black(body: str) -> str:
    """Lines and areas in black; areas of a second colour are left to redrawing."""
    lined = bool(_STROKED.search(body))
    body = re.sub(r'stroke="(?!none)[^"]*"', 'stroke="#000"', body).replace("currentColor", "#000")
    filled = re.compile(r'fill="(?!none|#000")[^"]*"')
    return filled.sub('fill="none"' if lined else 'fill="#000"', body)


@lru_cache(maxsize=32)
def _icons(name: str, cache_dir: Path | None) -> dict[str, Any]:
    if name not in ICON_SOURCES:
        raise ModelError(name, "there is no such set of icons", f"Choose of: {', '.join(ICON_SOURCES)}.")
    path = fetch(ICON_SOURCES[name].package, cache_dir) / "icons.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def completed(
    emoji: SpriteLibrary, vectors: Mapping[str, NDArray[np.float32]], folder: Path, cache_dir: Path | None = None
) -> SpriteLibrary:
    """A library in which every style has everything: the emoji's drawings, and what is redrawn of them and of icons.

    Args:
        emoji: the drawings of the concepts of `vocabulary.tsv`, with their large files.
        vectors: of each concept by its name `(E,)`.
        folder: where `drawings.zip` is written.
        cache_dir: of packages.

    Raises:
        PackageError: a set cannot be fetched.
        ModelError: a thing's icon is not in its set, or a concept has no vector.
    """
    if emoji.large is None:
        raise ModelError("library", "it has no large drawings", "Build it by `s2i train data`.")
    vocabulary = english()
    files = dict(emoji.large.files())
    infos, webp = list(emoji.infos), list(emoji.webp)
    for info, file in redrawn(emoji, vocabulary, cache_dir):
        infos.append(info)
        webp.append(b"")
        files.update(file)
    save_drawings(folder, files)
    missing = {info.concept for info in infos} - vectors.keys()
    if missing:
        raise ModelError(min(missing), "there is no vector of it", "Embed every concept once.")
    stack = np.stack([vectors[info.concept] for info in infos])
    return SpriteLibrary(infos, webp, stack, large=Drawings.load(folder))


def redrawn(
    emoji: SpriteLibrary, vocabulary: Vocabulary, cache_dir: Path | None = None
) -> Iterator[tuple[SpriteInfo, dict[str, bytes]]]:
    """What the styles lack, redrawn, each with the file that it needs, if that is not one of the emoji's."""
    places = {(info.concept, info.style): place for place, info in enumerate(emoji.infos)}
    files = {} if emoji.large is None else {name.split(".")[0]: data for name, data in emoji.large.files()}
    for concept in vocabulary.concepts.values():
        if concept.drawing:
            data, shape = file_of(concept, cache_dir)
            drawing = f"{_FOLDER}/{concept.drawing}"
            source = ICON_SOURCES[concept.drawing.partition("/")[0]]
            for style in STYLES:
                told = str(Redrawing(style, shape, concept.colour))
                credit = (source.source, source.licence, source.author, source.url)
                info = SpriteInfo(
                    f"{style}/{concept.name}", concept.name, concept.name, concept.category, style, *credit
                )
                yield (
                    replace(info, borrowed=style not in PRINTS, drawing=drawing, redrawing=told),
                    {f"{drawing}.svg": data},
                )
        elif emoji.members(concept.name):
            outline = places.get((concept.name, _OUTLINES))
            known = emoji.infos[outline if outline is not None else emoji.members(concept.name)[0]]
            drawing = known.drawing or known.id
            if outline is None:  # the shape of another style's drawing then
                vector = next((i for i in emoji.members(concept.name) if emoji.infos[i].style == "flat"), None)
                if vector is None:
                    continue
                known = emoji.infos[vector]
                drawing = known.id
            colour = _main_colour(emoji, concept.name)
            own: Shape = "solid" if outline is None else shape_of(opened("outline.svg", files[drawing], _SHAPE_PX))
            for style in STYLES:
                if (concept.name, style) in places:
                    continue
                shape = "line" if style == "line" and outline is not None else own
                yield (
                    replace(
                        known,
                        id=f"{style}/{concept.hexcode}",
                        style=style,
                        borrowed=True,
                        drawing=drawing,
                        redrawing=str(Redrawing(style, shape, colour)),
                    ),
                    {},
                )


def _main_colour(emoji: SpriteLibrary, concept: str) -> str:
    """The mean of the more colourful half of a concept's first drawing, `#rrggbb`."""
    rgba = emoji.rgba(emoji.members(concept)[0])
    rgb = rgba[rgba[:, :, 3] > 128][:, :3].astype(np.float32)
    if not len(rgb):
        return "#888888"
    chroma = rgb.max(1) - rgb.min(1)
    chosen = rgb[chroma >= np.median(chroma)].mean(0)
    return "#" + "".join(f"{round(float(channel)):02x}" for channel in chosen)
