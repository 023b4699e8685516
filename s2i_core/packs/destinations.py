"""Where illustrated recordings are and their packs go: a bucket that a run wrote, or a folder of `s2i illustrate`.

Packs lie in `packs/<recording_id>/` there. In a bucket the manifest goes first when a pack is replaced and comes last
when it is written, on disk a whole folder is put in place: nobody sees one that is half written.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from s2i_core.errors import ConfigError, DecodeError, ObjectGone
from s2i_core.identity import Digests
from s2i_core.listing import title_of
from s2i_core.packs.episode import Rows
from s2i_core.packs.pack import MANIFEST, Pack, media_type
from s2i_core.packs.pictures import FOLDER as PICTURES
from s2i_core.records import AudioObject, Skip, Status
from s2i_core.storage.artifacts import join
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import destination as place_of
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake, LakeTable, drawn, planned
from s2i_core.storage.versions import VersionedStore

PACKS = "packs"
INDEX = "index.html"
_CONNECTIONS = 8
_OF_RECORDING = ("recording_id", "source_uri", "etag", "size_bytes", "status", "duration_s", "damage")
_OF_SCENE = ("scene_id", "recording_id", "start_s", "end_s", "status", "reason", "confidence", "things")
_OF_IMAGE = (
    *("image_id", "scene_id", "recording_id", "start_s", "end_s", "key", "sha256", "format", "similarity"),
    *("shows", "alt"),
)
_CHOICE = ("model_digest", "plan_digest", "created_at")


class Destination(Protocol):
    """Illustrated recordings, and the packs of them. It can be pickled."""

    @property
    def uri(self) -> str:
        """Its address."""

    def recordings(self) -> list[Rows]:
        """The illustrated recordings, in the order of their titles."""

    def title(self, rows: Rows) -> str:
        """Title of a recording, for people."""

    def readable(self, rows: Rows) -> bool:
        """Whether the recording may be read."""

    def sound(self, rows: Rows) -> contextlib.AbstractContextManager[BinaryIO]:
        """The recording itself, seekable."""

    def image(self, row: Mapping[str, Any]) -> bytes:
        """The file of a row of `images`."""

    def packs(self, recording_ids: Sequence[str] | None = None) -> dict[str, Pack]:
        """The packs that there are of these recordings; of all if none are named."""

    def deliver(self, pack: Pack, folder: Path) -> None:
        """Put a pack, made in a folder of this disk, where it belongs."""

    def write(self, name: str, data: bytes, kind: str) -> str:
        """Write a file beside the packs; returns its address."""


def destination(place: str) -> Destination:
    """The destination at an address: `s3://bucket/folder`, or a folder that `s2i illustrate` made.

    Raises:
        ConfigError: there is no such folder, or `s2i illustrate` did not make it.
        StorageError: the bucket can't be read.
    """
    if place.startswith("s3://"):
        found = place_of(place)
        store = ObjectStore(S3Settings.from_env())
        store.check_readable(found.bucket, found.name)
        return Bucket(store, Lake(store.settings, place))
    folder = Path(place)
    if not (folder / "recording.json").is_file():
        raise ConfigError(
            place,
            "there is no recording.json in it, so that it is no folder of `s2i illustrate`",
            "Give the folder that `s2i illustrate FILE --out FOLDER` made, or s3://bucket/folder of a run.",
        )
    return Folder(folder)


class Folder:
    """A folder that `s2i illustrate` made of one local file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def uri(self) -> str:
        """Its path."""
        return str(self._folder)

    def recordings(self) -> list[Rows]:
        """The one recording."""
        (recording,) = self._lines("recording.json")
        images = self._lines("images.jsonl")
        # Of several pictures of a scene, the first.
        first = min((image.get("variant") or 0 for image in images), default=0)
        shown = [image for image in images if (image.get("variant") or 0) == first]
        return [Rows(recording, self._lines("scenes.jsonl"), shown)]

    def title(self, rows: Rows) -> str:
        """The name of the file."""
        return _title(unquote(urlsplit(str(rows.recording["source_uri"])).path))

    def readable(self, rows: Rows) -> bool:
        """Always: whoever illustrated it could read it."""
        del rows
        return True

    @contextlib.contextmanager
    def sound(self, rows: Rows) -> Iterator[BinaryIO]:
        """The file that was illustrated.

        Raises:
            ConfigError: it isn't there any more.
        """
        path = Path(unquote(urlsplit(str(rows.recording["source_uri"])).path))
        if not path.is_file():
            raise ConfigError(str(path), "the recording is not there any more", "Put it back, or illustrate it again.")
        with path.open("rb") as file:
            yield file

    def image(self, row: Mapping[str, Any]) -> bytes:
        """The file of a row of `images`."""
        path = (self._folder / str(row["key"])).resolve()
        if not path.is_relative_to(self._folder.resolve()) or not path.is_file():
            raise DecodeError(str(row["key"]), "the picture is not there any more", "Illustrate the recording again.")
        return path.read_bytes()

    def packs(self, recording_ids: Sequence[str] | None = None) -> dict[str, Pack]:
        """The packs that there are."""
        found = {}
        if recording_ids is None:
            recording_ids = [path.parent.name for path in (self._folder / PACKS).glob(f"*/{MANIFEST}")]
        for each in recording_ids:
            with contextlib.suppress(OSError, ValueError):
                found[each] = Pack.from_json((self._folder / PACKS / each / MANIFEST).read_bytes())
        return found

    def deliver(self, pack: Pack, folder: Path) -> None:
        """Put a pack in place, whole."""
        home = self._folder / PACKS
        home.mkdir(exist_ok=True)
        place = home / pack.recording_id
        with tempfile.TemporaryDirectory(prefix=".", dir=home) as aside:
            ready = Path(aside) / "new"
            shutil.copytree(folder, ready)
            if place.exists():
                place.rename(Path(aside) / "old")
            ready.rename(place)

    def write(self, name: str, data: bytes, kind: str) -> str:
        """Write a file beside the packs."""
        del kind
        path = self._folder / PACKS / name
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f".{name}.{os.getpid()}")
        partial.write_bytes(data)
        partial.rename(path)
        return path.resolve().as_uri()

    def _lines(self, name: str) -> list[dict[str, Any]]:
        path = self._folder / name
        try:
            return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise ConfigError(str(path), f"it cannot be read: {error}", "Illustrate the recording again.") from error


@dataclass
class Bucket:
    """The destination of a run, in object storage.

    Attributes:
        store: the object store.
        lake: its tables.
        digests: which rows to take; without, of each recording those of the latest run. Where an editor has decided, it
            is the editor's.
        holds: whether the object of this bucket and key may be read: what else is in the tables is left alone.
    """

    store: ObjectStore
    lake: Lake
    digests: Digests | None = None
    holds: Callable[[str, str], bool] | None = None
    recording_id: str | None = None
    """The only recording to take."""

    @property
    def uri(self) -> str:
        """Its address."""
        return self.lake.uri

    def recordings(self) -> list[Rows]:
        """The recordings of the tables that have a picture."""
        whole = pc.scalar(True) if self.recording_id is None else pc.field("recording_id") == self.recording_id
        mine = planned(self.digests) & whole if self.digests else whole
        found = self._read(self.lake.recordings, _OF_RECORDING, (pc.field("status") != Status.FAILED.value) & mine)
        scenes = _grouped(self._read(self.lake.scenes, _OF_SCENE, mine).sort_by("start_s"))
        # Of several pictures of a scene, the first that a run drew.
        first = (pc.field("variant").is_null() | (pc.field("variant") == 0)) & pc.field("edit_id").is_null()
        shown = self.lake.as_edited(
            [*_OF_IMAGE, "model_digest", "image_digest", "created_at"],
            drawn(self.digests) if self.digests else first,
            self.recording_id,
        )
        images, chosen = _grouped(shown.drawn), _grouped(shown.chosen)
        made = []
        for each in _latest(found):
            recording_id = each["recording_id"]
            mine_only = [
                _left_out(scene) if scene["scene_id"] in shown.left_out else scene
                for scene in scenes.get(recording_id, ())
                if (scene["model_digest"], scene["plan_digest"]) == (each["model_digest"], each["plan_digest"])
            ]
            ids = {one["scene_id"] for one in mine_only}
            pictures = _of_one_decoder(images.get(recording_id, ()), ids)
            pictures += [one for one in chosen.get(recording_id, ()) if one["scene_id"] in ids]
            if pictures or ids & shown.left_out:
                made.append(Rows(each, mine_only, sorted(pictures, key=lambda one: one["start_s"])))
        return sorted(made, key=lambda rows: (self.title(rows).casefold(), str(rows.recording["recording_id"])))

    def title(self, rows: Rows) -> str:
        """The name of the object."""
        return _title(parse_uri(str(rows.recording["source_uri"]))[1])

    def readable(self, rows: Rows) -> bool:
        """Whether the recording belongs to the source of the run."""
        return self.holds is None or self.holds(*parse_uri(str(rows.recording["source_uri"])))

    @contextlib.contextmanager
    def sound(self, rows: Rows) -> Iterator[BinaryIO]:
        """The recording, from its own bucket."""
        row = rows.recording
        bucket, key = parse_uri(str(row["source_uri"]))
        with self.store.open(AudioObject(bucket, key, str(row["etag"]), int(row["size_bytes"]))) as file:
            yield file

    def image(self, row: Mapping[str, Any]) -> bytes:
        """The file of a row of `images`."""
        return self.store.get(self._bucket, str(row["key"]))

    def packs(self, recording_ids: Sequence[str] | None = None) -> dict[str, Pack]:
        """The packs that there are of these recordings; of all if none are named."""
        if recording_ids is None:
            home = join(self._prefix, PACKS) + "/"
            store = VersionedStore(self.store.settings)
            folders = (name for name in store.folders(self._bucket, home) if name.endswith("/"))
            recording_ids = [name.removeprefix(home).rstrip("/") for name in folders]

        def manifest(recording_id: str) -> Pack | None:
            with contextlib.suppress(ObjectGone, ValueError):
                return Pack.from_json(self.store.get(self._bucket, self._key(recording_id, MANIFEST)))
            return None

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            found = list(pool.map(manifest, recording_ids))
        return {each: pack for each, pack in zip(recording_ids, found, strict=True) if pack is not None}

    def deliver(self, pack: Pack, folder: Path) -> None:
        """Write a pack: pictures, what refers to them, the manifest; then what it no longer has is deleted."""
        there = {item.key: item.size_bytes for item in self.store.list(self._bucket, self._key(pack.recording_id, ""))}
        self.store.delete(self._bucket, self._key(pack.recording_id, MANIFEST))
        names = sorted((file.name for file in pack.files), key=lambda name: not name.startswith(f"{PICTURES}/"))
        pictures = [name for name in names if name.startswith(f"{PICTURES}/")]

        def put(name: str) -> None:
            self.store.put_file(self._bucket, self._key(pack.recording_id, name), folder / name, media_type(name))

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(put, pictures))
        for name in names[len(pictures) :]:
            put(name)
        put(MANIFEST)
        kept = {self._key(pack.recording_id, name) for name in (*names, MANIFEST)}
        for key in there.keys() - kept:
            self.store.delete(self._bucket, key)

    def write(self, name: str, data: bytes, kind: str) -> str:
        """Write a file beside the packs."""
        key = join(self._prefix, PACKS, name)
        self.store.put(self._bucket, key, data, kind)
        return f"s3://{self._bucket}/{key}"

    @property
    def _bucket(self) -> str:
        return parse_uri(self.lake.uri)[0]

    @property
    def _prefix(self) -> str:
        return parse_uri(self.lake.uri)[1]

    def _key(self, recording_id: str, name: str) -> str:
        return join(self._prefix, PACKS, recording_id, name)

    def _read(self, table: LakeTable, columns: Sequence[str], rows: pc.Expression | None) -> pa.Table:
        return table.read([*columns, *_CHOICE], rows)


def _title(name: str) -> str:
    words = title_of(name)
    return words[0].upper() + words[1:]


def _grouped(table: pa.Table) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table.to_pylist():
        found[row["recording_id"]].append(row)
    return found


def _latest(recordings: pa.Table) -> list[dict[str, Any]]:
    """Of each recording the row of the latest run; of several objects with the same bytes, the first by name."""
    latest: dict[str, dict[str, Any]] = {}
    for row in recordings.sort_by([("created_at", "descending"), ("source_uri", "ascending")]).to_pylist():
        kept = latest.setdefault(row["recording_id"], row)
        same = (kept["model_digest"], kept["plan_digest"]) == (row["model_digest"], row["plan_digest"])
        if same and row["source_uri"] < kept["source_uri"]:
            latest[row["recording_id"]] = row
    return list(latest.values())


def _left_out(scene: Mapping[str, Any]) -> dict[str, Any]:
    return {**scene, "status": Status.SKIPPED.value, "reason": Skip.REJECTED.value}


def _of_one_decoder(images: Sequence[dict[str, Any]], scenes: set[str]) -> list[dict[str, Any]]:
    """Images of these scenes, all with the decoder and the settings of the one that was drawn last."""
    mine = [image for image in images if image["scene_id"] in scenes]
    if not mine:
        return []
    last = max(mine, key=lambda image: image["created_at"])
    chosen = (last["model_digest"], last["image_digest"])
    return [image for image in mine if (image["model_digest"], image["image_digest"]) == chosen]
