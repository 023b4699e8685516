"""A folder of illustrations, file by file, as the drawings of a library."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from s2i_core.build_library import names
from s2i_core.build_library.cut_out import CutOut
from s2i_core.build_library.isolated import Cutter
from s2i_core.errors import ConfigError, ModelError
from s2i_core.models.decoders.native.library import SpriteInfo
from s2i_core.storage.folders import open_folder, read_files

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SUFFIXES = frozenset({".svg", ".png", ".webp", ".jpg", ".jpeg", ".gif"})
MAX_PICTURES = 20_000
MAX_BYTES = 20 << 20
STYLE = "house"
_FILES_AT_ONCE = 16


@dataclass(frozen=True)
class Drawing:
    """A drawing of the library: what is known of it, and what was cut out of its file."""

    info: SpriteInfo
    cut: CutOut


@dataclass(frozen=True)
class Remark:
    """What people should know of a file: why it was left out, or how it was taken."""

    path: str
    reason: str


@dataclass(frozen=True)
class Folder:
    """What became of a folder's files, in the order of their names.

    Attributes:
        drawings: those that were taken.
        left_out: those that were not, and why.
        notes: what is to be known of those that were.
    """

    drawings: list[Drawing]
    left_out: list[Remark]
    notes: list[Remark]


def read_folder(place: str, table: str = "", tell: Callable[[int, int], None] = lambda *_: None) -> Folder:
    """The illustrations of a folder and its subfolders.

    A picture without transparency has its background removed: what is reached from the corners in their colour.

    Args:
        place: on this machine, or `s3://bucket/prefix`.
        table: file within the folder that says what drawings are called; by default `names.csv`, if it is there.
        tell: called with files done and files in all.

    Raises:
        ConfigError: there is no such folder, no picture in it that can be used, or more than `MAX_PICTURES`; or its
            table is none.
        StorageError: the object store refused.
    """
    system, root = open_folder(place)
    sizes = {path: about["size"] for path, about in system.find(root, detail=True).items() if _suffix(path) in SUFFIXES}
    if len(sizes) > MAX_PICTURES:
        raise ConfigError(place, f"it holds {len(sizes)} pictures", f"Choose at most {MAX_PICTURES}.")
    told = _table(system, root, table)
    found = Folder([], [], [])
    paths = sorted(sizes)
    with Cutter() as cutter:
        for start in range(0, len(paths), _FILES_AT_ONCE):
            some = paths[start : start + _FILES_AT_ONCE]
            contents = read_files(system, [path for path in some if sizes[path] <= MAX_BYTES])
            for path in some:
                name = path.removeprefix(f"{root}/")
                shown = f"{place.rstrip('/')}/{name}"
                try:
                    cut = _cut(cutter, name, contents.get(path))
                except ModelError as error:
                    found.left_out.append(Remark(shown, error.reason))
                    continue
                own = told.pop(unicodedata.normalize("NFC", name), {})
                found.drawings.append(Drawing(_info(name, names.called(name, own, cut.title, cut.author)), cut))
                found.notes.extend(Remark(shown, note) for note in cut.notes)
            tell(min(start + _FILES_AT_ONCE, len(paths)), len(paths))
    if not found.drawings:
        wanted = ", ".join(sorted(SUFFIXES))
        raise ConfigError(place, "there is no picture in it that can be used", f"Put {wanted} files there.")
    place = place.rstrip("/")
    found.notes.extend(Remark(f"{place}/{name}", "the table names it, and it is not there") for name in told)
    found.notes.extend(_of_one_name(found.drawings, place))
    return found


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _table(system: AbstractFileSystem, root: str, table: str) -> dict[str, dict[str, str]]:
    path = f"{root}/{table or names.TABLE}"
    if not system.exists(path):
        if table:
            raise ConfigError(path, "there is no such table", "Give its name within the folder.")
        return {}
    return names.table(system.cat_file(path), path)


def _cut(cutter: Cutter, name: str, content: bytes | Exception | None) -> CutOut:
    """Raises `ModelError` where nothing can be made of it; without content it was too large to be read."""
    if content is None:
        raise ModelError(name, f"it is larger than {MAX_BYTES >> 20} MB", "Save it smaller.")
    if isinstance(content, Exception):
        raise ModelError(name, f"it cannot be read: {content}", "See whether you may read it.")
    return cutter.cut_out(name, content)


def _info(name: str, called: names.Called) -> SpriteInfo:
    # Drawings of one title show one thing.
    concept = called.title.casefold()
    credit = called.author or "own", called.licence, called.author, called.url
    return SpriteInfo(name, concept, called.title, called.category, STYLE, *credit)


def _of_one_name(drawings: list[Drawing], place: str) -> list[Remark]:
    """A note for each name that several drawings have."""
    files: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for drawing in drawings:
        files.setdefault(drawing.info.concept, []).append(drawing.info.id)
        titles.setdefault(drawing.info.concept, drawing.info.title)
    return [
        Remark(
            f"{place}/{own[0]}", f"{len(own)} are called {titles[concept]!r}, any may be drawn: {', '.join(own[:4])}"
        )
        for concept, own in files.items()
        if len(own) > 1
    ]
