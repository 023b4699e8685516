"""Which objects of a source are recordings: by their names, or by their first bytes where names do not tell."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from enum import Enum
from itertools import islice
from operator import attrgetter
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from s2i_core.audio.sniff import SNIFF_BYTES, format_of
from s2i_core.config import SourceConfig
from s2i_core.errors import ObjectGone, StorageError, StorageUnavailable
from s2i_core.records import AudioObject
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import Place

#: Suffixes of recordings: audio, and video that may have a sound track.
SUFFIXES = frozenset(
    {".3g2", ".3gp", ".aac", ".ac3", ".adts", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi", ".caf"}
    | {".dsf", ".eac3", ".ec3", ".flac", ".flv", ".m2ts", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp1"}
    | {".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mpga", ".mts", ".oga", ".ogg", ".ogv", ".ogx", ".opus", ".qt", ".snd"}
    | {".spx", ".ts", ".tta", ".vob", ".voc", ".w64", ".wav", ".wave", ".weba", ".webm", ".wma", ".wmv", ".wv"}
)

#: Suffixes of what lies beside recordings; such objects are not looked into.
OTHERS = frozenset(
    # words about them
    {".ass", ".cha", ".csv", ".ctm", ".cue", ".doc", ".docx", ".eaf", ".htm", ".html", ".ini", ".json", ".jsonl"}
    | {".lab", ".log", ".lrc", ".m3u", ".m3u8", ".md", ".nfo", ".odt", ".pdf", ".pls", ".rss", ".rst", ".rtf", ".rttm"}
    | {".sbv", ".sfv", ".srt", ".ssa", ".stm", ".tex", ".textgrid", ".toml", ".trs", ".tsv", ".ttml", ".txt", ".url"}
    | {".vtt", ".xls", ".xlsx", ".xml", ".xspf", ".yaml", ".yml", ".ppt", ".pptx", ".epub"}
    # pictures, notes without sound
    | {".avif", ".bmp", ".gif", ".heic", ".ico", ".jpeg", ".jpg", ".mid", ".midi", ".musicxml", ".png", ".psd", ".svg"}
    | {".tif", ".tiff", ".webp"}
    # archives, sums, signatures, programs, tables, models
    | {".7z", ".arrow", ".asc", ".avro", ".bz2", ".c", ".crc", ".css", ".db", ".exe", ".gpg", ".gz", ".h5", ".iso"}
    | {".ipynb", ".js", ".md5", ".npy", ".npz", ".orc", ".parquet", ".pickle", ".pkl", ".pt", ".py", ".rar", ".sh"}
    | {".safetensors", ".sha1", ".sha256", ".sig", ".sql", ".sqlite", ".tar", ".tfrecord", ".tgz", ".torrent", ".xz"}
    | {".zip", ".zst"}
    # what editors of sound keep beside it
    | {".asd", ".aup", ".aup3", ".cpr", ".pek", ".pkf", ".reapeaks", ".rpp", ".sesx"}
    # half of a transfer: the whole has another name once it is there
    | {".aria2", ".crdownload", ".download", ".filepart", ".opdownload", ".part", ".partial", ".tmp", ".!ut"}
)

#: Folders that desktops, file systems, servers and sync tools keep for themselves.
_SYSTEM_FOLDERS = frozenset(
    {"__macosx", ".trashes", ".trash", ".spotlight-v100", ".fseventsd", ".temporaryitems", ".documentrevisions-v100"}
    | {".appledouble", ".appledb", ".appledesktop", ".pkinstallsandboxmanager", "network trash folder"}
    | {"$recycle.bin", "recycler", "system volume information", "lost+found", ".thumbnails", ".@__thumb", "@eadir"}
    | {"#recycle", "@recycle", "#snapshot", "@tmp", "@sharebin", ".snapshot", ".snapshots", ".zfs", ".dropbox.cache"}
    | {".stversions", ".stfolder", ".sync", ".git", ".svn", ".hg", ".ipynb_checkpoints", "__pycache__"}
)
_SYSTEM_FILES = frozenset(
    {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", ".ds_store", ".localized", "icon\r"}
    | {".apdisk", ".volumeicon.icns", ".directory", ".metadata_never_index", "_success"}
)
_SYSTEM_NAMES = re.compile(
    r"\._.*|\.trash-\d+|\.nfs[0-9a-f]{8,}|\.fuse_hidden.*|~\$.*|\.~lock\..*#|.*_\$folder\$", re.S
)

_SUFFIX = re.compile(r"[\w!+~-]{1,12}")
_EXAMPLES = 3
_THREADS = 16
_ROWS_PER_BATCH = 10_000

_OBJECTS = pa.schema(
    [
        ("bucket", pa.string()),
        ("key", pa.string()),
        ("etag", pa.string()),
        ("size_bytes", pa.int64()),
        ("archived", pa.string()),
    ]
)
"""The fields of an `AudioObject`, in its order."""
_FIELDS = attrgetter(*_OBJECTS.names)
_LEFT_OUT = b"s2i.left_out"


class NameHint(Enum):
    """What the name of an object tells about it."""

    RECORDING = "recording"
    OTHER = "other"
    UNKNOWN = "unknown"
    """Nothing; its first bytes may tell."""


FOLDER_MARKER, SYSTEM_FILE, NO_SUFFIX = "folder marker", "system file", "without suffix"
"""Kinds of left-out objects that are not named by a suffix."""


@dataclass
class LeftOut:
    """Objects of a source that are not recordings.

    Attributes:
        count: how many.
        kinds: how many there are with each suffix, or of a kind without one (`folder marker`, `system file`, …).
        examples: at most three keys, of different kinds if possible.
        not_looked_into: of these, objects whose names tell nothing and that were not looked into. They may be
            recordings. Either there are more than `source.look_into`, or `archived` of them have to be restored first,
            and `unreadable` of them the store does not give out.
    """

    count: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    not_looked_into: int = 0
    archived: int = 0
    unreadable: int = 0

    def __post_init__(self) -> None:
        self._example_kinds: list[str] = []

    def add(self, key: str, kind: str) -> None:
        """Count one more."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(key)
            self._example_kinds.append(kind)
        elif kind not in self.kinds and len(set(self._example_kinds)) < _EXAMPLES:
            twice = next(i for i, each in enumerate(self._example_kinds) if each in self._example_kinds[:i])
            self.examples[twice], self._example_kinds[twice] = key, kind
        self.count += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


@dataclass(frozen=True)
class Listed:
    """What a source held when it was listed, for the whole run; iterating over it makes its recordings one by one.

    Attributes:
        objects: its recordings, a row each: a million take some 100 MB, several times less than Python objects.
        left_out: what else was there.
    """

    objects: pa.Table
    left_out: LeftOut

    @property
    def recordings(self) -> int:
        """How many objects are recordings."""
        return int(self.objects.num_rows)

    @property
    def listed(self) -> int:
        """How many objects there were."""
        return self.recordings + self.left_out.count

    def __len__(self) -> int:
        return self.recordings

    def __iter__(self) -> Iterator[AudioObject]:
        for batch in self.objects.to_batches(max_chunksize=_ROWS_PER_BATCH):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield AudioObject(*values)

    def to_parquet(self) -> bytes:
        """As a file, for a job elsewhere."""
        file = io.BytesIO()
        table = self.objects.replace_schema_metadata({_LEFT_OUT: json.dumps(asdict(self.left_out))})
        pq.write_table(table, file, compression="zstd", row_group_size=10 * _ROWS_PER_BATCH)
        return file.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes) -> Listed:
        """Back from `to_parquet`."""
        table = pq.read_table(io.BytesIO(data))
        return cls(table.replace_schema_metadata(), LeftOut(**json.loads(table.schema.metadata[_LEFT_OUT])))


class Listing:
    """The recordings of a source, in one pass over its objects; the counts are complete once the pass has ended.

    Objects whose names do not tell come last, and only those whose first bytes are audio or video. `listed` is always
    the sum of `recordings` and `left_out.count`.

    Args:
        store: the object store.
        place: the source.
        config: how many objects are looked into.
    """

    def __init__(self, store: ObjectStore, place: Place, config: SourceConfig) -> None:
        self.recordings = 0
        self.left_out = LeftOut()
        self._store = store
        self._place = place
        self._most = config.look_into

    @property
    def listed(self) -> int:
        """Objects so far."""
        return self.recordings + self.left_out.count

    def complete(self) -> Listed:
        """The whole listing, in Arrow; instead of iterating.

        Raises:
            StorageError, StorageUnavailable: as iterating does.
        """
        objects = iter(self)
        batches = []
        while some := list(map(_FIELDS, islice(objects, _ROWS_PER_BATCH))):
            columns = dict(zip(_OBJECTS.names, zip(*some, strict=True), strict=True))
            batches.append(pa.RecordBatch.from_pydict(columns, _OBJECTS))
        return Listed(pa.Table.from_batches(batches, _OBJECTS), self.left_out)

    def __iter__(self) -> Iterator[AudioObject]:
        """Iterate once.

        Raises:
            StorageError: the source cannot be listed.
            StorageUnavailable: the store does not answer.
        """
        unknown: list[tuple[AudioObject, str]] = []
        for item in self._store.within(self._place):
            tells, kind = judge(self._below(item), item.size_bytes)
            if tells is NameHint.RECORDING:
                self.recordings += 1
                yield item
            elif tells is NameHint.OTHER:
                self.left_out.add(item.key, kind)
            elif self.left_out.not_looked_into:  # there are too many
                self._not_looked_into(item, kind)
            else:
                unknown.append((item, kind))
                if len(unknown) > self._most:
                    for each in unknown:
                        self._not_looked_into(*each)
                    unknown.clear()
        yield from self._looked_into(unknown)

    def _below(self, item: AudioObject) -> str:
        """The key relative to the source, whose own name does not count."""
        if item.key != self._place.name:
            return item.key[len(self._place.folder) :]
        return item.key[_before_query(item.key).rfind("/") + 1 :]  # a query may hold slashes

    def _not_looked_into(self, item: AudioObject, kind: str) -> None:
        self.left_out.add(item.key, kind)
        self.left_out.not_looked_into += 1

    def _looked_into(self, unknown: list[tuple[AudioObject, str]]) -> Iterator[AudioObject]:
        if not unknown:
            return
        with ThreadPoolExecutor(min(_THREADS, len(unknown)), thread_name_prefix="look") as pool:
            begin = pool.map(self._begins_as_one, (item for item, _ in unknown))
            for (item, kind), begins in zip(unknown, begin, strict=True):
                if begins:
                    self.recordings += 1
                    yield item
                elif begins is None:
                    self._not_looked_into(item, kind)
                    if item.archived:
                        self.left_out.archived += 1
                    else:
                        self.left_out.unreadable += 1
                else:
                    self.left_out.add(item.key, kind)

    def _begins_as_one(self, item: AudioObject) -> bool | None:
        """Whether the object begins as a recording does; None where it cannot be read."""
        if item.archived:
            return None
        try:
            return format_of(self._store.read_range(item, 0, SNIFF_BYTES)) is not None
        except StorageUnavailable:
            raise
        except (ObjectGone, StorageError):
            return None


def judge(path: str, size_bytes: int) -> tuple[NameHint, str]:
    """What an object's path relative to its source tells; and its kind, in case it is left out.

    A suffix counts in either case, percent-encoded or not, and before a query that a download left: `a.MP3?id=5` is a
    recording. Hidden files without a known suffix, and empty ones, need not be looked into.
    """
    if path.endswith("/") and not size_bytes:
        return NameHint.OTHER, FOLDER_MARKER
    plain = unquote(path)
    *folders, name = [part for part in plain.split("/") if part] or [""]
    if any(_is_systems(part, _SYSTEM_FOLDERS) for part in folders) or _is_systems(name, _SYSTEM_FILES):
        return NameHint.OTHER, SYSTEM_FILE
    suffixes = _suffixes(plain)
    for suffix in suffixes:
        if suffix in SUFFIXES:
            return NameHint.RECORDING, suffix
        if suffix in OTHERS:
            return NameHint.OTHER, suffix
    kind = next((each for each in suffixes if each), NO_SUFFIX)
    return (NameHint.OTHER if not size_bytes or name.startswith(".") else NameHint.UNKNOWN), kind


def suffix_in(path: str) -> str:
    """The suffix that makes a path a recording, otherwise the last one: `.mp3` for `a.MP3?b=c.jpg`."""
    suffixes = _suffixes(unquote(path))
    return next((each for each in suffixes if each in SUFFIXES), suffixes[-1])


def title_of(key: str) -> str:
    """The name of an object for people: without folders, suffix and the query that a download left in it."""
    plain = unquote(key)
    names = (_before_query(plain), _before_query(plain.rpartition("/")[2]), plain)
    name = next((each for each in names if suffix_of(each) in SUFFIXES), plain).rstrip("/").rpartition("/")[2]
    name = name.rstrip(" .\t\r\n")
    stem = name.removesuffix(name[len(name) - len(suffix_of(name)) :])
    return " ".join(re.split(r"[\s_-]+", stem)).strip() or "recording"


def suffix_of(path: str) -> str:
    """The suffix of a path's last name, in lower case with its dot; empty if there is none that looks like one."""
    name = path.rstrip("/").rpartition("/")[2].rstrip(" .\t\r\n")
    stem, _, end = name.rpartition(".")
    return f".{end.lower()}" if stem and _SUFFIX.fullmatch(end) else ""


def _suffixes(plain: str) -> list[str]:
    """Candidates for the suffix of a decoded path: before a query with slashes, before one without, at the end."""
    name = plain.rstrip("/").rpartition("/")[2]
    return [suffix_of(each) for each in (_before_query(plain), _before_query(name), name)]


def _before_query(path: str) -> str:
    return re.split(r"[?#;&]", path, maxsplit=1)[0]


def _is_systems(name: str, names: frozenset[str]) -> bool:
    return name.lower() in names or _SYSTEM_NAMES.fullmatch(name.lower()) is not None
