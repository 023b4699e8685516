"""What is in a destination: counts, runs and failures, read from its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s2i_core.identity import Digests
from s2i_core.listing import FOLDER_MARKER, SYSTEM_FILE, LeftOut, Listed, Listing
from s2i_core.options import counted
from s2i_core.records import AudioObject, Stage, Status
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake, drawn, planned

RETRY = "`s2i run … --retry-failed` tries again"
_SHOWN_KINDS = 6


@dataclass(frozen=True)
class Totals:
    """The state of a set of recordings.

    Attributes:
        recordings: recordings with an outcome.
        scenes: scenes that get an image.
        images: images of these scenes.
        skipped: recordings and stretches of recordings left out on purpose, with the reason in the tables.
        failures: recordings that failed, and scenes that failed and have no image.
    """

    recordings: int = 0
    scenes: int = 0
    images: int = 0
    skipped: int = 0
    failures: int = 0


@dataclass(frozen=True)
class RunRow:
    """What one run added to a destination."""

    run_id: str
    started_at: datetime
    recordings: int = 0
    scenes: int = 0
    images: int = 0
    skipped: int = 0
    failures: int = 0


@dataclass(frozen=True)
class FailureRow:
    """A recording or image that has failed and not succeeded since; its latest failure."""

    subject: str
    stage: str
    error: str
    message: str
    remedy: str
    retryable: bool
    """Whether the next run tries it again by itself."""
    run_id: str

    @property
    def again(self) -> str:
        """What makes it be tried again."""
        return "The next run tries it again." if self.retryable else "Once that is done, --retry-failed takes it up."


def taken_up(failures: Sequence[FailureRow]) -> list[str]:
    """How failures are tried again, for people."""
    for_good = sum(not failure.retryable for failure in failures)
    said = [f"{for_good} failed for good: mend the cause, and {RETRY}"] if for_good else []
    return said + ([f"{len(failures) - for_good} the next run tries by itself"] if len(failures) > for_good else [])


@dataclass(frozen=True)
class DamageRow:
    """A recording that was usable despite damage: what is wrong, and where."""

    source_uri: str
    damage: str


@dataclass(frozen=True)
class Overview:
    """Everything in a destination, whatever the source, the model or the settings were."""

    destination: str
    totals: Totals
    runs: list[RunRow] = field(default_factory=list)
    failures: list[FailureRow] = field(default_factory=list)
    damaged: list[DamageRow] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        runs = [asdict(run) | {"started_at": run.started_at.isoformat()} for run in self.runs]
        return (
            {"destination": self.destination}
            | asdict(self.totals)
            | {"failed_for_good": sum(not failure.retryable for failure in self.failures)}
            | {
                "runs": runs,
                "failed": [asdict(failure) for failure in self.failures],
                "again": taken_up(self.failures),
                "damaged": [asdict(one) for one in self.damaged],
            }
        )


@dataclass(frozen=True)
class Found:
    """What is in a source, and what has become of it with one model and these settings.

    `listed == recordings + left_out.count`, and `recordings == ok + skipped + failed + pending`.

    Attributes:
        listed: objects of the source.
        recordings: those that are recordings.
        left_out: those that are not.
        unchanged: recordings with an outcome from an earlier run that this one leaves alone.
        ok: recordings with scenes; `skipped`: those with a reason to have none; `pending`: those without an outcome.
        failed: recordings that failed, of which `failed_for_good` are not tried again automatically.
        pictures_failed_for_good: scenes without a picture that are not tried again automatically.
    """

    listed: int
    recordings: int
    left_out: LeftOut
    unchanged: int
    ok: int
    skipped: int
    failed: int
    pending: int
    failed_for_good: int
    pictures_failed_for_good: int

    @classmethod
    def untouched(cls, listing: Listing) -> Found:
        """For a source of which nothing has been done yet; the listing is complete."""
        return cls(listing.listed, listing.recordings, listing.left_out, 0, 0, 0, 0, listing.recordings, 0, 0)

    @property
    def for_good(self) -> int:
        """What is tried again with `--retry-failed` only."""
        return self.failed_for_good + self.pictures_failed_for_good

    def described(self) -> list[tuple[str, str]]:
        """Lines for people: a heading word and a text each."""
        return [("source", self._source()), ("done", self._done()), *self._to_take_up()]

    def _source(self) -> str:
        return f"{counted(self.listed, 'object')} listed: {counted(self.recordings, 'recording')}, {self._left_out()}"

    def _left_out(self) -> str:
        left = self.left_out
        if not left.count:
            return "none left out"
        most = sorted(left.kinds.items(), key=lambda each: -each[1])[:_SHOWN_KINDS]
        plain = (FOLDER_MARKER, SYSTEM_FILE)
        kinds = ", ".join(counted(count, kind) if kind in plain else f"{count} {kind}" for kind, count in most)
        more = ", …" if len(left.kinds) > _SHOWN_KINDS else ""
        examples = ", ".join(map(shown, left.examples))
        said = f"{left.count} left out ({kinds}{more}), such as {examples}"
        return f"{said}; {self._not_looked_into()}" if left.not_looked_into else said

    def _not_looked_into(self) -> str:
        left = self.left_out
        more = left.not_looked_into - left.archived - left.unreadable
        whys = [f"{more} more than source.look_into allows (--set source.look_into=… looks into more)"] * (more > 0)
        whys += [f"{left.archived} in an archive (restore them)"] * (left.archived > 0)
        whys += [f"{left.unreadable} refused by the store (give this login the right to read)"] * (left.unreadable > 0)
        return f"the names of {left.not_looked_into} tell nothing, and these were not looked into: {', '.join(whys)}"

    def _done(self) -> str:
        return (
            f"{self.ok} ok, {self.skipped} skipped, {self.failed} failed, {self.pending} to do; "
            f"{self.unchanged} unchanged since an earlier run"
        )

    def _to_take_up(self) -> list[tuple[str, str]]:
        if not self.for_good:
            return []
        both = [counted(self.failed_for_good, "recording"), counted(self.pictures_failed_for_good, "picture")]
        said = " and ".join(text for text in both if not text.startswith("0 "))
        return [("again", f"{said} failed for good: mend the cause, and {RETRY}")]


def found(lake: Lake, listing: Listed, digests: Digests, unchanged: int) -> Found:
    """What has become of the recordings in a listing.

    Args:
        listing: of the source.
        unchanged: recordings that the run leaves alone.
    """
    recordings, _ = _mine(lake, listing, digests)
    ids = pc.unique(recordings["recording_id"].combine_chunks().drop_null())
    failed = recordings.filter(pc.field("status") == Status.FAILED.value)
    undrawn = lake.given_up(digests)
    return Found(
        listed=listing.listed,
        recordings=listing.recordings,
        left_out=listing.left_out,
        unchanged=unchanged,
        ok=_count(recordings, Status.OK),
        skipped=_count(recordings, Status.SKIPPED),
        failed=failed.num_rows,
        pending=listing.recordings - recordings.num_rows,
        failed_for_good=failed.filter(~pc.field("retryable")).num_rows,
        pictures_failed_for_good=pc.sum(pc.is_in(undrawn["recording_id"], value_set=ids)).as_py() or 0,
    )


def totals(lake: Lake, objects: Iterable[AudioObject], digests: Digests) -> Totals:
    """The state of these objects, as they are now, with this model and these settings."""
    recordings, mine = _mine(lake, objects, digests)
    ids = pc.unique(recordings["recording_id"].combine_chunks().drop_null())
    scenes = lake.scenes.read(["scene_id", "status"], mine & pc.field("recording_id").isin(ids))
    wanted = scenes.filter(pc.field("status") == Status.OK.value)["scene_id"].combine_chunks()
    images = lake.images.read(["scene_id"], drawn(digests) & pc.field("recording_id").isin(ids))[
        "scene_id"
    ].combine_chunks()
    decided = lake.decisions(pc.field("recording_id").isin(ids))
    rejected = decided.filter(decided["rejected"])["scene_id"].combine_chunks()
    chosen = decided.filter(decided["image_id"].is_valid())["scene_id"].combine_chunks()
    images = pc.unique(pa.concat_arrays([images, chosen]))
    images = images.filter(pc.and_not(pc.is_in(images, value_set=wanted), pc.is_in(images, value_set=rejected)))
    missing = wanted.filter(pc.invert(pc.is_in(wanted, value_set=pa.concat_arrays([images, rejected]))))
    failed_scenes = lake.failures.read(["scene_id"], pc.field("scene_id").isin(missing))["scene_id"]
    return Totals(
        recordings=recordings.num_rows,
        scenes=len(wanted),
        images=len(images),
        skipped=_count(recordings, Status.SKIPPED)
        + _count(scenes, Status.SKIPPED)
        + (pc.sum(pc.is_in(wanted, value_set=rejected)).as_py() or 0),
        failures=_count(recordings, Status.FAILED) + len(pc.unique(failed_scenes)),
    )


def outcomes(lake: Lake, objects: Iterable[AudioObject], digests: Digests) -> list[dict[str, Any]]:
    """A row for each of these objects that has an outcome, failures first, for people to read."""
    recordings, _ = _mine(lake, objects, digests)
    ids = pc.unique(recordings["recording_id"].combine_chunks().drop_null())
    images = lake.images.read(["recording_id"], drawn(digests) & pc.field("recording_id").isin(ids))
    counted = images.group_by("recording_id").aggregate([("recording_id", "count")]).to_pylist()
    pictures = {row["recording_id"]: row["recording_id_count"] for row in counted}
    rows = [
        {
            "recording": row["source_uri"],
            "outcome": row["status"],
            "why": row["reason"] or (f"damaged: {row['damage']}" if row["damage"] else ""),
            "length": _clock(row["duration_s"]),
            "scenes": row["scenes"],
            "images": pictures.get(row["recording_id"], 0),
        }
        for row in recordings.to_pylist()
    ]
    order = {Status.FAILED.value: 0, Status.SKIPPED.value: 1, Status.OK.value: 2}
    return sorted(rows, key=lambda row: (order[row["outcome"]], row["recording"]))


def overview(lake: Lake) -> Overview:
    """Everything in the destination of the lake, by run, with the failures that still stand."""
    recordings = lake.recordings.read(["source_uri", "status", "damage", "run_id", "created_at"])
    scenes = lake.scenes.read(["scene_id", "status", "run_id", "created_at"])
    images = lake.images.read(["image_id", "scene_id", "run_id", "created_at", "edit_id"])
    failures = lake.failures.read()
    standing = _standing(failures, recordings, images, lake)
    wanted = scenes.filter(pc.field("status") == Status.OK.value)
    skipped = pa.concat_tables(
        [table.filter(pc.field("status") == Status.SKIPPED.value).select(_RUN) for table in (recordings, scenes)]
    )
    counted = {
        "recordings": recordings,
        "scenes": wanted,
        "images": images.filter(pc.field("edit_id").is_null()),  # an edit is no run
        "skipped": skipped,
        "failures": failures,
    }
    return Overview(
        destination=lake.uri,
        totals=Totals(
            recordings=recordings.num_rows,
            scenes=wanted.num_rows,
            images=images.num_rows,
            skipped=skipped.num_rows,
            failures=len(standing),
        ),
        runs=_runs(counted),
        failures=standing,
        damaged=_damaged(recordings),
    )


_RUN = ["run_id", "created_at"]


def _runs(counted: dict[str, pa.Table]) -> list[RunRow]:
    """One row per run, the latest first."""
    runs: dict[str, dict[str, Any]] = {}
    for name, table in counted.items():
        grouped = table.select(_RUN).group_by("run_id").aggregate([("created_at", "min"), ("run_id", "count")])
        for row in grouped.to_pylist():
            run = runs.setdefault(row["run_id"], {"started_at": row["created_at_min"]})
            run[name] = row["run_id_count"]
            run["started_at"] = min(run["started_at"], row["created_at_min"])
    rows = [RunRow(run_id=run_id, **facts) for run_id, facts in runs.items()]
    return sorted(rows, key=lambda run: run.started_at, reverse=True)


def _standing(failures: pa.Table, recordings: pa.Table, images: pa.Table, lake: Lake) -> list[FailureRow]:
    # The latest outcome counts: a sound object may have been replaced by one that is not.
    rows = recordings.sort_by("created_at")
    last = dict(zip(*_columns(rows, "source_uri", "status"), strict=True))
    good = [uri for uri, status in last.items() if status != Status.FAILED.value]
    drawn = (name for column in ("image_id", "scene_id") for name in images[column].to_pylist())
    healed = {*good, *drawn} if failures.num_rows else set()
    latest: dict[str, dict[str, Any]] = {}
    for row in failures.sort_by("created_at").to_pylist():
        if row["subject"] not in healed:
            latest[row["subject"]] = row
    for subject in [subject for subject, row in latest.items() if row["stage"] == Stage.PUBLISH.value]:
        if _has_pack(lake, subject):
            del latest[subject]
    names = FailureRow.__dataclass_fields__
    return [FailureRow(**{name: row[name] for name in names}) for row in latest.values()]


def _has_pack(lake: Lake, subject: str) -> bool:
    """Whether a pack that could not be written, by its address, is there by now."""
    from s2i_core.packs.pack import MANIFEST

    bucket, folder = parse_uri(subject)
    return ObjectStore(lake.settings).head(bucket, f"{folder}{MANIFEST}") is not None


def _damaged(recordings: pa.Table) -> list[DamageRow]:
    latest: dict[str, str | None] = {}
    for row in recordings.sort_by("created_at").to_pylist():
        latest[row["source_uri"]] = row["damage"] if row["status"] != Status.FAILED.value else None
    return [DamageRow(uri, damage) for uri, damage in sorted(latest.items()) if damage]


def _mine(lake: Lake, objects: Iterable[AudioObject], digests: Digests) -> tuple[pa.Table, pc.Expression]:
    """The rows of `recordings` for these objects as they are now, and the filter for this model and these settings."""
    current = {(item.uri, item.etag) for item in objects}
    mine = planned(digests)
    columns = ["source_uri", "etag", "recording_id", "status", "reason", "retryable", "duration_s", "damage", "scenes"]
    recordings = lake.recordings.read(columns, mine)
    known = [pair in current for pair in zip(*_columns(recordings, "source_uri", "etag"), strict=True)]
    return recordings.filter(pa.array(known, pa.bool_())), mine


def shown(text: str) -> str:
    """A text made safe for a terminal, on one line: a key may hold newlines and control characters."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _columns(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]


def _count(table: pa.Table, status: Status) -> int:
    return int(table.filter(pc.field("status") == status.value).num_rows)
