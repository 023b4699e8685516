"""The job `plan`: recordings to scenes.

One row in is one recording. It is read, cut into utterances and embedded by the workers; the driver puts the
utterances together, plans the scenes, and commits them before the recording's own row. So a recording whose row is
there is complete, and a job that was killed is continued by running it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from ray.data import Dataset, from_arrow

from cluster import metrics
from cluster.jobs import rows
from cluster.jobs.assemble import Assembled, Assembler
from cluster.jobs.attempts import judged
from cluster.jobs.commit import Committer
from cluster.jobs.execute import StageCall, run
from cluster.jobs.limits import Budget
from cluster.jobs.report import Report, Watcher
from cluster.jobs.request import JobRequest, JobSummary, WorkerDied
from cluster.jobs.stages import Encode, Hear
from s2i_core import steps, tracing
from s2i_core.audio.listen import Heard
from s2i_core.identity import Digests, recording_id
from s2i_core.listing import Listing
from s2i_core.logs import Log
from s2i_core.records import AudioObject, Failure, Recording, Scene, Skip, Stage, Status, row
from s2i_core.storage.artifacts import join, run_key
from s2i_core.storage.objects import ObjectStore, archived
from s2i_core.storage.places import Place, parse_uri
from s2i_core.storage.tables import Lake, planned
from s2i_core.weights import digests

_ROWS_IN_A_BLOCK = 16
_BLOCKS_A_WORKER = 8
_ROWS_UNREAD = 10_000
"""In one commit, of what need not be read."""


@dataclass(frozen=True)
class Outcome:
    """What is committed for one recording, in one go."""

    recording: Recording
    scenes: list[Scene]
    failure: Failure | None

    @property
    def reason(self) -> str | None:
        """Why it was skipped, or the class of the error."""
        return self.failure.error if self.failure else self.recording.reason


def plan(request: JobRequest, watcher: Watcher | None = None) -> JobSummary:
    """Plan the recordings of `request.source` that have no outcome yet. The process is connected to Ray.

    Args:
        request: what to do.
        watcher: called with the progress, at least every 2 s while something moves.

    Raises:
        StorageError: a bucket, the login or a right is lacking; nothing was started.
        ModelError: there is no checkpoint; nothing was started.
        RowsLost: a fault in s2i.
    """
    with tracing.span("job plan", {"s2i.run_id": request.run_id}, parent=request.traceparent):
        return _plan(request.model_copy(update={"traceparent": tracing.traceparent()}), watcher)


def _plan(request: JobRequest, watcher: Watcher | None) -> JobSummary:
    store = ObjectStore(request.store)
    source = Place.of(request.source)
    destination = parse_uri(request.destination)
    store.check_readable(source.bucket, source.name)
    store.check_writable(*destination)
    request = request.within_limits()
    names = digests(request.config)
    lake = Lake(request.store, request.destination)
    job = _Plan(request, lake, names)

    listing = Listing(store, source, request.config.source)
    recordings = list(listing)
    unplanned = lake.unplanned(recordings, names, retry_failed=request.retry_failed)
    # What AWS lists as archived need not be asked for, and takes no place from what can be read.
    waiting = [each for each in unplanned if each.archived and request.store.on_aws][: request.limit]
    pending = [each for each in unplanned if not (each.archived and request.store.on_aws)][: request.limit]

    job.log.info("job began", recordings=len(pending), unchanged=len(recordings) - len(unplanned))
    report = Report("plan", len(pending) + len(waiting), watcher)
    at_once = request.config.resources.model_copy(update={"commit_rows": _ROWS_UNREAD})
    with Committer(job.commit, at_once) as committer:
        for each in waiting:
            outcome = job.archived(each)
            committer.add(outcome)
            report.count(Status.FAILED, outcome.reason)
            job.tell(outcome)
            report.tell()
    with Committer(job.commit, request.config.resources) as committer:
        for outcome in job.outcomes(pending, report):
            committer.add(outcome)
            report.count(Status(outcome.recording.status), outcome.reason)
            job.tell(outcome)
            report.tell()
    report.close(job.left)
    summary = JobSummary(
        job="plan",
        run_id=request.run_id,
        rows_in=report.total,
        ok=report.of(Status.OK),
        skipped=report.of(Status.SKIPPED),
        failed=report.of(Status.FAILED),
        **job.budget.facts(job.left),
        scenes=job.scenes,
        unchanged=len(recordings) - len(unplanned),
        listed=listing.listed,
        left_out=listing.left_out.count,
        audio_s=job.audio_s,
        nodes=report.nodes,
        **names.named(),
        elapsed_s=report.elapsed_s,
    )
    key = join(destination[1], run_key(request.run_id, "plan.json"))
    store.put(destination[0], key, summary.model_dump_json(indent=2).encode(), "application/json")
    job.log.info("job ended", **summary.told())
    return summary


class _Plan:
    def __init__(self, request: JobRequest, lake: Lake, digests: Digests) -> None:
        self.scenes = 0
        self.audio_s = 0.0
        self.left = 0
        self.budget = Budget(request.config.limits)
        self.log = Log("jobs", job="plan", run_id=request.run_id)
        self._request = request
        self._config = request.config
        self._lake = lake
        self._digests = digests
        self._planned: set[str] = set()
        self._failed_before: Mapping[str, int] = {}

    def outcomes(self, pending: Sequence[AudioObject], report: Report) -> Iterator[Outcome]:
        """One for each of the recordings, in the order in which they are ready; fewer where the budget is spent."""
        if not pending:
            return
        self._planned = self._planned_before()
        self._failed_before = self._lake.failed_runs()
        assembler = Assembler(dict(enumerate(pending)))
        pools = self._config.resources
        stages = [
            StageCall(Hear, (self._request,), pools.decode),
            StageCall(Encode, (self._request, self._digests.encoder), pools.encode),
        ]
        dataset = self._dataset(assembler.missing)
        for encoded in run(dataset, assembler.missing, stages, pools, self.budget, log=self.log):
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
            yield self._failed(source, self._failure(error, source, Stage.DECODE, 2 * pools.max_attempts), None)

    def archived(self, source: AudioObject) -> Outcome:
        """Of a recording that the listing tells to be in an archive."""
        return self._failed(source, self._failure(archived(source.uri, source.archived), source, Stage.LIST, 1), None)

    def tell(self, outcome: Outcome) -> None:
        """The outcome of one recording, for the log."""
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

    def commit(self, outcomes: list[Outcome]) -> None:
        """Scenes first, the recording's row last: where it is, all the rest is."""
        self._lake.scenes.merge([row(scene) for outcome in outcomes for scene in outcome.scenes])
        self._lake.failures.merge([row(outcome.failure) for outcome in outcomes if outcome.failure])
        self._lake.recordings.upsert([row(outcome.recording) for outcome in outcomes])
        for table in self._lake.tables.values():
            table.tidy(self._config.resources.compact_files)

    def _planned_before(self) -> set[str]:
        """Ids of the recordings that have their scenes, or were found to have none."""
        mine = planned(self._digests)
        done = self._lake.recordings.read(["recording_id"], mine & (pc.field("status") != Status.FAILED.value))
        return {each for each in done["recording_id"].to_pylist() if each is not None}

    def _dataset(self, missing: dict[int, AudioObject]) -> Callable[[bool], Dataset]:
        return lambda alone: from_arrow(list(self._blocks(missing, alone)))

    def _blocks(self, sources: dict[int, AudioObject], alone: bool) -> Iterator[pa.Table]:
        numbers = list(sources)
        share = len(numbers) // (_BLOCKS_A_WORKER * self._config.resources.decode.maximum)
        size = 1 if alone else max(1, min(_ROWS_IN_A_BLOCK, share))
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            yield rows.table(
                [
                    {"row": number, **{name: getattr(sources[number], name) for name in rows.OBJECTS.names[1:]}}
                    for number in some
                ],
                rows.OBJECTS,
            )

    def _outcome(self, assembled: Assembled) -> Outcome:
        source, heard = assembled.source, assembled.heard
        if assembled.failure is not None:
            return self._failed(source, assembled.failure, heard)
        assert heard is not None
        recording = recording_id(heard.sha256)
        self.audio_s += heard.duration_s
        metrics.audio(heard.duration_s)
        if recording in self._planned:
            made = self._recording(source, heard, [], status=Status.SKIPPED, reason=Skip.DUPLICATE.value)
            return Outcome(made, [], None)
        try:
            scenes = steps.plan(
                assembled.utterances,
                heard.gaps,
                self._config,
                recording_id=recording,
                encoder_digest=self._digests.encoder,
                run_id=self._request.run_id,
            )
        except Exception as error:  # noqa: BLE001 -- this recording's outcome, not the run's
            return self._failed(source, self._failure(error, source, Stage.PLAN, 1), heard)
        self._planned.add(recording)
        made = self._recording(source, heard, scenes)
        self.scenes += made.scenes
        return Outcome(made, scenes, None)

    def _failed(self, source: AudioObject, failure: Failure, heard: Heard | None) -> Outcome:
        recording = None if heard is None else recording_id(heard.sha256)
        failure = judged(failure, self._failed_before.get(source.uri, 0), self._config.resources)
        made = self._recording(
            source, heard, [], status=Status.FAILED, reason=failure.message, retryable=failure.retryable
        )
        return Outcome(made, [], replace(failure, subject=source.uri, recording_id=recording))

    def _failure(self, error: Exception, source: AudioObject, stage: Stage, attempts: int) -> Failure:
        return Failure.of(error, subject=source.uri, stage=stage, run_id=self._request.run_id, attempts=attempts)

    def _recording(
        self, source: AudioObject, heard: Heard | None, scenes: Sequence[Scene], **outcome: Any
    ) -> Recording:
        return steps.recording_row(
            source.uri,
            source.etag,
            source.size_bytes,
            heard,
            scenes,
            encoder_digest=self._digests.encoder,
            plan_digest=self._digests.plan,
            run_id=self._request.run_id,
            **outcome,
        )
