"""The job `illustrate`: scenes to images.

One row in is one planned scene that has no image of these settings yet. The workers draw in batches and write the
image files; the driver commits the rows of `images`. An image counts as made only when its row is there; a file
without a row, left by a killed run, is adopted and not drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from ray.data import Dataset

from cluster import metrics
from cluster.jobs import pending as source
from cluster.jobs import rows
from cluster.jobs.attempts import judged
from cluster.jobs.commit import Committer
from cluster.jobs.execute import StageCall, run
from cluster.jobs.limits import Budget
from cluster.jobs.report import Report, Watcher
from cluster.jobs.request import JobRequest, JobSummary, WorkerDied
from cluster.jobs.stages import Draw
from s2i_core import tracing
from s2i_core.identity import Digests, image_id
from s2i_core.logs import Log
from s2i_core.records import IMAGES, Failure, Stage, Status, row
from s2i_core.storage.artifacts import join, run_key
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake
from s2i_core.weights import digests

_ROUND_ROWS = 200_000
"""Scenes that the driver keeps account of at a time: some hundred bytes each."""

Files = list[tuple[str, pa.Table]]
"""Data files of `scenes`, with the ids of the scenes in each that are to be drawn, and of their recordings."""


@dataclass(frozen=True)
class Outcome:
    """What is committed for one scene: a row of `images` (a table of one row), or a failure.

    `adopted`: the image was in the bucket already.
    """

    image: pa.Table | None
    failure: Failure | None
    adopted: bool = False


def illustrate(request: JobRequest, watcher: Watcher | None = None) -> JobSummary:
    """Draw the scenes of `request.destination` that have no image yet. The process is connected to Ray.

    Args:
        request: what to do; `limit` does not count here.
        watcher: called with the progress, at least every 2 s while something moves.

    Raises:
        StorageError: the bucket, the login or a right is lacking; nothing was started.
        ModelError: there is no checkpoint; nothing was started.
        RowsLost: a fault in s2i.
    """
    with tracing.span("job illustrate", {"s2i.run_id": request.run_id}, parent=request.traceparent):
        return _illustrate(request.model_copy(update={"traceparent": tracing.traceparent()}), watcher)


def _illustrate(request: JobRequest, watcher: Watcher | None) -> JobSummary:
    store = ObjectStore(request.store)
    bucket, prefix = parse_uri(request.destination)
    store.check_writable(bucket, prefix)
    request = request.within_limits()
    names = digests(request.config)
    job = _Illustrate(request, Lake(request.store, request.destination), names)
    pending = job.pending()

    job.log.info("job began", scenes=sum(scenes.num_rows for _, scenes in pending))
    report = Report("illustrate", sum(scenes.num_rows for _, scenes in pending), watcher)
    with Committer(job.commit, request.config.resources) as committer:
        for outcome in job.outcomes(pending, report):
            committer.add(outcome)
            job.tell(outcome)
            if outcome.failure is None:
                report.count(Status.OK)
            else:
                report.count(Status.FAILED, outcome.failure.error)
            report.tell()
    report.close(job.left)
    summary = JobSummary(
        job="illustrate",
        run_id=request.run_id,
        rows_in=report.total,
        ok=report.of(Status.OK),
        skipped=report.of(Status.SKIPPED),
        failed=report.of(Status.FAILED),
        **job.budget.facts(job.left),
        scenes=report.total,
        images=job.images,
        adopted=job.adopted,
        nodes=report.nodes,
        **names.named(),
        elapsed_s=report.elapsed_s,
    )
    key = join(prefix, run_key(request.run_id, "illustrate.json"))
    store.put(bucket, key, summary.model_dump_json(indent=2).encode(), "application/json")
    job.log.info("job ended", **summary.told())
    return summary


class _Illustrate:
    def __init__(self, request: JobRequest, lake: Lake, digests: Digests) -> None:
        self.images = 0
        self.adopted = 0
        self.left = 0
        self.budget = Budget(request.config.limits)
        self.log = Log("jobs", job="illustrate", run_id=request.run_id)
        self._request = request
        self._config = request.config
        self._lake = lake
        self._digests = digests
        self._failed_before: Mapping[str, int] = {}

    def pending(self) -> Files:
        """The scenes without an image."""
        return self._lake.unillustrated_files(self._digests, retry_failed=self._request.retry_failed)

    def outcomes(self, pending: Files, report: Report) -> Iterator[Outcome]:
        """One for each of the scenes, in the order in which they are ready; fewer where the budget is spent before."""
        self._failed_before = self._lake.failed_runs() if pending else {}
        for files in _rounds(pending):
            missing = {
                scene: recording
                for _, scenes in files
                for scene, recording in zip(*(scenes[name].to_pylist() for name in scenes.column_names), strict=True)
            }
            if not self.budget.spent:
                yield from self._round(files, missing, report)
            if self.budget.spent:
                self.left += len(missing)
                continue
            for scene, recording in missing.items():
                yield Outcome(None, self._judged(self._lost(scene, recording)))

    def _round(self, files: Files, missing: dict[str, str], report: Report) -> Iterator[Outcome]:
        """Outcomes of one portion of the scenes; takes them out of `missing`."""
        pools = self._config.resources
        size = pools.generate.batch_size
        paths = [(path, scenes["scene_id"].combine_chunks()) for path, scenes in files]
        bytes_a_block = source.block_bytes(self._lake.scenes, paths, size)

        def dataset(alone: bool) -> Dataset:
            left = pa.array(missing, pa.string())
            wanted = [(path, ids.filter(pc.is_in(ids, value_set=left))) for path, ids in paths]
            found = [(path, ids) for path, ids in wanted if len(ids)]
            return source.dataset(self._lake.scenes, found, 1 if alone else size)

        stages = [StageCall(Draw, (self._request, self._digests.decoder), pools.generate, concurrency=2)]
        for drawn in run(dataset, missing, stages, pools, self.budget, block_bytes=bytes_a_block, log=self.log):
            report.count_nodes(drawn["node"])
            for number in range(drawn.num_rows):
                one = drawn.slice(number, 1)
                if missing.pop(one["scene_id"][0].as_py(), None) is not None:
                    yield self._outcome(one)

    def _lost(self, scene: str, recording: str) -> Failure:
        error = WorkerDied(
            scene,
            "the worker process died or gave no answer every time that this was tried",
            "See Ray's logs: if memory ran out, use smaller batches or give the pool memory_bytes.",
        )
        return Failure.of(
            error,
            subject=image_id(scene, self._digests.decoder, self._digests.image),
            stage=Stage.GENERATE,
            run_id=self._request.run_id,
            attempts=2 * self._config.resources.max_attempts,
            recording_id=recording,
            scene_id=scene,
        )

    def _judged(self, failure: Failure) -> Failure:
        return judged(failure, self._failed_before.get(failure.subject, 0), self._config.resources)

    def tell(self, outcome: Outcome) -> None:
        """The outcome of one scene, for the log; of what went well only where all is wanted."""
        if (failure := outcome.failure) is not None:
            self.log.warning(
                "scene failed",
                recording_id=failure.recording_id,
                scene_id=failure.scene_id,
                stage=failure.stage,
                reason=failure.error,
                error=failure.message,
            )
        elif outcome.image is not None and self.log.tells_debug:
            facts = ("recording_id", "scene_id", "key", "similarity")
            self.log.debug("scene drawn", **{name: outcome.image[name][0].as_py() for name in facts})

    def commit(self, outcomes: list[Outcome]) -> None:
        """Rows of images whose files are written, and failures."""
        self.images += self._commit([each for each in outcomes if not each.adopted])
        # On their own, so that what was added is known where another run adds the same. Few runs have any.
        adopted = self._commit([each for each in outcomes if each.adopted])
        self.images += adopted
        self.adopted += adopted
        self._lake.failures.merge([row(outcome.failure) for outcome in outcomes if outcome.failure])
        for table in (self._lake.images, self._lake.failures):
            table.tidy(self._config.resources.compact_files)

    def _commit(self, outcomes: list[Outcome]) -> int:
        """Add the rows of images; returns how many were not there yet."""
        images = [outcome.image for outcome in outcomes if outcome.image is not None]
        return self._lake.images.merge(pa.concat_tables(images)) if images else 0

    def _outcome(self, drawn: pa.Table) -> Outcome:
        failure = drawn["failure"][0].as_py()
        if failure is not None:
            return Outcome(None, self._judged(rows.failure_of(failure)))
        adopted = bool(drawn["adopted"][0].as_py())
        if not adopted:
            metrics.drawn(*(drawn[name][0].as_py() for name in ("similarity", "compute_ms", "device")))
        return Outcome(drawn.select(IMAGES.names), None, adopted)


def _rounds(pending: Files) -> Iterator[Files]:
    """The files in portions of about `_ROUND_ROWS` scenes."""
    some: Files = []
    for path, scenes in pending:
        some.append((path, scenes))
        if sum(each.num_rows for _, each in some) >= _ROUND_ROWS:
            yield some
            some = []
    if some:
        yield some
