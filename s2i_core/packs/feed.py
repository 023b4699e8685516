"""A podcast's feed with the chapters and the picture of each episode: tags of Podcasting 2.0, spliced in.

Nothing else of the feed changes, not by a byte: expat says where in the bytes an item ends, and what is new is put
there. What an item has already is left as it is, so that doing it again changes nothing.
https://github.com/Podcastindex-org/podcast-namespace
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from xml.parsers import expat
from xml.sax.saxutils import escape

from s2i_core.errors import ConfigError, LimitExceeded

NAMESPACE = "https://podcastindex.org/namespace/1.0"
_OLD_NAMESPACE = "https://github.com/Podcastindex-org/podcast-namespace/blob/main/docs/1.0.md"
_MOST_BYTES = 256 << 20
_MOST_DEPTH = 200
_SPACE = " \t\r\n"


@dataclass(frozen=True)
class FeedEpisode:
    """What an item of the feed gets.

    Attributes:
        file_name: of the recording; an item is the episode whose enclosure has this name.
        chapters: public address of its JSON chapters; empty for none.
        image: public address of the picture that stands for it; empty for none.
        alt: what that picture shows.
        image_type: its MIME type, `width_px` and `height_px` its size.
    """

    file_name: str
    chapters: str
    image: str = ""
    alt: str = ""
    image_type: str = "image/jpeg"
    width_px: int = 0
    height_px: int = 0


@dataclass(frozen=True)
class Illustrated:
    """A feed with what was put in.

    Attributes:
        feed: its bytes.
        items: how many there are; `changed`: how many got something; `unchanged`: had all of it.
        unmatched: names of the recordings that no item has as its enclosure, or several have.
    """

    feed: bytes
    items: int
    changed: int
    unchanged: int
    unmatched: list[str]


@dataclass
class _Item:
    """An item of the feed: byte offsets, and what it has already."""

    start: int
    end: int = 0
    enclosure: str = ""
    has: set[str] = field(default_factory=set)


def illustrated(feed: bytes, episodes: Sequence[FeedEpisode], name: str = "the feed") -> Illustrated:
    """The feed (RSS 2) with `podcast:chapters` and `podcast:image` in the items of these episodes.

    Args:
        feed: its bytes, in any encoding that expat reads.
        episodes: by the names of their files.
        name: of the feed, for messages.

    Raises:
        ConfigError: it isn't well-formed XML, is no RSS, or has a DOCTYPE, which no feed needs.
        LimitExceeded: it is larger than 256 MiB, or nested deeper than any feed.
    """
    if len(feed) > _MOST_BYTES:
        raise LimitExceeded(
            name, f"it has {len(feed) >> 20} MiB", f"Split it: at most {_MOST_BYTES >> 20} MiB are read."
        )
    read = _Reader(name)
    read(feed)
    encoding = _encoding(feed, read.encoding)
    prefix, declared = read.prefix()
    of_name: dict[str, list[_Item]] = {}
    for item in read.items:
        of_name.setdefault(_file_name(item.enclosure), []).append(item)
    inserts: list[tuple[int, str]] = []
    changed, unchanged, unmatched = 0, 0, []
    for episode in episodes:
        found = of_name.get(episode.file_name.casefold(), [])
        if len(found) != 1:
            unmatched.append(episode.file_name)
            continue
        item = found[0]
        tags = [tag for kind, tag in _tags(episode, prefix) if kind not in item.has]
        unchanged += not tags
        if tags:
            changed += 1
            lead = _lead(feed, item, encoding)
            inserts.append((_before_space(feed, item.end, encoding), "".join(lead + tag for tag in tags)))
    if inserts and not declared:
        inserts.append((read.root_name_end, f' xmlns:{prefix}="{NAMESPACE}"'))
    return Illustrated(_spliced(feed, inserts, encoding), len(read.items), changed, unchanged, unmatched)


def _tags(episode: FeedEpisode, prefix: str) -> list[tuple[str, str]]:
    quote = {'"': "&quot;"}
    tags = []
    if episode.chapters:
        address = escape(episode.chapters, quote)
        tags.append(("chapters", f'<{prefix}:chapters url="{address}" type="application/json+chapters"/>'))
    if episode.image:
        size = f' width="{episode.width_px}" height="{episode.height_px}"' if episode.width_px else ""
        ratio = f' aspect-ratio="{_ratio(episode.width_px, episode.height_px)}"' if episode.width_px else ""
        alt = f' alt="{escape(episode.alt, quote)}"' if episode.alt else ""
        image = f'<{prefix}:image href="{escape(episode.image, quote)}"{alt}{ratio}{size}'
        tags.append(("image", f'{image} type="{episode.image_type}" purpose="artwork"/>'))
    return tags


def _ratio(width: int, height: int) -> str:
    from math import gcd

    common = gcd(width, height) or 1
    return f"{width // common}/{height // common}"


def _file_name(address: str) -> str:
    """The name of the file at an address, as names are compared."""
    return unquote(urlsplit(address.strip()).path).rpartition("/")[2].casefold()


class _Reader:
    """Reads a feed once, and keeps where its items end."""

    def __init__(self, name: str) -> None:
        self.items: list[_Item] = []
        self.encoding = ""
        self.root_name_end = 0
        self._name = name
        self._path: list[str] = []
        self._namespaces: list[tuple[str | None, str]] = []
        self._item: _Item | None = None
        self._feed = b""
        self._parser = expat.ParserCreate(namespace_separator=" ")

    def __call__(self, feed: bytes) -> None:
        self._feed = feed
        parser = self._parser
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            parser.Parse(feed, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise ConfigError(self._name, f"it is not well-formed XML: {error}", "Correct it there.") from error

    def prefix(self) -> tuple[str, bool]:
        """The prefix for the tags, and whether the feed declares it already, where all of the feed can use it."""
        for name, address in self._namespaces:
            if address in {NAMESPACE, _OLD_NAMESPACE} and name:
                return name, True
        taken = {name for name, _ in self._namespaces}
        return next(each for each in ("podcast", "podcast20", "p20") if each not in taken), False

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        del version, standalone
        self.encoding = encoding or ""

    def _refuse(self, *_: object) -> None:
        raise ConfigError(
            self._name, "it has a DOCTYPE, with which a file can read others", "Take the line with <!DOCTYPE out."
        )

    def _namespace(self, prefix: str | None, address: str) -> None:
        if not self._path:
            self._namespaces.append((prefix, address))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        address, _, local = name.rpartition(" ")
        if not self._path:
            if local != "rss":
                raise ConfigError(self._name, f"it is no RSS, but <{local}>", "Give an RSS 2 feed.")
            self.root_name_end = self._after_name(self._parser.CurrentByteIndex)
        if len(self._path) >= _MOST_DEPTH:
            raise LimitExceeded(self._name, f"it is nested more than {_MOST_DEPTH} deep", "Is it a feed?")
        self._path.append(local)
        if self._path == ["rss", "channel", "item"]:
            self._item = _Item(start=self._parser.CurrentByteIndex)
        elif self._item is not None and len(self._path) == 4:
            if local == "enclosure" and not self._item.enclosure:
                self._item.enclosure = attributes.get("url", "")
            if address in {NAMESPACE, _OLD_NAMESPACE}:
                self._item.has.add(local)

    def _end(self, name: str) -> None:
        del name
        if self._item is not None and len(self._path) == 3:
            self._item.end = self._parser.CurrentByteIndex
            self.items.append(self._item)
            self._item = None
        self._path.pop()

    def _after_name(self, at: int) -> int:
        """Byte after the name of the element that begins at `at`."""
        unit = 2 if self._feed[at : at + 1] == b"\0" or self._feed[at + 1 : at + 2] == b"\0" else 1
        return at + unit * len("<rss")


def _encoding(feed: bytes, declared: str) -> str:
    """The codec of the feed's bytes, without a mark in front."""
    if feed.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if feed.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    if declared.lower().startswith("utf-16"):
        return "utf-16-be" if feed[:1] == b"\0" else "utf-16-le"
    return declared or "utf-8"


def _before_space(feed: bytes, at: int, encoding: str) -> int:
    """Where the white space in front of a byte begins, and so where new tags stand in line with the others."""
    spaces = {each.encode(encoding) for each in _SPACE}
    width = len(next(iter(spaces)))
    while feed[at - width : at] in spaces:
        at -= width
    return at


def _lead(feed: bytes, item: _Item, encoding: str) -> str:
    """The white space in front of the first tag of an item, to put in front of new ones; empty where there is none."""
    end = feed.index(">".encode(encoding), item.start) + len(">".encode(encoding))
    text = feed[end : end + 400].decode(encoding, "ignore")
    found = re.match(rf"[{_SPACE}]*", text)
    return found.group() if found and len(found.group()) < len(text) else ""


def _spliced(feed: bytes, inserts: Sequence[tuple[int, str]], encoding: str) -> bytes:
    """The feed with texts put in at byte offsets; letters that its encoding lacks become references."""
    parts, at = [], 0
    for offset, text in sorted(inserts):
        parts += [feed[at:offset], text.encode(encoding, "xmlcharrefreplace")]
        at = offset
    return b"".join([*parts, feed[at:]])
