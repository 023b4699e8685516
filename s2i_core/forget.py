"""`s2i forget`: everything that was made of one recording goes, so that a search for it finds nothing.

Its rows in all tables, their old versions and the tables' logs; its pictures and pages; what the records of runs and
other documents say of it. The recording itself lies in the source, which is its owner's.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer

from s2i_core import options
from s2i_core.errors import ConfigError, ObjectGone, StorageError
from s2i_core.records import now
from s2i_core.storage.artifacts import images_folder, index_key, join, page_key
from s2i_core.storage.erase import erase_rows, forget_history, rows_of
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake
from s2i_core.storage.versions import Version, VersionedStore

_ID = re.compile(r"[0-9a-f]{32}")
_LARGEST_DOCUMENT_BYTES = 256 << 20
_KEYED = ("recording_id", "source_uri", "scene_id", "image_id", "subject", "thing_id", "key")
"""Columns by which rows are of a recording."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Trace:
    """By what a recording can be found.

    Attributes:
        recording_ids: of its bytes, one for each version of the object that was ever planned.
        source_uris: the addresses at which these bytes lay.
        scene_ids, image_ids, thing_ids: of what was made of it.
    """

    recording_ids: tuple[str, ...]
    source_uris: tuple[str, ...]
    scene_ids: tuple[str, ...] = ()
    image_ids: tuple[str, ...] = ()
    thing_ids: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, set[str]]:
        """What rows of it have in which column."""
        ids = {*self.scene_ids, *self.image_ids}
        return {
            "recording_id": set(self.recording_ids),
            "source_uri": set(self.source_uris),
            "scene_id": set(self.scene_ids),
            "subject": {*self.source_uris, *ids},
        }

    @property
    def words(self) -> tuple[str, ...]:
        """Everything by which it could be found in a text."""
        return (*self.recording_ids, *self.source_uris, *self.scene_ids, *self.image_ids, *self.thing_ids)


@dataclass
class Receipt:
    """What was forgotten, by what it can be looked for, and what is left to its owner.

    Attributes:
        rows: rows by table.
        objects: objects deleted, by the folder that they were in.
        redacted: documents of runs and the like from which its entries were taken.
        old_files: files of the tables' history that were deleted.
        versions: old versions of objects that were deleted for good.
        left: what this could not or was not asked to do.
    """

    destination: str
    trace: Trace
    done: bool
    at: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    redacted: list[str] = field(default_factory=list)
    old_files: int = 0
    versions: int = 0
    left: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Receipt:
        """From the file that `s2i forget` wrote.

        Raises:
            ConfigError: it is not such a file.
        """
        try:
            facts = json.loads(path.read_text("utf-8"))
            trace = Trace(**{name: tuple(map(str, each)) for name, each in facts.pop("trace").items()})
            return cls(trace=trace, **facts)
        except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
            remedy = "Name the file that s2i forget wrote."
            raise ConfigError(str(path), f"it is no receipt ({error})", remedy) from None


def trace(lake: Lake, recording: str) -> Trace:
    """What a destination knows of a recording.

    Args:
        recording: its id, or its address.

    Raises:
        ConfigError: nothing is known of it.
    """
    by = "source_uri" if recording.startswith("s3://") else "recording_id"
    wanted = pc.field(by) == recording
    rows = lake.recordings.read(["recording_id", "source_uri"], wanted)
    ids = set(rows["recording_id"].drop_null().to_pylist())
    failed = lake.failures.read(["subject"], pc.field("subject") == recording)
    # What is left of one that was forgotten halfway is found by its id all the same.
    orphans = (
        lake.scenes.read(["scene_id"], pc.field("recording_id") == recording).num_rows
        + lake.images.read(["image_id"], pc.field("recording_id") == recording).num_rows
    )
    if not rows.num_rows and not failed.num_rows and not orphans:
        raise ConfigError(
            recording,
            f"nothing is known of it in {lake.uri}",
            'Name its address or id as the tables have it: s2i query "SELECT source_uri, recording_id FROM recordings"',
        )
    if not recording.startswith("s3://"):
        ids.add(recording)
    same = pc.field("recording_id").isin(pa.array(sorted(ids), pa.string()))
    uris = set(lake.recordings.read(["source_uri"], same)["source_uri"].to_pylist()) if ids else set()
    uris |= {recording} if recording.startswith("s3://") else set()

    def found(table: str, column: str) -> tuple[str, ...]:
        return tuple(sorted(set(lake.tables[table].read([column], same)[column].to_pylist()))) if ids else ()

    return Trace(
        tuple(sorted(ids)),
        tuple(sorted(uris)),
        found("scenes", "scene_id"),
        found("images", "image_id"),
        found("things", "thing_id"),
    )


class Forgetting:
    """Finds what a destination holds of a recording, and takes it away.

    Args:
        lake: the destination's tables.
        of: what to look for.
        tell: is told what is done.
    """

    def __init__(self, lake: Lake, of: Trace, tell: Tell = lambda _: None) -> None:
        self.lake = lake
        self.trace = of
        self.store = VersionedStore(lake.settings)
        self.bucket, self.prefix = parse_uri(lake.uri)
        self.unseen = ""
        try:
            self.keeps_versions = self.store.keeps_versions(self.bucket)
        except StorageError as error:
            self.keeps_versions, self.unseen = False, error.reason
        self._tell = tell
        self._words = _pattern(of.words)
        self._index = index_key(self.prefix)
        self._own_ids = set(of.recording_ids)

    def look(self) -> Receipt:
        """What there is, and nothing is changed."""
        receipt = self._receipt(done=False)
        for name, table in self.lake.tables.items():
            self._tell(f"Look into {name}")
            receipt.rows[name] = rows_of(table, self.trace.values)
        deleted, redacted = self._documents()
        self._count(receipt, deleted)
        receipt.redacted = sorted(redacted)
        self._say_what_is_left(receipt, versions=False)
        return receipt

    def forget(self, *, versions: bool) -> Receipt:
        """Take it all away; doing it again after it broke off goes on.

        Args:
            versions: in a bucket that keeps old versions, delete those of what was changed here as well.

        Raises:
            StorageError: the store refuses it.
        """
        self.store.check_writable(self.bucket, self.prefix)
        receipt = self._receipt(done=True)
        deleted, redacted = self._documents()
        for key, text in redacted.items():
            self._tell(f"Redact {key}")
            self.store.put(self.bucket, key, text, "application/json")
        for key in deleted:
            self.store.delete(self.bucket, key)
        self._count(receipt, deleted)
        receipt.redacted = sorted(redacted)
        # Recordings last: as long as its row is there, whatever broke off can be done again by its address.
        for name, table in sorted(self.lake.tables.items(), key=lambda each: each[0] == "recordings"):
            self._tell(f"Erase rows of {name}")
            receipt.rows[name] = erase_rows(table, self.trace.values, self.store)
            receipt.old_files += forget_history(table, self.store)
        if versions and self.keeps_versions:
            receipt.versions = self._forget_versions({*deleted, *redacted})
        self._say_what_is_left(receipt, versions=versions)
        return receipt

    def leftovers(self) -> list[str]:
        """Objects, and their old versions, that still tell of it: by their keys, or by any byte in them."""
        found = []
        for version in self._everything():
            self._tell(f"Search {version.key}")
            old = "" if version.latest else f" (version {version.version_id})"
            if self._key_tells(version.key):
                found.append(f"{version.key}{old}" + (" is marked as deleted" if version.marker else ""))
            elif not version.marker and self._is_searched(version.key) and self._bytes_tell(version):
                found.append(f"{version.key}{old}")
        return found

    def _receipt(self, *, done: bool) -> Receipt:
        return Receipt(self.lake.uri, self.trace, done, now().isoformat(timespec="seconds"))

    def _count(self, receipt: Receipt, keys: Collection[str]) -> None:
        for key in keys:
            folder = key.removeprefix(self.prefix).strip("/").partition("/")[0]
            receipt.objects[folder] = receipt.objects.get(folder, 0) + 1

    def _say_what_is_left(self, receipt: Receipt, *, versions: bool) -> None:
        for uri in self.trace.source_uris:
            receipt.left.append(f"{uri} itself is its owner's: delete it there, or the next run illustrates it anew")
        if self.keeps_versions and not versions:
            receipt.left.append(
                f"s3://{self.bucket} keeps old versions, and with them the bytes: say --versions, with the right to "
                "delete versions (s3:DeleteObjectVersion)"
            )
        if self.unseen:
            receipt.left.append(
                f"whether s3://{self.bucket} keeps old versions, this login may not see ({self.unseen}): give it "
                "s3:GetBucketVersioning"
            )
        if receipt.objects.get("pages"):
            receipt.left.append("the index of the pages is written anew by the next run")
        receipt.left.append(
            "copies are not reached: replicas and backups of the bucket, access logs, Prefect's database, what people "
            "saved; nor documents of yours that name it by its title alone"
        )

    def _documents(self) -> tuple[list[str], dict[str, bytes]]:
        """Keys of what goes as a whole, and new contents of what loses entries."""
        deleted: set[str] = set()
        redacted: dict[str, bytes] = {}
        for one in self.trace.recording_ids:
            deleted |= {item.key for item in self.store.list(self.bucket, images_folder(self.prefix, one))}
            deleted |= {item.key for item in self.store.list(self.bucket, page_key(self.prefix, one))}
        for item in self._outside_tables():
            if self._key_tells(item) or item == self._index:  # the index has titles and pictures of all
                deleted.add(item)
            elif self._is_searched(item):
                self._tell(f"Look into {item}")
                try:
                    data = self.store.get(self.bucket, item)
                except ObjectGone:
                    continue
                if not self._tells(item, data):
                    continue
                if (less := self._without(item, data)) is not None:
                    redacted[item] = less
                else:
                    deleted.add(item)
        return sorted(deleted), redacted

    def _outside_tables(self) -> Iterator[str]:
        """Keys of everything but tables and the folders of pictures, which are looked up by the recording's id."""
        for name in self.store.folders(self.bucket, join(self.prefix, "") if self.prefix else ""):
            if not name.endswith("/"):
                yield name
            elif name not in {join(self.prefix, "tables") + "/", join(self.prefix, "images") + "/"}:
                yield from (item.key for item in self.store.list(self.bucket, name))

    def _everything(self) -> Iterator[Version]:
        start = f"{self.prefix.rstrip('/')}/" if self.prefix else ""
        if self.keeps_versions:
            yield from self.store.versions(self.bucket, start)
            return
        for item in self.store.list(self.bucket, start):
            yield Version(item.key, "", item.size_bytes, latest=True)

    def _key_tells(self, key: str) -> bool:
        return any(word in key for word in (*self.trace.recording_ids, *self.trace.image_ids, *self.trace.scene_ids))

    def _is_searched(self, key: str) -> bool:
        """Whether its bytes are looked into: not those of what another recording's id names, its pictures and pages."""
        inner = key.removeprefix(self.prefix)
        return "/tables/" in f"/{inner}" or not (set(_ID.findall(inner)) - self._own_ids)

    def _bytes_tell(self, version: Version) -> bool:
        if version.size_bytes > _LARGEST_DOCUMENT_BYTES and not version.key.endswith(".parquet"):
            raise StorageError(
                f"s3://{self.bucket}/{version.key}", "it is too large to be searched", "Look into it by hand."
            )
        try:
            return self._tells(version.key, self.store.read_version(self.bucket, version))
        except ObjectGone:
            return False

    def _tells(self, key: str, data: bytes) -> bool:
        """Whether a word of the trace is in these bytes, compressed or not."""
        if self._words.search(data):
            return True
        if key.endswith(".parquet") and data[:4] == b"PAR1":
            try:
                return any(self._in_column(column) for column in _strings(pq.ParquetFile(pa.BufferReader(data))))
            except pa.ArrowException as error:
                raise StorageError(
                    f"s3://{self.bucket}/{key}", f"it is a broken Parquet file ({error})", "Look into it by hand."
                ) from error
        return False

    def _in_column(self, values: pa.Array) -> bool:
        text = "\n".join(values.unique().drop_null().to_pylist())
        return self._words.search(text.encode()) is not None

    def _without(self, key: str, data: bytes) -> bytes | None:
        """A document of JSON without the entries that tell of it; None for what is no JSON."""
        if not key.endswith(".json"):
            return None
        try:
            document = json.loads(data)
        except ValueError:
            return None
        return json.dumps(_redacted(document, self._words), indent=2, ensure_ascii=False).encode()

    def _forget_versions(self, changed: Collection[str]) -> int:
        """Delete all versions of what was deleted, and the old ones of what was changed and of the tables."""
        start = f"{self.prefix.rstrip('/')}/" if self.prefix else ""
        tables = join(self.prefix, "tables") + "/"
        versions = list(self.store.versions(self.bucket, start))
        there = {each.key for each in versions if each.latest and not each.marker}
        gone = [
            each
            for each in versions
            if not (each.latest and each.key in there)
            and (
                each.key in changed
                or each.key.startswith(tables)
                or self._key_tells(each.key)
                # What an earlier attempt changed, before it was told to delete versions.
                or (not each.marker and self._is_searched(each.key) and self._bytes_tell(each))
            )
        ]
        self._tell(f"Delete {len(gone)} old versions")
        return self.store.delete_versions(self.bucket, gone)


def _pattern(words: Collection[str]) -> re.Pattern[bytes]:
    """Finds any of the words as texts, JSON, HTML and addresses write them, and not within a longer name."""
    ids = {word for word in words if _ID.fullmatch(word)}
    forms = {
        form
        for word in set(words) - ids
        for form in (word, json.dumps(word)[1:-1], html.escape(word), quote(word, safe="/:"))
    }
    # Longest first, and none that goes on: s3://a/talk is not s3://a/talk2.mp3, nor s3://a/talk/b.
    names = b"|".join(re.escape(form.encode()) for form in sorted(forms, key=len, reverse=True))
    bounded = [rb"(?<![\w/-])(?:" + names + rb")(?![\w/-]|\.\w)"] if forms else []
    return re.compile(b"|".join([*(word.encode() for word in sorted(ids)), *bounded]) or rb"(?!)")


def _redacted(value: Any, words: re.Pattern[bytes]) -> Any:
    """A document without list items and entries that have a word in them; a lone text becomes null."""

    def tells(part: Any) -> bool:
        return words.search(json.dumps(part, ensure_ascii=False).encode()) is not None

    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if not words.search(str(name).encode())}
        return {name: _redacted(each, words) if tells(each) else each for name, each in kept.items()}
    if isinstance(value, list):
        return [each for each in value if not tells(each)]
    return None if tells(value) else value


def _strings(file: pq.ParquetFile) -> Iterator[pa.Array]:
    """All columns of texts of a Parquet file, those in lists and structures too, a row group at a time."""
    names = [
        file.schema.column(index).path
        for index in range(len(file.schema))
        if file.schema.column(index).physical_type == "BYTE_ARRAY"
    ]
    for group in range(file.num_row_groups):
        for name in names:
            for column in file.read_row_group(group, columns=[name]).columns:
                for chunk in column.chunks:
                    yield from _leaves(chunk)


def _leaves(values: pa.Array) -> Iterator[pa.Array]:
    kind = values.type
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _leaves(values.field(index))
    elif pa.types.is_map(kind):
        yield from _leaves(values.keys)
        yield from _leaves(values.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(values.values)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield values


def command(
    recording: Annotated[
        str | None, typer.Argument(help="Its address, s3://archive/talk.mp3, its id, or a receipt, to go on.")
    ] = None,
    *,
    destination: options.Destination = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, what would go is only said.")] = False,
    versions: Annotated[
        bool, typer.Option("--versions", help="Delete old versions too, in a bucket that keeps them.")
    ] = False,
    receipt: Annotated[
        Path | None, typer.Option(help="File for the receipt; by default forgotten-ID.json in this folder.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Look whether anything is left of what this receipt names, and change nothing.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Forget one recording: rows, pictures, pages, records of runs, and the tables' old versions.

    Without --yes it only says what would go. No run may be under way in the destination.
    """
    from rich.console import Console

    from s2i_core.analysis.vectors import forget_indexes
    from s2i_core.storage.objects import S3Settings

    if (recording is None) == (verify is None):
        raise ConfigError("RECORDING", "name one, or a receipt to verify", "s2i forget s3://archive/talk.mp3")
    with Console(stderr=True).status("Looking …") as status:
        if verify is not None:
            made = Receipt.read(verify)
            lake = Lake(S3Settings.from_env(), destination or made.destination)
            left = Forgetting(lake, made.trace, status.update).leftovers()
        else:
            assert recording is not None
            again = Receipt.read(Path(recording)) if Path(recording).is_file() else None
            place = destination or (again.destination if again else None)
            lake = Lake(S3Settings.from_env(), options.named_destination(place))
            work = Forgetting(lake, again.trace if again else trace(lake, recording), status.update)
            path = receipt or Path(f"forgotten-{next(iter(work.trace.recording_ids), 'recording')}.json")
            if yes:
                # First, so that it can be gone on with by its receipt, whatever breaks off.
                _keep(path, Receipt(lake.uri, work.trace, done=False))
                made = work.forget(versions=versions)
                _keep(path, made)
                forget_indexes()
            else:
                made = work.look()
    if verify is not None:
        _tell_leftovers(left, as_json)
        return
    if as_json:
        typer.echo(json.dumps(asdict(made), ensure_ascii=False))
        return
    typer.echo("\n".join(described(made)))
    if yes:
        typer.echo(f"receipt    {path}: it names what was forgotten, so keep it apart; s2i forget --verify {path}")
    else:
        typer.echo("nothing was changed: --yes does it")


def _keep(path: Path, receipt: Receipt) -> None:
    path.write_text(json.dumps(asdict(receipt), indent=2, ensure_ascii=False), "utf-8")


def _tell_leftovers(left: list[str], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"left": left}, ensure_ascii=False))
    elif left:
        typer.echo("\n".join([f"{options.counted(len(left), 'object')} still tell of it:", *left[:50]]))
    else:
        typer.echo("nothing is left of it")
    if left:
        raise typer.Exit(1)


def described(made: Receipt) -> list[str]:
    """For people, a line each."""
    word = "forgotten" if made.done else "would go"
    rows = ", ".join(f"{count} {name}" for name, count in made.rows.items() if count) or "none"
    objects = ", ".join(f"{count} in {folder}/" for folder, count in made.objects.items()) or "none"
    lines = [
        f"recording  {', '.join((*made.trace.source_uris, *made.trace.recording_ids))}",
        f"{word:<10} rows: {rows}; objects: {objects}; entries of {options.counted(len(made.redacted), 'document')}",
    ]
    if made.done:
        lines.append(
            f"history    {made.old_files} files of tables' old versions, {made.versions} old versions of objects"
        )
    return lines + [f"left       {each}" for each in made.left]
