"""Packs of a whole destination: those that are missing or out of date are made, each in a process that may die.

FFmpeg reads whatever somebody has uploaded, and so a pack is made in a child. What cannot be made becomes a row.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from s2i_core.config import AudioConfig, PackConfig, ProvenanceConfig
from s2i_core.errors import ConfigError, DecodeError, S2IError
from s2i_core.packs.destinations import INDEX, PACKS, Destination
from s2i_core.packs.episode import Rows
from s2i_core.packs.feed import FeedEpisode, Illustrated, illustrated
from s2i_core.packs.pack import PAGE, Pack, address, made_from, write_pack
from s2i_core.provenance.stamp import stamp_of
from s2i_core.publish.page import Exhibit, Exhibited, gallery_page
from s2i_core.records import Failure, Stage

Counted = Callable[[int, int], None]
"""Called with packs done and packs in all."""

MOST_SHOWN = 3000
"""Pictures on the gallery; the packs have all."""
_HTML = "text/html; charset=utf-8"
_REMEDY = "Check that the recording can be played; the next run tries it again."


@dataclass(frozen=True)
class Published:
    """What was done.

    Attributes:
        made: packs written now; `unchanged`: those that were up to date.
        failures: what has no pack, and why.
        gallery: address of the page with the pictures of all.
    """

    made: list[Pack]
    unchanged: int
    failures: list[Failure] = field(default_factory=list)
    gallery: str | None = None


def pending(
    place: Destination, config: PackConfig, provenance: ProvenanceConfig, recordings: Sequence[Rows]
) -> list[Rows]:
    """Those of the recordings whose pack is missing, or made from something else."""
    there = place.packs([str(each.recording["recording_id"]) for each in recordings])
    made = {recording_id: pack.made_from for recording_id, pack in there.items()}
    return [
        each
        for each in recordings
        if made.get(str(each.recording["recording_id"])) != made_from(each, place.title(each), config, provenance)
        and place.readable(each)
    ]


def publish(
    place: Destination,
    config: PackConfig,
    audio: AudioConfig,
    provenance: ProvenanceConfig,
    run_id: str,
    only: Sequence[str] = (),
    counted: Counted = lambda done, total: None,
    *,
    with_gallery: bool = True,
) -> Published:
    """Make the packs that are missing or out of date, and the gallery of all.

    Args:
        place: where the recordings are, and their packs go.
        config: settings of the packs.
        audio: limits on a recording.
        provenance: whether pictures are marked and signed, and by whom.
        run_id: for the rows of failures.
        only: recordings by id or by the end of their address; all if none are named.
        counted: told of progress.
        with_gallery: write it where a pack was made.

    Raises:
        ConfigError: none of the recordings is called so, or the keys can't be used.
        StorageError: the destination can't be read or written.
    """
    chosen = _chosen(place.recordings(), only, place.uri)
    waiting = pending(place, config, provenance, chosen)
    if waiting:
        stamp_of(provenance)  # keys that can't be used are no recording's fault
    made: list[Pack] = []
    failures: list[Failure] = []
    counted(0, len(waiting))
    with _Makers(place, config, audio, provenance) as makers:
        for done, rows in enumerate(waiting, 1):
            try:
                made.append(makers.make(rows))
            except S2IError as error:
                recording_id = str(rows.recording["recording_id"])
                subject = f"{place.uri}/{PACKS}/{recording_id}/"
                failures.append(
                    Failure.of(error, subject=subject, stage=Stage.PUBLISH, run_id=run_id, recording_id=recording_id)
                )
            counted(done, len(waiting))
    return Published(
        made, len(chosen) - len(waiting), failures, write_gallery(place) if made and with_gallery else None
    )


def _chosen(recordings: Sequence[Rows], only: Sequence[str], uri: str) -> list[Rows]:
    if not only:
        return list(recordings)
    found: list[Rows] = []
    for name in only:
        of_name = [
            rows
            for rows in recordings
            if rows.recording["recording_id"] == name or f"/{rows.recording['source_uri']}".endswith(f"/{name}")
        ]
        if not of_name:
            raise ConfigError(
                name, f"no illustrated recording in {uri} has this id or name", "`s2i status` tells what is there."
            )
        found += of_name
    return found


class _Makers:
    """A child that makes packs, and another one when it has died."""

    def __init__(
        self, place: Destination, config: PackConfig, audio: AudioConfig, provenance: ProvenanceConfig
    ) -> None:
        self._place, self._config, self._audio, self._provenance = place, config, audio, provenance
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Makers:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def make(self, rows: Rows) -> Pack:
        """Make the pack of a recording and put it in place.

        Raises:
            S2IError: it can't be made.
        """
        if self._pool is None:
            # Not forked: the parent has threads and connections.
            self._pool = ProcessPoolExecutor(
                1, multiprocessing.get_context("spawn"), initializer=_bound, initargs=(self._config.memory_bytes,)
            )
        work = self._pool.submit(_make, self._place, rows, self._config, self._audio, self._provenance)
        try:
            return work.result(timeout=self._audio.max_decode_s)
        except MemoryError as error:
            self._end()
            reason = f"making its pack takes more than {self._config.memory_bytes >> 20} MiB of memory"
            raise DecodeError(str(rows.recording["source_uri"]), reason, "Raise packs.memory_bytes.") from error
        except BrokenProcessPool as error:
            self._end()
            raise DecodeError(str(rows.recording["source_uri"]), "making its pack crashed", _REMEDY) from error
        except TimeoutError as error:
            self._end()
            reason = f"making its pack takes more than {self._audio.max_decode_s:g} s"
            raise DecodeError(str(rows.recording["source_uri"]), reason, "Raise audio.max_decode_s.") from error

    def _end(self) -> None:
        if self._pool is not None:
            for child in list((self._pool._processes or {}).values()):
                child.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _bound(memory_bytes: int) -> None:
    """Bound what this process maps from now on: it has all of the program already."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _make(place: Destination, rows: Rows, config: PackConfig, audio: AudioConfig, provenance: ProvenanceConfig) -> Pack:
    with tempfile.TemporaryDirectory(prefix="s2i-pack-") as folder, place.sound(rows) as source:
        pack = write_pack(Path(folder), rows, place.title(rows), source, place.image, config, audio, provenance)
        place.deliver(pack, Path(folder))
    return pack


def write_gallery(place: Destination) -> str:
    """Write the page with the pictures of all packs; returns its address."""
    packs = place.packs()
    episodes: list[Exhibited] = []
    room, more = MOST_SHOWN, 0
    for pack in sorted(packs.values(), key=lambda pack: pack.title.casefold()):
        shown = pack.shown[:room]
        room -= len(shown)
        more += len(pack.shown) - len(shown)
        has_page = any(file.name == PAGE for file in pack.files)
        if shown and has_page:
            pictures = [Exhibit(f"{pack.recording_id}/{one['file']}", one["start_s"], one["title"]) for one in shown]
            episodes.append(Exhibited(pack.title, f"{pack.recording_id}/{PAGE}", pack.duration_s, pictures))
    return place.write(INDEX, gallery_page(episodes, more=more).encode(), _HTML)


def illustrate_feed(feed: bytes, place: Destination, config: PackConfig, name: str) -> Illustrated:
    """A feed with the chapters and the picture of each of its episodes that has a pack.

    Raises:
        ConfigError: no public address is set, or the feed is none.
    """
    if not config.base_url:
        raise ConfigError(
            name, "the feed needs the public address of the packs", "Give --base-url, or set packs.base_url."
        )
    recordings = {str(each.recording["recording_id"]): each for each in place.recordings()}
    packs = place.packs(list(recordings))
    return illustrated(feed, [_feed_episode(pack, config) for pack in packs.values()], name)


def _feed_episode(pack: Pack, config: PackConfig) -> FeedEpisode:
    base = address(config, pack.recording_id)
    alt = next((one["alt"] for one in pack.shown if one["file"] == pack.cover), "")
    return FeedEpisode(
        file_name=pack.source_uri.rpartition("/")[2],
        chapters=f"{base}chapters.json" if any(file.name == "chapters.json" for file in pack.files) else "",
        image=base + pack.cover if pack.cover else "",
        alt=alt,
    )
