"""The job `plan`: recordings to scenes.

One input row is one recording. It is read, cut into utterances and embedded by the workers; the driver puts the
utterances together, plans the scenes, and commits them before the recording's own row. So a recording whose row
exists is complete, and a job that was killed is continued by running it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from ray.data import Dataset, from_arrow

from cluster import metrics
from cluster.jobs import rows
from cluster.jobs.assemble import Assembled, Assembler
from cluster.jobs.driver import Job, drive
from cluster.jobs.execute import StageCall, run
from cluster.jobs.report import Report, Watcher
from cluster.jobs.request import JobRequest, JobSummary, WorkerDied
from cluster.jobs.stages import Decode, Encode
from s2i_core import steps
from s2i_core.audio.listen import Heard
from s2i_core.config import ResourceConfig
from s2i_core.identity import recording_id
from s2i_core.listing import Listed, Listing
from s2i_core.records import AudioObject, Failure, HeardThing, Recording, Scene, Skip, Stage, Status, row
from s2i_core.storage.artifacts import join
from s2i_core.storage.objects import archived
from s2i_core.storage.places import Place
from s2i_core.storage.tables import planned

_ROWS_PER_BLOCK = 16
_BLOCKS_PER_WORKER = 8
_ROWS_UNREAD = 10_000
"""Rows per commit of recordings that need not be read."""


@dataclass(frozen=True)
class PlannedRecording:
    """What is committed for one recording, in one go."""

    recording: Recording
    scenes: list[Scene]
    failure: Failure | None
    things: list[HeardThing] = field(default_factory=list)

    @property
    def reason(self) -> str | None:
        """Why it was skipped, or the class of the error."""
        return self.failure.error if self.failure else self.recording.reason


def plan(request: JobRequest, watcher: Watcher | None = None, listed: Listed | None = None) -> JobSummary:
    """Plan the recordings of `request.source` that have no outcome yet; see `drive`.

    Args:
        listed: the listing of the source, if this process has one; otherwise it is read as the request says, or made.
    """
    return drive(_Plan, request, watcher, listed=listed)


class _Plan(Job[PlannedRecording]):
    name = "plan"

    def __init__(self, request: JobRequest, listed: Listed | None) -> None:
        super().__init__(request)
        self._given = listed
        self._scenes = 0
        self._audio_s = 0.0
        self._pending: list[AudioObject] = []
        self._archived: list[AudioObject] = []
        self._planned: set[str] = set()

    def check(self, request: JobRequest) -> None:
        """Fail now if the source cannot be listed."""
        self._source = Place.of(request.source)
        self.store.check_readable(self._source.bucket, self._source.name)

    def find(self) -> int:
        """Take the listing of the source, and leave out what already has an outcome."""
        listed = self._listed()
        self._counted = {"listed": listed.listed, "left_out": listed.left_out.count}
        unplanned = self.lake.unplanned(listed, self.digests, retry_failed=self.request.retry_failed)
        self._unchanged = len(listed) - len(unplanned)
        # What AWS lists as archived is not requested, and does not count towards the limit of what can be read.
        on_aws, limit = self.request.store.on_aws, self.request.limit
        self._archived = [each for each in unplanned if each.archived and on_aws][:limit]
        self._pending = [each for each in unplanned if not (each.archived and on_aws)][:limit]
        self.log.info("job began", recordings=len(self._pending), unchanged=self._unchanged)
        return len(self._archived) + len(self._pending)

    def _listed(self) -> Listed:
        if self._given is not None:
            return self._given
        if self.request.listing is not None:
            return Listed.from_parquet(self.store.get(self._bucket, join(self._prefix, self.request.listing)))
        return Listing(self.store, self._source, self.config.source).complete()

    def portions(self, report: Report) -> Iterator[tuple[Iterable[PlannedRecording], ResourceConfig]]:
        """First what is archived, in a few large commits: none of it is read."""
        at_once = self.config.resources.model_copy(update={"commit_rows": _ROWS_UNREAD})
        yield (self.archived(each) for each in self._archived), at_once
        yield from super().portions(report)

    def outcomes(self, report: Report) -> Iterator[PlannedRecording]:
        """One outcome per recording, in the order in which they are ready; fewer if the budget is spent."""
        if not self._pending:
            return
        self._planned = self._planned_before()
        assembler = Assembler(dict(enumerate(self._pending)))
        resources = self.config.resources
        stages = [
            StageCall.of(Decode, resources, self.request),
            StageCall.of(Encode, resources, self.request, self.digests.encoder),
        ]
        dataset = self._dataset(assembler.missing)
        for encoded in run(dataset, assembler.missing, stages, resources, self.budget, log=self.log):
            report.count_nodes(encoded["node"])
            report.utterances += encoded["end"].null_count
            for assembled in assembler.add(encoded):
                yield self._outcome(assembled)
            report.tell()
        if self.budget.spent:
            self.left = len(assembler.missing)
            return
        for source in list(assembler.missing.values()):
            error = WorkerDied(
                source.uri,
                "the worker process died or gave no answer every time that this was tried",
                "See Ray's logs: if memory ran out, give the pools memory_bytes; else the file crashes its decoder.",
            )
            failure = self._failure(error, source, Stage.DECODE, 2 * resources.max_attempts)
            yield self._failed(source, self.limited(failure, source.uri), None)

    def status(self, outcome: PlannedRecording) -> tuple[Status, str | None]:
        """As in the recording's row."""
        return Status(outcome.recording.status), outcome.reason

    def facts(self) -> dict[str, Any]:
        """What was listed, read and planned."""
        return {
            "scenes": self._scenes,
            "unchanged": self._unchanged,
            **self._counted,
            "audio_s": self._audio_s,
        }

    def archived(self, source: AudioObject) -> PlannedRecording:
        """The outcome of a recording that lies in an archive, according to the listing: every run tries it again."""
        return self._failed(source, self._failure(archived(source.uri, source.archived), source, Stage.LIST, 1), None)

    def tell(self, outcome: PlannedRecording) -> None:
        """Log the outcome of one recording."""
        made, failure = outcome.recording, outcome.failure
        write = self.log.info if failure is None else self.log.warning
        write(
            f"recording {made.status}",
            recording_id=made.recording_id,
            source_uri=made.source_uri,
            reason=outcome.reason,
            scenes=made.scenes,
            duration_s=made.duration_s,
            stage=None if failure is None else failure.stage,
            error=None if failure is None else failure.message,
        )

    def commit(self, outcomes: list[PlannedRecording]) -> None:
        """Scenes and things first, the recording's row last: where that exists, everything else does."""
        self.lake.scenes.merge([row(scene) for outcome in outcomes for scene in outcome.scenes])
        self.lake.things.merge([row(thing) for outcome in outcomes for thing in outcome.things])
        self.lake.failures.merge([row(outcome.failure) for outcome in outcomes if outcome.failure])
        self.lake.recordings.upsert([row(outcome.recording) for outcome in outcomes])
        for table in self.lake.tables.values():
            table.tidy(self.config.resources.compact_files)

    def _planned_before(self) -> set[str]:
        """Ids of the recordings whose scenes were planned, or that were found to have none."""
        mine = planned(self.digests)
        done = self.lake.recordings.read(["recording_id"], mine & (pc.field("status") != Status.FAILED.value))
        return {each for each in done["recording_id"].to_pylist() if each is not None}

    def _dataset(self, missing: dict[int, AudioObject]) -> Callable[[bool], Dataset]:
        return lambda alone: from_arrow(list(self._blocks(missing, alone)))

    def _blocks(self, sources: dict[int, AudioObject], alone: bool) -> Iterator[pa.Table]:
        numbers = list(sources)
        share = len(numbers) // (_BLOCKS_PER_WORKER * self.config.resources.decode.maximum)
        size = 1 if alone else max(1, min(_ROWS_PER_BLOCK, share))
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            yield rows.table(
                [
                    {"row": number, **{name: getattr(sources[number], name) for name in rows.OBJECTS.names[1:]}}
                    for number in some
                ],
                rows.OBJECTS,
            )

    def _outcome(self, assembled: Assembled) -> PlannedRecording:
        source, heard = assembled.source, assembled.heard
        if assembled.failure is not None:
            return self._failed(source, self.limited(assembled.failure, source.uri), heard)
        assert heard is not None
        recording = recording_id(heard.sha256)
        self._audio_s += heard.duration_s
        metrics.audio(heard.duration_s)
        if recording in self._planned:
            made = self._recording(source, heard, [], status=Status.SKIPPED, reason=Skip.DUPLICATE.value)
            return PlannedRecording(made, [], None)
        try:
            scenes = steps.plan(
                assembled.utterances,
                heard.gaps,
                self.config,
                recording_id=recording,
                encoder_digest=self.digests.encoder,
                run_id=self.request.run_id,
            )
            things = steps.things_heard(assembled.utterances, scenes)
        except Exception as error:  # noqa: BLE001 -- this recording's outcome, not the run's
            failure = self._failure(error, source, Stage.PLAN, 1)
            return self._failed(source, self.limited(failure, source.uri), heard)
        self._planned.add(recording)
        made = self._recording(source, heard, scenes)
        self._scenes += made.scenes
        return PlannedRecording(made, scenes, None, things)

    def _failed(self, source: AudioObject, failure: Failure, heard: Heard | None) -> PlannedRecording:
        recording = None if heard is None else recording_id(heard.sha256)
        made = self._recording(
            source, heard, [], status=Status.FAILED, reason=failure.message, retryable=failure.retryable
        )
        return PlannedRecording(made, [], replace(failure, subject=source.uri, recording_id=recording))

    def _failure(self, error: Exception, source: AudioObject, stage: Stage, attempts: int) -> Failure:
        return Failure.of(error, subject=source.uri, stage=stage, run_id=self.request.run_id, attempts=attempts)

    def _recording(
        self, source: AudioObject, heard: Heard | None, scenes: Sequence[Scene], **outcome: Any
    ) -> Recording:
        return steps.recording_row(
            source.uri,
            source.etag,
            source.size_bytes,
            heard,
            scenes,
            encoder_digest=self.digests.encoder,
            plan_digest=self.digests.plan,
            run_id=self.request.run_id,
            **outcome,
        )
