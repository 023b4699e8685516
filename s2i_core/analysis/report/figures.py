"""The figures of a report, from a destination's tables and the summaries of its runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc

from s2i_core.analysis.database import Database
from s2i_core.analysis.drift import MOST, MOST_VECTORS, Moved, Sample, moved
from s2i_core.errors import ConfigError, ObjectGone
from s2i_core.storage.artifacts import join, run_key
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake

MOST_RUNS = 60
"""Runs that are told apart; of a month with more, the days are."""
RUNS_BEFORE = 29
"""Runs beside which one is seen."""
THINGS = 12
_SURE = 0.6
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_LONGEST_MESSAGE = 160
DRIFT_FILE = "drift.json"
"""What a run found of its reference recordings, under `runs/<run_id>/`."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Column:
    """A run, or a day, in a report: what it did."""

    name: str
    started_at: datetime
    recordings: dict[str, int] = field(default_factory=dict)
    """By status: `ok`, `skipped`, `failed`."""
    audio_s: float = 0.0
    """Of the recordings that it planned."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Of the scenes that it planned: `to draw`, or the reason why there is no picture."""
    confidence: tuple[float, float, float] | None = None
    """Of these scenes that get a picture: the 10th, 50th and 90th percentile."""
    pictures: int = 0
    compute_s: float = 0.0
    """Time that drawing them took, by the pictures' own rows."""
    bytes: int = 0
    similarity: tuple[float, float, float] | None = None
    """Of the pictures: the 10th, 50th and 90th percentile."""
    elapsed_s: float | None = None
    """By the summaries of the runs, as what follows; none where no run came to its end."""
    cpu_s: float | None = None
    gpu_s: float | None = None
    cost: float | None = None

    @property
    def pictures_per_minute(self) -> float | None:
        """Of the run's own time."""
        return 60 * self.pictures / self.elapsed_s if self.elapsed_s and self.pictures else None

    @property
    def audio_per_hour(self) -> float | None:
        """Hours of recordings planned in an hour of the run."""
        return self.audio_s / self.elapsed_s if self.elapsed_s and self.audio_s else None

    @property
    def cpu_per_audio(self) -> float | None:
        """CPU-hours that workers held for an hour of audio."""
        return self.cpu_s / self.audio_s if self.cpu_s and self.audio_s else None

    @property
    def gpu_per_audio(self) -> float | None:
        """GPU-hours that workers held for an hour of audio."""
        return self.gpu_s / self.audio_s if self.gpu_s and self.audio_s else None

    @property
    def cost_per_audio(self) -> float | None:
        """What an hour of audio cost, at the prices of the run's limits."""
        return 3600 * self.cost / self.audio_s if self.cost and self.audio_s else None


@dataclass(frozen=True)
class ThingRow:
    """A thing, and how often it was named, by column."""

    thing: str
    times: int
    by_column: list[int]


@dataclass(frozen=True)
class FaultRow:
    """Failures of one kind: how many things failed so, and of how many that still stands."""

    stage: str
    error: str
    subjects: int
    standing: int
    message: str
    remedy: str

    @property
    def example(self) -> str:
        """One of them, in a line."""
        return f"{self.message}. {self.remedy}"


@dataclass(frozen=True)
class Reference:
    """What a run found of its reference recordings, as the flow wrote it down.

    Attributes:
        at: when, in ISO 8601.
        baseline: the run that it is compared with; None for the first.
        scenes: of the reference.
        bound: of the distance, past which nothing is published.
        published: whether it was not passed, or was accepted.
    """

    run_id: str
    at: str
    baseline: str | None
    scenes: int
    moved: list[Moved]
    bound: float
    published: bool
    accepted: bool = False

    @classmethod
    def read(cls, data: bytes) -> Reference:
        """From the file that a run wrote.

        Raises:
            ValueError: it is none.
        """
        facts = json.loads(data)
        try:
            found = [Moved(**{name: each[name] for name in Moved.__dataclass_fields__}) for each in facts.pop("moved")]
            return cls(moved=found, **facts)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is not what a run found of its reference ({error})") from error

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"moved": [each.plain() for each in self.moved]}


@dataclass(frozen=True)
class Figures:
    """Everything that a report says.

    Attributes:
        name: the month as `2026-11`, or the run.
        by: what its columns are, `run` or `day`.
        columns: in order of time.
        newest: how far the scenes of the last column are from those of the others; empty where there is nothing to
            compare with. Recordings differ in what they are about, so this tells of the content too.
        samples: the two that were compared, for the plots.
        references: of the runs that heard reference recordings anew, in order of time.
    """

    destination: str
    name: str
    title: str
    by: Literal["run", "day"]
    columns: list[Column]
    things: list[ThingRow]
    failures: list[FaultRow]
    newest: list[Moved]
    samples: tuple[Sample, Sample] | None
    references: list[Reference]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        names = ("pictures_per_minute", "audio_per_hour", "cpu_per_audio", "gpu_per_audio", "cost_per_audio")
        return {
            "destination": self.destination,
            "name": self.name,
            "by": self.by,
            "columns": [
                asdict(each)
                | {"started_at": each.started_at.isoformat()}
                | {name: getattr(each, name) for name in names}
                for each in self.columns
            ],
            "things": [asdict(each) for each in self.things],
            "failures": [asdict(each) for each in self.failures],
            "newest": [each.plain() for each in self.newest],
            "references": [each.plain() for each in self.references],
        }


@dataclass(frozen=True)
class Period:
    """What a report is of: rows written from `since` to before `until`; of one run, up to that run's last."""

    name: str
    title: str
    since: datetime
    until: datetime
    runs: list[str]
    """In order of time."""

    @property
    def condition(self) -> str:
        """As SQL, on a table's own rows."""
        since, until = (f"TIMESTAMPTZ '{each.isoformat()}'" for each in (self.since, self.until))
        return f"created_at >= {since} AND created_at < {until}"


def runs_of(database: Database) -> dict[str, tuple[datetime, datetime]]:
    """Every run that has left rows, in order of time: when it wrote its first and its last."""
    rows = _asked(
        database,
        """
        SELECT run_id, min(first) AS first, max(last) AS last FROM (
            SELECT run_id, min(created_at) AS first, max(created_at) AS last FROM recordings GROUP BY run_id
            UNION ALL SELECT run_id, min(created_at), max(created_at) FROM images WHERE edit_id IS NULL GROUP BY run_id
            UNION ALL SELECT run_id, min(created_at), max(created_at) FROM failures GROUP BY run_id
        ) GROUP BY run_id ORDER BY first, run_id
        """,
    )
    return {row["run_id"]: (row["first"], row["last"]) for row in rows}


def period(database: Database, wanted: str | None) -> Period:
    """The time that a report is of.

    Args:
        wanted: a month such as `2026-11`, or the id of a run, which is seen beside those before it; None for the month
            of the newest run.

    Raises:
        ConfigError: there is no such run, or none in that month.
    """
    runs = runs_of(database)
    if not runs:
        remedy = "Fill it first: s2i run s3://archive/talks s3://pictures/talks"
        raise ConfigError(database.uri, "no run has left anything in it", remedy)
    names = list(runs)
    if wanted is None:
        wanted = f"{runs[names[-1]][0]:%Y-%m}"
    if (month := _MONTH.fullmatch(wanted)) is not None:
        since = datetime(int(month[1]), int(month[2]), 1, tzinfo=UTC)
        until = (since + timedelta(days=32)).replace(day=1)
        inside = [name for name, (first, last) in runs.items() if last >= since and first < until]
        if not inside:
            some = sorted({f"{first:%Y-%m}" for first, _ in runs.values()})
            raise ConfigError(f"the month {wanted}", "no run wrote anything in it", f"There are {', '.join(some)}.")
        return Period(wanted, f"{since:%B %Y}", since, until, inside)
    if wanted not in runs:
        remedy = f"Name a month as 2026-11, or a run such as {names[-1]}; s2i status lists them."
        raise ConfigError(f"the run {wanted!r}", "there is none of that name", remedy)
    place = names.index(wanted)
    inside = names[max(0, place - RUNS_BEFORE) : place + 1]
    until = max(runs[name][1] for name in inside) + timedelta(microseconds=1)
    return Period(wanted, f"Run {wanted}", runs[inside[0]][0], until, inside)


def figures(lake: Lake, database: Database, wanted: str | None = None, tell: Tell = lambda _: None) -> Figures:
    """What there is to report.

    Args:
        lake: the destination's tables, from which vectors are read.
        database: over the same tables.
        wanted: a month, or a run; see `period`.
        tell: is told what is done.

    Raises:
        ConfigError: there is no such run or month.
    """
    tell("Look for runs")
    when = period(database, wanted)
    by: Literal["run", "day"] = "run" if len(when.runs) <= MOST_RUNS else "day"
    reading = _Reading(lake, database, when, by)
    tell("Count what runs did")
    columns = reading.columns()
    tell("Count things")
    things = reading.things([each.name for each in columns])
    failures = reading.failures()
    tell("Compare scenes")
    samples = reading.samples(columns)
    return Figures(
        destination=lake.uri,
        name=when.name,
        title=when.title,
        by=by,
        columns=columns,
        things=things,
        failures=failures,
        newest=moved(*samples) if samples else [],
        samples=samples,
        references=reading.references(),
    )


class _Reading:
    def __init__(self, lake: Lake, database: Database, when: Period, by: Literal["run", "day"]) -> None:
        self._lake = lake
        self._database = database
        self._when = when
        self._by = by
        self._name = "run_id" if by == "run" else "strftime(created_at, '%Y-%m-%d')"
        self._store = ObjectStore(lake.settings)
        self._bucket, self._prefix = parse_uri(lake.uri)

    def columns(self) -> list[Column]:
        facts: dict[str, dict[str, Any]] = {}
        for row in self._grouped("recordings", "status, count(*) AS n, sum(duration_s) AS audio_s", ", status"):
            one = self._of(facts, row)
            one.setdefault("recordings", {})[row["status"]] = row["n"]
            one["audio_s"] = one.get("audio_s", 0.0) + (row["audio_s"] or 0.0)
        for row in self._grouped("scenes", f"{_WHAT} AS what, sum(end_s - start_s) AS seconds", f", {_WHAT}"):
            self._of(facts, row).setdefault("seconds", {})[row["what"]] = row["seconds"]
        for row in self._grouped("scenes", "approx_quantile(confidence, [0.1, 0.5, 0.9]) AS q", where="status = 'ok'"):
            self._of(facts, row)["confidence"] = _rounded(row["q"])
        told = """count(*) AS pictures, sum(compute_ms) / 1000 AS compute_s, sum(size_bytes) AS bytes,
            approx_quantile(similarity, [0.1, 0.5, 0.9]) AS q"""
        for row in self._grouped("images", told, where="edit_id IS NULL"):  # an edit is no run
            one = self._of(facts, row)
            one |= {"pictures": row["pictures"], "compute_s": row["compute_s"], "bytes": int(row["bytes"])}
            one["similarity"] = _rounded(row["q"])
        for row in self._grouped("failures", "count(*) AS n"):
            self._of(facts, row)
        for name, more in self._summaries().items():
            if name in facts:
                facts[name] |= more
        made = [Column(name=name, **each) for name, each in facts.items()]
        return sorted(made, key=lambda each: (each.started_at, each.name))

    def _of(self, facts: dict[str, dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
        one = facts.setdefault(row["name"], {"started_at": row["first"]})
        one["started_at"] = min(one["started_at"], row["first"])
        return one

    def _grouped(self, table: str, told: str, by: str = "", where: str = "true") -> list[dict[str, Any]]:
        return _asked(
            self._database,
            f"""
            SELECT {self._name} AS name, min(created_at) AS first, {told} FROM {table}
            WHERE {self._when.condition} AND {where} GROUP BY {self._name}{by}
            """,
        )

    def _summaries(self) -> dict[str, dict[str, float]]:
        """Times and costs by column, of the runs that came to their end."""
        found: dict[str, dict[str, float]] = {}
        for run in self._when.runs:
            facts = self._document(run, "summary.json")
            if facts is None or not isinstance(facts.get("jobs"), list):
                continue
            name = run if self._by == "run" else str(facts.get("started_at"))[:10]
            one = found.setdefault(name, dict.fromkeys(("elapsed_s", "cpu_s", "gpu_s", "cost"), 0.0))
            one["elapsed_s"] += _number(facts.get("elapsed_s"))
            for figure in ("cpu_s", "gpu_s", "cost"):
                one[figure] += sum(_number(job.get(figure)) for job in facts["jobs"] if isinstance(job, dict))
        return found

    def _document(self, run: str, name: str) -> dict[str, Any] | None:
        try:
            facts = json.loads(self._store.get(self._bucket, join(self._prefix, run_key(run, name))))
        except (ObjectGone, ValueError):
            return None
        return facts if isinstance(facts, dict) else None

    def things(self, names: Sequence[str]) -> list[ThingRow]:
        rows = _asked(
            self._database,
            f"""
            WITH named AS (
                SELECT {self._name} AS name, thing, count(*) AS n FROM things
                WHERE {self._when.condition} AND confidence >= {_SURE} GROUP BY ALL
            ), most AS (
                SELECT thing, sum(n) AS times FROM named GROUP BY thing ORDER BY times DESC, thing LIMIT {THINGS}
            )
            SELECT name, thing, n, times FROM named JOIN most USING (thing)
            """,
        )
        found: dict[str, ThingRow] = {}
        for row in rows:
            one = found.setdefault(row["thing"], ThingRow(row["thing"], int(row["times"]), [0] * len(names)))
            if row["name"] in names:
                one.by_column[names.index(row["name"])] = row["n"]
        return sorted(found.values(), key=lambda each: (-each.times, each.thing))

    def failures(self) -> list[FaultRow]:
        rows = _asked(
            self._database,
            f"""
            WITH fallen AS (SELECT * FROM failures WHERE {self._when.condition})
            SELECT stage, error, count(DISTINCT subject) AS subjects,
                   count(DISTINCT subject) FILTER (
                       WHERE scene_id NOT IN (SELECT scene_id FROM images)
                          OR (scene_id IS NULL
                              AND subject NOT IN (SELECT source_uri FROM latest WHERE status <> 'failed'))
                   ) AS standing,
                   arg_min(message, subject) AS message, arg_min(remedy, subject) AS remedy
            FROM fallen GROUP BY stage, error ORDER BY subjects DESC, stage, error
            """,
        )
        return [FaultRow(**(row | {"message": row["message"][:_LONGEST_MESSAGE]})) for row in rows]

    def samples(self, columns: Sequence[Column]) -> tuple[Sample, Sample] | None:
        """Scenes of the newest column, and of the others together; None where one of the two has none."""
        planned = [each.name for each in columns if each.confidence is not None]
        if len(planned) < 2:
            return None
        rows = _asked(
            self._database,
            f"""
            WITH mine AS (
                SELECT scene_id, confidence, {self._name} = '{_quoted(planned[-1])}' AS newest,
                       row_number() OVER (PARTITION BY newest ORDER BY md5(scene_id)) AS place
                FROM scenes WHERE {self._when.condition} AND status = 'ok'
            ), few AS (SELECT * FROM mine WHERE place <= {MOST})
            SELECT f.scene_id, f.newest, f.place, any_value(f.confidence) AS confidence,
                   any_value(i.similarity) AS similarity
            FROM few AS f LEFT JOIN images AS i ON i.scene_id = f.scene_id AND i.edit_id IS NULL
            GROUP BY f.scene_id, f.newest, f.place ORDER BY f.newest, f.place
            """,
        )
        vectors = self._vectors([row["scene_id"] for row in rows if row["place"] <= MOST_VECTORS])
        made = []
        for newest in (False, True):
            chosen = [row for row in rows if row["newest"] == newest]
            own = [vectors[row["scene_id"]] for row in chosen if row["scene_id"] in vectors]
            widths = {len(each) for each in own}
            if len(widths) != 1:
                return None
            made.append(
                Sample(
                    np.stack(own),
                    np.array([row["confidence"] for row in chosen], np.float64),
                    np.array([_or_nan(row["similarity"]) for row in chosen], np.float64),
                )
            )
        return made[0], made[1]

    def _vectors(self, scene_ids: Sequence[str]) -> dict[str, np.ndarray]:
        wanted = pc.field("scene_id").isin(sorted(scene_ids)) & pc.field("run_id").isin(self._when.runs)
        return {
            name: np.asarray(vector, np.float32)
            for batch in self._lake.scenes.batches(["scene_id", "pooled"], wanted)
            for name, vector in zip(batch["scene_id"].to_pylist(), batch["pooled"].to_pylist(), strict=True)
        }

    def references(self) -> list[Reference]:
        """Of this time; also those of runs that made nothing because of what they found."""
        found = []
        for item in self._store.list(self._bucket, join(self._prefix, "runs") + "/"):
            if not item.key.endswith(f"/{DRIFT_FILE}"):
                continue
            try:
                one = Reference.read(self._store.get(self._bucket, item.key))
                inside = self._when.since <= datetime.fromisoformat(one.at) < self._when.until
            except ObjectGone:
                continue
            except (ValueError, TypeError) as error:
                raise ConfigError(item.uri, str(error), "Delete it, or bring back what the run wrote.") from error
            if inside:
                found.append(one)
        return sorted(found, key=lambda one: (one.at, one.run_id))


_WHAT = "CASE WHEN status = 'ok' THEN 'to draw' ELSE coalesce(reason, status) END"


def _asked(database: Database, sql: str) -> list[dict[str, Any]]:
    with database.ask(sql) as answer:
        return list(answer.table().to_pylist())


def _rounded(values: Iterable[float]) -> tuple[float, float, float]:
    low, middle, high = (round(float(each), 4) for each in values)
    return low, middle, high


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _quoted(text: str) -> str:
    return text.replace("'", "''")
