"""Captioned illustrations: single drawings of some two thousand things, each with a title, from openly licensed sets.

`images` draws the same 906 things in six styles; these sets hold many other things, drawn by many hands. The image
encoder learns from both, because it has to know what a customer's own drawings show.

The sets are made for user interfaces, emoji keyboards and clip-art collections, so cleaning is most of the work. A
drawing is kept if its title is plain English that names something: at least one noun, and no word that is not in the
dictionary, as the names of authors, files and trademarks are not. `titles.tsv` says by hand what is meant by some
900 clumsy titles, and which of them mean nothing. Left out are interface signs, letters, flags, skin tones, what
has no title, blank and almost empty drawings, and near-duplicates.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import resvg_py
from PIL import Image
from rich.progress import track

from s2i_core.corpus.sources import wordnet
from s2i_core.corpus.sources.images import EMOJIBASE, Illustration, distinct
from s2i_core.corpus.sources.packages import Package, fetch
from s2i_core.errors import ConfigError
from s2i_core.models.decoders.native.drawings import VISIBLE
from s2i_core.models.decoders.native.library import RGBA, SPRITE_SIZE, tight_canvas

STREAMLINE_EMOJIS = Package(
    "npm",
    "@iconify-json/streamline-emojis",
    "1.2.4",
    "5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc",
)
STREAMLINE_ULTIMATE = Package(
    "npm",
    "@iconify-json/streamline-ultimate-color",
    "1.2.2",
    "46133a11f3734bcef29066391d7edc141ed1d8056242ddfa1b5d36ce286420b6",
)
STREAMLINE_FREEHAND = Package(
    "npm",
    "@iconify-json/streamline-freehand-color",
    "1.2.2",
    "00d74cbddaf1bcf35c8614ac0544d10af69c7cee8801475473fe424ee0c0c642",
)
STREAMLINE_PLUMP = Package(
    "npm",
    "@iconify-json/streamline-plump-color",
    "1.2.2",
    "33ed8a9ebda9ed896125f1e01873105688d68d0b0c95ca1bcead5a41309afcf6",
)
EMOJIONE = Package(
    "npm", "@iconify-json/emojione", "1.2.3", "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"
)
FXEMOJI = Package(
    "npm", "@iconify-json/fxemoji", "1.2.2", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"
)
OPENCLIPART = Package(
    "debian", "openclipart-svg", "1:0.18+dfsg-19", "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"
)

_RENDER_SIZE = 2 * SPRITE_SIZE
#: Drawings in points, millimetres and inches are of no size without it.
_DPI = 96
_MAX_SVG_BYTES = 600_000
#: Share of the canvas that is more opaque than not, at least; thin outlines have twice as much.
_OPAQUE_AT_LEAST = 0.03
#: The shorter side of a drawing as a share of the canvas, at least: what is narrower is a line.
_SIDE_AT_LEAST = 0.12
MAX_TITLE_WORDS = 5
#: Drawings of one title in one set, at most.
MAX_OF_A_TITLE = 8


@dataclass(frozen=True)
class SourceDrawing:
    """One drawing of a set before it is rendered.

    Attributes:
        key: what the set calls it.
        title, keywords, category: see `Illustration`.
        svg: the whole file.
    """

    key: str
    title: str
    keywords: tuple[str, ...]
    category: str
    svg: str


@dataclass(frozen=True)
class Collection:
    """A set of captioned drawings; `read` finds the wanted ones in a folder, that of the unpacked package.

    What else it needs it takes from the cache of packages, its second argument.
    """

    style: str
    source: str
    licence: str
    package: Package
    read: Callable[[Path, Path | None], Iterator[SourceDrawing]]


def load(names: Iterable[str], cache_dir: Path | None = None) -> list[Illustration]:
    """Fetch, clean and render these sets, some of `COLLECTIONS`.

    The `concept` of an illustration is its title: what one set draws as "lighthouse", others do too.

    Raises:
        ConfigError: there is no such set.
        PackageError: a package cannot be fetched.
    """
    kept: list[Illustration] = []
    for name in names:
        if name not in COLLECTIONS:
            raise ConfigError(f"collection {name!r}", "there is no such set", f"Choose of: {', '.join(COLLECTIONS)}.")
        collection = COLLECTIONS[name]
        drawings = list(collection.read(fetch(collection.package, cache_dir), cache_dir))
        kept.extend(distinct(illustrations(name, collection, track(drawings, description=name))))
    return kept


def illustrations(name: str, collection: Collection, drawings: Iterable[SourceDrawing]) -> Iterator[Illustration]:
    """Render drawings, without those of which there is nothing to see; `name` begins their ids."""
    of_title: Counter[str] = Counter()
    for drawing in drawings:
        image = _rendered(drawing.svg)
        rgba = None if image is None else tight_canvas(image)
        if rgba is None or not _is_legible(rgba) or of_title[drawing.title] == MAX_OF_A_TITLE:
            continue
        of_title[drawing.title] += 1
        yield Illustration(
            id=f"{name}/{drawing.key}",
            concept=drawing.title,
            title=drawing.title,
            keywords=drawing.keywords,
            category=drawing.category,
            style=collection.style,
            source=collection.source,
            licence=collection.licence,
            rgba=rgba,
        )


def clean_title(raw: str) -> str | None:
    """A title as one would say it, in lower case: "Red_Apple_02 (B and W)" to "red apple".

    `None` if it names nothing, is longer than `MAX_TITLE_WORDS`, or has a word that is no English one, as the names of
    authors are.
    """
    text = re.sub(r"\([^)]*\)", " ", html.unescape(raw))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower().replace("’", "'")
    text = re.sub(r"\b(black and white|b and w|clip ?art|public domain)\b", " ", text)
    words = [re.sub(r"\d+$", "", word).strip("'") for word in re.split(r"[^a-z0-9']+", text)]
    words = [word for word in words if word and not word.isdigit() and word not in _DEBRIS]
    while words and (words[0] in _ARTICLES or len(words[0]) == 1):
        words.pop(0)
    while words and (words[-1] in _LITTLE_WORDS or len(words[-1]) == 1):
        words.pop()
    title = " ".join(words)
    if title in _said():
        return _said()[title] or None
    if not 1 <= len(words) <= MAX_TITLE_WORDS or len(title) < 3:
        return None
    if _UNWANTED.intersection(words) or any(phrase in title for phrase in _UNWANTED_PHRASES):
        return None
    if not all(word in _LITTLE_WORDS or _is_noun(word) or _is_other(word) for word in words):
        return None
    return title if any(_is_noun(word) for word in words) else None


@lru_cache(maxsize=1)
def _said() -> dict[str, str]:
    """What is said instead of a title; empty for a title that says nothing."""
    table = files("s2i_core.corpus.sources").joinpath("titles.tsv").read_text(encoding="utf-8")
    return {row["title"]: row["said"] for row in csv.DictReader(table.splitlines(), delimiter="\t")}


def _is_noun(word: str) -> bool:
    return not wordnet.nouns().isdisjoint(_stems(word))


def _is_other(word: str) -> bool:
    stems = {*_stems(word), *(word.removesuffix(end) for end in ("ing", "ed", "er", "est", "d"))}
    stems |= {f"{word.removesuffix(end)}e" for end in ("ing", "ed") if word.endswith(end)}
    return not wordnet.other_words().isdisjoint(stems)


def _stems(word: str) -> set[str]:
    """The word itself, and what it may be the plural of."""
    found = {word, _IRREGULAR.get(word, word), word.removesuffix("'s")}
    if len(word) > 3 and word.endswith("s"):
        found |= {word[:-1], word.removesuffix("es"), f"{word.removesuffix('ies')}y", f"{word.removesuffix('ves')}f"}
    return found


def _rendered(svg: str) -> Image.Image | None:
    """The longer side of the drawing in `_RENDER_SIZE` pixels; `None` if it cannot be rendered."""
    try:
        png = resvg_py.svg_to_bytes(svg_string=svg, width=_RENDER_SIZE, dpi=_DPI, skip_system_fonts=True)
        with Image.open(io.BytesIO(bytes(png)), formats=["PNG"]) as image:
            return image.convert("RGBA")
    except (ValueError, OSError):
        # Some of the hand-made files are no valid SVG, and there are thousands of others.
        return None


def _is_legible(rgba: RGBA) -> bool:
    if (rgba[:, :, 3] > 127).mean() < _OPAQUE_AT_LEAST:
        return False
    drawn = rgba[:, :, 3] > VISIBLE
    return all(np.ptp(np.nonzero(drawn.any(axis))[0]) >= _SIDE_AT_LEAST * SPRITE_SIZE for axis in (0, 1))


def _iconify(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Name, category and SVG of every icon of a set in Iconify's JSON, in alphabetical order."""
    found = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    listed = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["categories"]
    category_of = {name: category for category, names in listed.items() for name in names}
    for name, icon in sorted(found["icons"].items()):
        if icon.get("hidden"):
            continue
        width, height = (icon.get(side, found.get(side, 16)) for side in ("width", "height"))
        box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{icon["body"]}</svg>'
        yield name, category_of.get(name, ""), svg


def _read_streamline(folder: Path, cache_dir: Path | None = None, people: bool = False) -> Iterator[SourceDrawing]:
    """Icons named like files: what kind of thing, then which, then a number; the kind is left out where it is known.

    Args:
        folder: of the unpacked package.
        cache_dir: of packages; none else is needed.
        people: several drawings of the same people differ in the colour of their skin: only the first counts.
    """
    seen: set[str] = set()
    for name, category, svg in _iconify(folder):
        if category in _INTERFACE_CATEGORIES or _SIGN_WORDS.intersection(name.split("-")):
            continue
        title = clean_title(_without_kind(name.removesuffix("-flat")))
        if title is None or (people and category == "Smiley People" and title in seen):
            continue
        seen.add(title)
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", category).lower()
        yield SourceDrawing(name, title, (kind,) if kind else (), kind, svg)


def _without_kind(name: str) -> str:
    words = f"{name.replace('-', ' ')} "
    for kind, instead in _KINDS:
        if words.startswith(f"{kind} ") and len(words) > len(kind) + 3:
            words = f"{instead} {words[len(kind) + 1 :]}".lstrip()
    if words.startswith("smiley "):
        words = f"{words.removeprefix('smiley ')} smiley"
    return words


def _read_emoji(folder: Path, cache_dir: Path | None = None) -> Iterator[SourceDrawing]:
    """Emoji in another set's hand, with their CLDR titles and keywords.

    Where a set does not tell code points, its names are those of CLDR or of a chat program, written in one word.
    """
    english = fetch(EMOJIBASE, cache_dir) / "en"
    entries = json.loads((english / "data.json").read_text(encoding="utf-8"))
    wanted = {entry["hexcode"]: entry for entry in entries if entry.get("group") in _EMOJI_GROUPS}
    known: dict[str, dict[str, Any]] = {}
    for path in sorted((english / "shortcodes").glob("*.json")):
        for code, names in json.loads(path.read_text(encoding="utf-8")).items():
            for name in [names] if isinstance(names, str) else names:
                if code in wanted:
                    known.setdefault(_squeezed(name), wanted[code])
    known |= {_squeezed(entry["label"]): entry for entry in wanted.values()}
    points = json.loads((folder / "chars.json").read_text(encoding="utf-8"))
    for code, entry in wanted.items():
        for spelling in (code.lower(), code.lower().replace("-fe0f", "")):
            if spelling in points:
                known[_squeezed(points[spelling])] = entry
    for name, category, svg in _iconify(folder):
        entry = known.get(_squeezed(name), {})
        title = entry.get("label", "").lower().replace("’", "'")
        title = _said().get(title, title)
        unwanted = _UNWANTED.intersection(title.split()) or any(phrase in title for phrase in _UNWANTED_PHRASES)
        if title and not unwanted and not re.search(r"[:\d]|o'clock|-thirty", title):
            yield SourceDrawing(name, title, tuple(entry.get("tags", ())), category.lower(), svg)


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _read_openclipart(folder: Path, cache_dir: Path | None = None) -> Iterator[SourceDrawing]:
    """Clip art with the title and keywords of its metadata, or the name of its file where the title is a batch's."""
    root = folder / "usr" / "share" / "openclipart" / "svg"
    for path in sorted(root.rglob("*.svg")):
        key = PurePosixPath(path.relative_to(root))
        if str(key).startswith(_OTHER_FOLDERS) or path.stat().st_size > _MAX_SVG_BYTES:
            continue
        svg = path.read_text(encoding="utf-8", errors="replace")
        metadata = (re.search(r"<metadata.*?</metadata>", svg, re.DOTALL) or [""])[0]
        work = re.sub(r"<(cc:)?Agent\b.*?</(cc:)?Agent>", "", metadata, flags=re.DOTALL)
        # A few files have a licence of their own.
        if not re.search(r'license\s+rdf:resource="[^"]*public ?domain', work, re.IGNORECASE):
            continue
        found = re.search(r"<dc:title[^>]*>([^<]*)</dc:title>", work)
        title = next((t for t in map(clean_title, (found[1] if found else "", key.stem)) if t), None)
        if title is None:
            continue
        keywords = [html.unescape(word).strip().lower() for word in re.findall(r"<rdf:li[^>]*>([^<]*)</rdf:li>", work)]
        if _UNWANTED_KEYWORDS.intersection(keywords):
            continue
        plain = tuple(
            dict.fromkeys(word for word in keywords if re.fullmatch(r"[a-z][a-z ]+", word) and word != "hash")
        )
        yield SourceDrawing(str(key.with_suffix("")), title, plain, key.parts[0].replace("_", " "), svg)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words of file names that say nothing of what is drawn.
_DEBRIS = _words(
    "clipart cliparts bw svg simple generic untitled version vector vectors bis ii iii drawing image picture various "
    "my shape illustration contour alternate alt single neutral"
)
_ARTICLES = _words("a an the and of in on with by for")
_LITTLE_WORDS = _words("a an the and or of in on with without at to from for over under by up down off out his her no")
_IRREGULAR = {"men": "man", "women": "woman", "feet": "foot", "mice": "mouse", "teeth": "tooth", "geese": "goose"}

#: Titles with these are left out of every set: signs, letters, batches, trademarks, and what nobody wants to see.
_UNWANTED = _words(
    """
    advertising
    icon icons iconset theme themes symbol symbols sign signs logo logos flag flags collection sample blueprint
    arrow arrows button buttons pictogram emblem banner map maps font letter alphabet submission gradient pattern
    text texture wallpaper background template frame border borders corner corners divider glyph cursor rpg
    linux tux android google facebook youtube twitter instagram pinterest linkedin skype snapchat vimeo
    dropbox slack spotify tiktok safari ios ipad ipados ipod iphone kindle blackberry microsoft windows adobe amazon
    paypal visa mastercard bitcoin litecoin namecoin ripple crypto arduino tetris pacman nintendo xbox playstation
    gameboy atari walkman lego polaroid hummer dodge toyota ford bmw ferrari volkswagen skoda mercedes gnome debian
    java javascript css html sexy stripper naked nude swastika nazi penis sperm sex cannabis cigarette
    """
)
_UNWANTED_PHRASES = ("go pro", "coca cola", "skin tone", "middle finger", "blue screen", "family man", "family woman",
    "couple with heart ", "kiss man", "kiss woman")  # fmt: skip
#: Keywords of clip art that is a flag, a map or a sign, whatever its folder.
_UNWANTED_KEYWORDS = _words("flag flags map mapsym roadsign logo font erotic")

#: Parts of a Streamline icon's name that make it a sign of an interface rather than a drawing of something.
_SIGN_WORDS = _words(
    """
    action actions add align allowance angle ascending attribution badge blank blutooth bluetooth border bottom bracket
    brackets browser bullet bullets cancel cell check checklist circle clear close code coding column command config
    configuration connect connection copy corner crop crypto currency cut dash dashboard data database delete descending
    diagram diagonal direction disable disabled disconnect division download drag drop edit ethernet exchange
    exclude expand export file files filter fit flip flowchart focus folder font format formating forward graph grid
    hierarchy horizontal import indent information input insert interface language layer layers layout left link
    list loading login logout loop maximize mend menu merge message messages middle minimize minus module move
    navigation network notification notifications number object off option overlap paginate paragraph paste path
    pathfinder plus png power programming question reflect refresh remove reply reset resize responsive reverse rotate
    rounded row rss saturation scale scroll search select selection send server settings setting share shrink shuffle
    sidebar sign signal size slider sort split square subtract sync synchronize tab table tag tags text timeline toggle
    top touch tracking transfer transform trim ui undo unlink update upload vectors vertical view warp wifi wireless
    word write zoom web website window windows app apps application html css url api seo ab ai vpn lte
    approved blocked denied favorite help alert analytics attach block bookmarks composition content contrast control
    controls coordinate coupon cutout description discount ecommerce end equalizer error fahrenheit form gender gesture
    gps id increase decrease incognito industry like lists love mode monetization multimedia multiple neutral paragraphs
    percent performance playlist point process product progress quotation rating reorder retouch return script security
    sizing standing steps strategy style subtitles switch target terminal timer trending trends type typing volume
    voice warning widget workflow wrap axis 3d ranking position stock layouts genre meter positive
    """
)
_INTERFACE_CATEGORIES = frozenset({"ArrowsDiagrams", "Logos", "FilesFolders", "Flags", "Symbols", "Content"})

#: Beginnings of Streamline's names that tell the kind of thing, and what is said instead.
_KINDS = tuple(
    (kind, instead)
    for kind, instead in (
        *((kind, "") for kind in (
            "adventure", "aircraft", "allowances", "amusement park", "animal products", "astronomy", "athletics",
            "barbecue tools", "board game", "business metaphor", "business", "design tool", "design", "dentistry",
            "drugs", "e commerce", "electronics", "fast food", "fitness", "fruit", "gymnastics", "hair dress",
            "human resources", "instrument", "kitchenware", "landmark", "laundry", "martial arts",
            "medical condition", "medical instrument", "medical specialty", "modern music", "money payments",
            "music", "outdoors", "paralympics", "phone actions", "photography equipment", "products", "public service",
            "railroad", "safety", "science", "seafood", "seasoning", "show", "skiing", "space", "style one pin",
            "tools", "vegetables", "video game", "weather", "wayfinding", "mobilephone",
        )),
        ("single neutral", "person"),
        ("user", "person"),
    )
)  # fmt: skip

#: Folders of the clip-art collection with signs, maps, shapes and interface icons, each in hundreds of variants.
_OTHER_FOLDERS = (
    "buttons", "computer/buttons", "computer/icons", "computer/diagrams", "geography/", "logos", "shapes", "special",
    "people/clothing/pantyhose", "recreation/games/cards", "signs_and_symbols/flags", "signs_and_symbols/led",
    "signs_and_symbols/map_symbols", "signs_and_symbols/hazard", "transportation/aiga-symbols",
    "transportation/roadsigns", "unsorted/duplicates",
)  # fmt: skip
#: Of emojibase: smileys, people, animals, food, travel, activities, objects; not components, symbols and flags.
_EMOJI_GROUPS = (0, 1, 3, 4, 5, 6, 7)

#: The sets by name. Licence texts: NOTICE.
COLLECTIONS = {
    "streamline-emojis": Collection(
        "cartoon", "Streamline Emojis", "CC-BY-4.0", STREAMLINE_EMOJIS, partial(_read_streamline, people=True)
    ),
    "streamline-ultimate": Collection(
        "outline", "Streamline Ultimate Color", "CC-BY-4.0", STREAMLINE_ULTIMATE, _read_streamline
    ),
    "streamline-freehand": Collection(
        "sketch", "Streamline Freehand Color", "CC-BY-4.0", STREAMLINE_FREEHAND, _read_streamline
    ),
    "streamline-plump": Collection("flat", "Streamline Plump Color", "CC-BY-4.0", STREAMLINE_PLUMP, _read_streamline),
    "emojione": Collection("flat", "EmojiOne 2", "CC-BY-4.0", EMOJIONE, _read_emoji),
    "fxemoji": Collection("flat", "FxEmojis, Mozilla", "Apache-2.0", FXEMOJI, _read_emoji),
    "openclipart": Collection("clipart", "Open Clip Art Library", "public domain", OPENCLIPART, _read_openclipart),
}
