"""The job `illustrate`: scenes to images.

One row in is one planned scene that has no image of these settings yet. The workers draw in batches and write the
image files; the driver commits the rows of `images`. An image counts as made only when its row is there; a file
without a row, left by a killed run, is adopted and not drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cluster.jobs import rows
from cluster.jobs.commit import Committer
from cluster.jobs.execute import StageCall, stream
from cluster.jobs.model import model_digest
from cluster.jobs.report import Report, Watcher
from cluster.jobs.request import JobRequest, JobSummary, WorkerDied
from cluster.jobs.stages import Draw
from s2i_core.records import IMAGES, Failure, Stage, Status, row
from s2i_core.storage.artifacts import join, run_key
from s2i_core.storage.objects import ObjectStore, parse_uri
from s2i_core.storage.tables import Lake


@dataclass(frozen=True)
class Outcome:
    """What is committed for one scene: a row of `images` (a table of one row), or a failure."""

    image: pa.Table | None
    failure: Failure | None


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
    store = ObjectStore(request.store)
    bucket, prefix = parse_uri(request.destination)
    store.check_writable(bucket, prefix)
    digest = model_digest(request.config.model)
    job = _Illustrate(request, Lake(request.store, request.destination), digest)
    pending = job.pending()

    report = Report("illustrate", len(pending), watcher)
    with Committer(job.commit, request.config.resources) as committer:
        for outcome in job.outcomes(pending, report):
            committer.add(outcome)
            report.count(Status.OK if outcome.failure is None else Status.FAILED)
            report.tell()
    report.close()
    summary = JobSummary(
        job="illustrate",
        run_id=request.run_id,
        rows_in=report.total,
        ok=report.of(Status.OK),
        skipped=report.of(Status.SKIPPED),
        failed=report.of(Status.FAILED),
        scenes=report.total,
        images=job.images,
        adopted=job.adopted,
        nodes=report.nodes,
        model_digest=digest,
        plan_digest=request.config.plan_digest,
        image_digest=request.config.image_digest,
        elapsed_s=report.elapsed_s,
    )
    key = join(prefix, run_key(request.run_id, "illustrate.json"))
    store.put(bucket, key, summary.model_dump_json(indent=2).encode(), "application/json")
    return summary


class _Illustrate:
    def __init__(self, request: JobRequest, lake: Lake, digest: str) -> None:
        self.images = 0
        self.adopted = 0
        self._request = request
        self._config = request.config
        self._lake = lake
        self._digest = digest

    def pending(self) -> dict[str, str]:
        """Scenes without an image: scene id to recording id."""
        found = self._batches(["scene_id", "recording_id"])
        return {
            scene: recording
            for batch in found
            for scene, recording in zip(batch["scene_id"].to_pylist(), batch["recording_id"].to_pylist(), strict=True)
        }

    def outcomes(self, pending: dict[str, str], report: Report) -> Iterator[Outcome]:
        """One for each of the scenes, in the order in which they are ready."""
        missing = dict(pending)
        pools = self._config.resources
        stages = [StageCall(Draw, (self._request, self._digest), pools.generate, concurrency=2)]
        for alone in (False, True):
            if not missing:
                return
            for drawn in stream(self._blocks(missing, alone), stages, pools, alone=alone):
                report.count_nodes(drawn["node"])
                for number in range(drawn.num_rows):
                    one = drawn.slice(number, 1)
                    if missing.pop(one["scene_id"][0].as_py(), None) is not None:
                        yield self._outcome(one)
        for scene, recording in missing.items():
            error = WorkerDied(
                scene,
                "the worker process died every time that this was tried",
                "See Ray's logs: if memory ran out, use smaller batches or give the pool memory_bytes.",
            )
            failure = Failure.of(
                error,
                subject=scene,
                stage=Stage.GENERATE,
                run_id=self._request.run_id,
                attempts=2 * pools.max_attempts,
                recording_id=recording,
                scene_id=scene,
            )
            yield Outcome(None, failure)

    def commit(self, outcomes: list[Outcome]) -> None:
        """Rows of images whose files are written, and failures."""
        images = [outcome.image for outcome in outcomes if outcome.image is not None]
        if images:
            self.images += self._lake.images.merge(pa.concat_tables(images))
        self._lake.failures.merge([row(outcome.failure) for outcome in outcomes if outcome.failure])

    def _outcome(self, drawn: pa.Table) -> Outcome:
        failure = drawn["failure"][0].as_py()
        if failure is not None:
            return Outcome(None, rows.failure_of(failure))
        self.adopted += bool(drawn["adopted"][0].as_py())
        return Outcome(drawn.select(IMAGES.names), None)

    def _blocks(self, wanted: dict[str, str], alone: bool) -> Iterator[pa.Table]:
        size = 1 if alone else self._config.resources.generate.batch_size
        ids = pa.array(list(wanted), pa.string())
        for batch in self._batches(rows.PLANNED.names):
            scenes = pa.table(batch).filter(pc.is_in(batch["scene_id"], value_set=ids))
            for start in range(0, scenes.num_rows, size):
                # A copy: a slice would carry the whole batch along.
                yield scenes.slice(start, size).take(pa.array(range(min(size, scenes.num_rows - start))))

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        config = self._config
        return self._lake.unillustrated_batches(config.plan_digest, config.image_digest, self._digest, columns)
