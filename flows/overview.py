"""What is in a destination: counts, runs and failures, read from its tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s2i_core.config import RunConfig
from s2i_core.records import AudioObject, Status
from s2i_core.storage.tables import Lake


@dataclass(frozen=True)
class Totals:
    """What a set of recordings has come to.

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
    """A subject that has failed and has not succeeded since; the latest failure counts."""

    subject: str
    stage: str
    error: str
    message: str
    remedy: str
    retryable: bool
    run_id: str


@dataclass(frozen=True)
class DamageRow:
    """A recording that could be used, but not as it was meant to be: what is wrong, and where."""

    source_uri: str
    damage: str


@dataclass(frozen=True)
class Overview:
    """All of a destination, whatever the source, the model or the settings were."""

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
            | {
                "runs": runs,
                "failed": [asdict(failure) for failure in self.failures],
                "damaged": [asdict(one) for one in self.damaged],
            }
        )


def totals(lake: Lake, objects: Iterable[AudioObject], config: RunConfig, model_digest: str) -> Totals:
    """What these objects, as they are now, have come to with this model and these settings."""
    recordings, mine = _mine(lake, objects, config, model_digest)
    ids = pc.unique(recordings["recording_id"].combine_chunks().drop_null())
    scenes = lake.scenes.read(["scene_id", "status"], mine & pc.field("recording_id").isin(ids))
    wanted = scenes.filter(pc.field("status") == Status.OK.value)["scene_id"].combine_chunks()
    drawn = (pc.field("image_digest") == config.image_digest) & (pc.field("model_digest") == model_digest)
    images = lake.images.read(["scene_id"], drawn & pc.field("recording_id").isin(ids))["scene_id"].combine_chunks()
    images = images.filter(pc.is_in(images, value_set=wanted))
    missing = wanted.filter(pc.invert(pc.is_in(wanted, value_set=images)))
    failed_scenes = lake.failures.read(["scene_id"], pc.field("scene_id").isin(missing))["scene_id"]
    return Totals(
        recordings=recordings.num_rows,
        scenes=len(wanted),
        images=len(images),
        skipped=_count(recordings, Status.SKIPPED) + _count(scenes, Status.SKIPPED),
        failures=_count(recordings, Status.FAILED) + len(pc.unique(failed_scenes)),
    )


def outcomes(lake: Lake, objects: Iterable[AudioObject], config: RunConfig, model_digest: str) -> list[dict[str, Any]]:
    """A row for each of these objects that has an outcome, failures first, for people to read."""
    recordings, _ = _mine(lake, objects, config, model_digest)
    ids = pc.unique(recordings["recording_id"].combine_chunks().drop_null())
    drawn = (pc.field("image_digest") == config.image_digest) & (pc.field("model_digest") == model_digest)
    images = lake.images.read(["recording_id"], drawn & pc.field("recording_id").isin(ids))
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
    images = lake.images.read(["image_id", "scene_id", "run_id", "created_at"])
    failures = lake.failures.read()
    standing = _standing(failures, recordings, images)
    wanted = scenes.filter(pc.field("status") == Status.OK.value)
    skipped = pa.concat_tables(
        [table.filter(pc.field("status") == Status.SKIPPED.value).select(_RUN) for table in (recordings, scenes)]
    )
    counted = {
        "recordings": recordings,
        "scenes": wanted,
        "images": images,
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
    """One row a run, the latest first."""
    runs: dict[str, dict[str, Any]] = {}
    for name, table in counted.items():
        grouped = table.select(_RUN).group_by("run_id").aggregate([("created_at", "min"), ("run_id", "count")])
        for row in grouped.to_pylist():
            run = runs.setdefault(row["run_id"], {"started_at": row["created_at_min"]})
            run[name] = row["run_id_count"]
            run["started_at"] = min(run["started_at"], row["created_at_min"])
    rows = [RunRow(run_id=run_id, **facts) for run_id, facts in runs.items()]
    return sorted(rows, key=lambda run: run.started_at, reverse=True)


def _standing(failures: pa.Table, recordings: pa.Table, images: pa.Table) -> list[FailureRow]:
    good = recordings.filter(pc.field("status") != Status.FAILED.value)["source_uri"]
    drawn = (name for column in ("image_id", "scene_id") for name in images[column].to_pylist())
    healed = {*good.to_pylist(), *drawn} if failures.num_rows else set()
    latest: dict[str, dict[str, Any]] = {}
    for row in failures.sort_by("created_at").to_pylist():
        if row["subject"] not in healed:
            latest[row["subject"]] = row
    names = FailureRow.__dataclass_fields__
    return [FailureRow(**{name: row[name] for name in names}) for row in latest.values()]


def _damaged(recordings: pa.Table) -> list[DamageRow]:
    latest: dict[str, str | None] = {}
    for row in recordings.sort_by("created_at").to_pylist():
        latest[row["source_uri"]] = row["damage"] if row["status"] != Status.FAILED.value else None
    return [DamageRow(uri, damage) for uri, damage in sorted(latest.items()) if damage]


def _mine(
    lake: Lake, objects: Iterable[AudioObject], config: RunConfig, model_digest: str
) -> tuple[pa.Table, pc.Expression]:
    """The rows of `recordings` for these objects as they are now, and the filter for their model and settings."""
    current = {(item.uri, item.etag) for item in objects}
    mine = (pc.field("plan_digest") == config.plan_digest) & (pc.field("model_digest") == model_digest)
    columns = ["source_uri", "etag", "recording_id", "status", "reason", "duration_s", "damage", "scenes"]
    recordings = lake.recordings.read(columns, mine)
    known = [pair in current for pair in zip(*_columns(recordings, "source_uri", "etag"), strict=True)]
    return recordings.filter(pa.array(known, pa.bool_())), mine


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _columns(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]


def _count(table: pa.Table, status: Status) -> int:
    return int(table.filter(pc.field("status") == status.value).num_rows)
