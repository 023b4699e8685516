"""The pages of a destination: one for each illustrated recording, and an index.

`pages/manifest.json` records what each page was made from, and so tells which are out of date: the next run
makes those that a killed one left out, and no others.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from s2i_core.config import RunConfig
from s2i_core.errors import ObjectGone, S2IError
from s2i_core.identity import Digests, digest, files_digest
from s2i_core.listing import title_of
from s2i_core.records import AudioObject, Skip, Status, shown_of
from s2i_core.storage.artifacts import index_key, join, page_key
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import Place, parse_uri
from s2i_core.storage.tables import Lake, drawn, planned

if TYPE_CHECKING:
    from s2i_core.audio.isolated import DecoderProcess
    from s2i_core.publish.page import Card, Fault, Frame

Counted = Callable[[int, int], None]
"""Called with pages done and pages in all."""

MAX_CARDS = 300
"""Most recordings on the index page; the tables have all."""
MAX_FAULTS = 100
_PREVIEWS = 5
_CONNECTIONS = 8
_WORKERS = 2
"""Pages made at a time: each holds the compressed audio of one recording in memory."""
_NO_PAGE = ("", False)
_HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class PageContent:
    """A recording and its images with one model and one set of settings.

    Attributes:
        recording: a row of `recordings`, the first of several objects with the same bytes.
        images: its rows of `images`, in order of time.
        readable: a row of it whose object lies in the source of the run; if None, its page is not made.
        left_out: ids of the scenes that an editor left out.
    """

    recording: dict[str, Any]
    images: list[dict[str, Any]]
    readable: dict[str, Any] | None
    left_out: tuple[str, ...] = ()

    @property
    def recording_id(self) -> str:
        """Id of the recording."""
        return str(self.recording["recording_id"])

    @property
    def title(self) -> str:
        """The name of the object, without folders and suffix, for people."""
        words = title_of(parse_uri(str(self.recording["source_uri"]))[1])
        return words[0].upper() + words[1:]

    @property
    def digest(self) -> str:
        """Digest of what the page is made from, its design included."""
        damage = [str(self.recording["damage"])] if self.recording["damage"] else []
        shown = [image["image_id"] for image in self.images]
        return digest("page", _design(), self.title, *damage, *shown, *(f"without {one}" for one in self.left_out))


@dataclass(frozen=True)
class Published:
    """What `publish` did: pages written, recordings whose audio is gone or unreadable, and the URI of the index."""

    pages: int
    unpublished: list[str]
    index: str


class Pages:
    """The pages of one destination for one model and one set of settings.

    Args:
        store: the object store.
        lake: tables of the destination.
        config: settings of the run.
        digests: what chooses the rows.
        source: of the run. Nothing outside it is read: pages of what other runs illustrated are left to those. None for
            the source of whatever run.
    """

    def __init__(
        self, store: ObjectStore, lake: Lake, config: RunConfig, digests: Digests, source: Place | None
    ) -> None:
        self._store = store
        self._lake = lake
        self._config = config
        self._digests = digests
        self._source = source
        self._bucket, self._prefix = parse_uri(lake.uri)
        self._manifest_key = join(self._prefix, "pages", "manifest.json")
        self._faults_key = join(self._prefix, "pages", "faults.json")

    def pending(self, recording_id: str | None = None) -> list[PageContent]:
        """The recordings of the source, or this one of them, whose page is missing or shows something else."""
        made = self._manifest()
        return [
            one
            for one in self._illustrated(recording_id)
            if (one.images or one.left_out) and one.readable and made.get(one.recording_id, _NO_PAGE)[0] != one.digest
        ]

    def publish(self, pending: Sequence[PageContent], faults: Sequence[Fault] | None, counted: Counted) -> Published:
        """Write the pages of `pending`, then the index of all.

        A recording that cannot be read any more has no page; it is named in the result and not tried again until its
        images change.

        Args:
            pending: what `pending` gave.
            faults: what failed, for the index; None for what the last run said.
            counted: told of progress.
        """
        from s2i_core.audio.isolated import DecoderProcess

        made = self._manifest()
        unpublished: list[str] = []
        counted(0, len(pending))
        with ExitStack() as ends, ThreadPoolExecutor(_WORKERS) as pool:
            idle: SimpleQueue[DecoderProcess] = SimpleQueue()
            for _ in range(_WORKERS):
                idle.put(ends.enter_context(DecoderProcess(self._config.resources.decoder)))
            waiting = list(pending)
            running: dict[Future[bool], PageContent] = {}
            done = 0
            while waiting or running:
                while waiting and len(running) < _WORKERS:
                    one = waiting.pop(0)
                    running[pool.submit(self._write, one, idle)] = one
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    one = running.pop(future)
                    written = future.result()
                    if not written:
                        unpublished.append(str(one.recording["source_uri"]))
                    made[one.recording_id] = (one.digest, written)
                    done += 1
                    counted(done, len(pending))
        told = self._faults() if faults is None else list(faults[:MAX_FAULTS])
        self._put(index_key(self._prefix), self._index(told, made).encode(), _HTML)
        if faults is not None:
            told_json = json.dumps([asdict(each) for each in told], ensure_ascii=False, indent=0)
            self._put(self._faults_key, told_json.encode(), "application/json")
        self._put(self._manifest_key, json.dumps(made, indent=0, sort_keys=True).encode(), "application/json")
        index = f"s3://{self._bucket}/{index_key(self._prefix)}"
        return Published(len(pending) - len(unpublished), unpublished, index)

    def keys(self, recording_ids: Sequence[str]) -> dict[str, str]:
        """Keys of the pages of these recordings, by recording."""
        made = self._manifest()
        return {one: page_key(self._prefix, one) for one in recording_ids if made.get(one, _NO_PAGE)[1]}

    def _illustrated(self, recording_id: str | None = None) -> list[PageContent]:
        read = planned(self._digests) & (pc.field("status") != Status.FAILED.value)
        if recording_id is not None:
            read = read & (pc.field("recording_id") == recording_id)
        columns = [
            "source_uri",
            "etag",
            "size_bytes",
            "recording_id",
            "status",
            "reason",
            "duration_s",
            "damage",
            "created_at",
        ]
        recordings = self._lake.recordings.read(columns, read).sort_by("source_uri").to_pylist()
        images, left_out = self._images(recording_id)
        unique: dict[str, PageContent] = {}
        for row in recordings:  # the same bytes under two keys are one recording and one page
            own = row["recording_id"]
            first = unique.setdefault(own, PageContent(row, images.get(own, []), None, tuple(left_out.get(own, ()))))
            if first.readable is None and (self._source is None or self._source.holds(*parse_uri(row["source_uri"]))):
                unique[own] = replace(first, readable=row)
        return list(unique.values())

    def _images(self, recording_id: str | None) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[str]]]:
        """By recording: the rows of the pictures that are shown, and the ids of the scenes that editors left out."""
        columns = ["recording_id", "scene_id", "image_id", "start_s", "end_s", "key", "format", "similarity"]
        columns += ["alt", "shows"]
        scenes = self._scenes(recording_id, ["scene_id", "recording_id"])
        shown = self._lake.as_edited(columns, drawn(self._digests), recording_id)
        table = pa.concat_tables([shown.drawn, shown.chosen])
        table = table.filter(pc.is_in(table["scene_id"], value_set=scenes["scene_id"].combine_chunks()))
        images, left_out = defaultdict(list), defaultdict(list)
        for row in table.sort_by([("recording_id", "ascending"), ("start_s", "ascending")]).to_pylist():
            images[row["recording_id"]].append(row)
        if shown.left_out:
            gone = scenes.filter(pc.is_in(scenes["scene_id"], value_set=pa.array(sorted(shown.left_out), pa.string())))
            for row in gone.sort_by("scene_id").to_pylist():
                left_out[row["recording_id"]].append(row["scene_id"])
        return images, left_out

    def _scenes(self, recording_id: str | None, columns: list[str]) -> pa.Table:
        mine = planned(self._digests)
        if recording_id is not None:
            mine = mine & (pc.field("recording_id") == recording_id)
        return self._lake.scenes.read(columns, mine)

    def _write(self, one: PageContent, idle: SimpleQueue[DecoderProcess]) -> bool:
        """Make and write the page, with one of the idle decoders; False if the recording is gone or unreadable."""
        from s2i_core.publish.audio import web_audio
        from s2i_core.publish.page import Stretch, recording_page

        row = one.readable
        assert row is not None
        bucket, key = parse_uri(row["source_uri"])
        columns = ["scene_id", "start_s", "end_s", "status", "reason", "confidence"]
        scenes = self._scenes(one.recording_id, columns).to_pylist()
        scene_of = {scene["scene_id"]: scene for scene in scenes}
        decoder = idle.get()
        try:
            with self._store.open(AudioObject(bucket, key, row["etag"], row["size_bytes"])) as file:
                audio, audio_type = web_audio(file, row["source_uri"], self._config.audio, decoder.decode)
        except S2IError as error:
            if error.transient and not isinstance(error, ObjectGone):
                raise
            return False
        finally:
            idle.put(decoder)
        page = recording_page(
            one.title,
            audio,
            audio_type,
            [self._frame(image, scene_of.get(image["scene_id"], {})) for image in one.images],
            max([float(row["duration_s"]), *(image["end_s"] for image in one.images)]),
            skipped=[
                Stretch(scene["start_s"], scene["end_s"], Skip.REJECTED if left_out else scene["reason"] or "skipped")
                for scene in scenes
                if (left_out := scene["scene_id"] in one.left_out) or scene["status"] == Status.SKIPPED.value
            ],
            home=PurePosixPath(index_key("")).name,
            damage=row["damage"],
        )
        self._put(page_key(self._prefix, one.recording_id), page.encode(), _HTML)
        return True

    def _index(self, faults: Sequence[Fault], made: dict[str, tuple[str, bool]]) -> str:
        from s2i_core.publish.page import index_page

        recordings = self._illustrated()
        recordings.sort(key=lambda one: (not one.images, one.title))
        note = f"The first {MAX_CARDS} of {len(recordings)} recordings." if len(recordings) > MAX_CARDS else ""
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            has_page = [made.get(one.recording_id, _NO_PAGE)[1] for one in recordings[:MAX_CARDS]]
            cards = list(pool.map(self._card, recordings[:MAX_CARDS], has_page))
        return index_page(cards, faults, note=note or self._lake.uri)

    def _card(self, one: PageContent, has_page: bool) -> Card:
        from s2i_core.publish.page import REASONS, Card

        reason, damage = one.recording["reason"], one.recording["damage"]
        notes = [] if one.images else [REASONS.get(reason, reason or "No picture")]
        notes += [f"damaged: {damage}"] if damage else []
        return Card(
            title=one.title,
            page=PurePosixPath(page_key("", one.recording_id)).name if has_page else None,
            duration_s=one.recording["duration_s"],
            pictures=len(one.images),
            previews=[self._frame(image, {}) for image in one.images[:_PREVIEWS]],
            note="; ".join(notes),
        )

    def _frame(self, image: dict[str, Any], scene: dict[str, Any]) -> Frame:
        from s2i_core.publish.images import content_type
        from s2i_core.publish.page import Frame

        data = self._store.get(self._bucket, image["key"])
        return Frame(
            image["start_s"],
            image["end_s"],
            data,
            content_type(image["format"]),
            image["similarity"],
            scene.get("confidence"),
            image["alt"],
            [shown_of(each) for each in image["shows"] or ()],
        )

    def _faults(self) -> list[Fault]:
        """What the last run said of failures."""
        from s2i_core.publish.page import Fault

        try:
            return [Fault(**each) for each in json.loads(self._store.get(self._bucket, self._faults_key))]
        except ObjectGone:
            return []

    def _manifest(self) -> dict[str, tuple[str, bool]]:
        """For each recording, what its page was made from, and whether there is a page."""
        try:
            entries = json.loads(self._store.get(self._bucket, self._manifest_key))
        except ObjectGone:
            return {}
        return {recording_id: (entry[0], entry[1]) for recording_id, entry in entries.items()}

    def _put(self, key: str, data: bytes, content_type: str) -> None:
        self._store.put(self._bucket, key, data, content_type)


@cache
def _design() -> str:
    """Digest of the page's own files: a new design remakes all pages."""
    folder = Path(str(resources.files("s2i_core.publish")))
    files = [folder / "page.py", folder / "credits.py", *(folder / "player").iterdir()]
    return files_digest(files, folder)
