"""The job `illustrate`: scenes to images.

One input row is one planned scene that has no image with these settings yet. The workers draw in batches and write the
image files; the driver commits the rows of `images`. An image counts as made only once its row exists; a file
without a row, left by a killed run, is adopted and not drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from ray.data import Dataset

from cluster import metrics
from cluster.jobs import pending as source
from cluster.jobs import rows
from cluster.jobs.driver import Job, drive
from cluster.jobs.execute import StageCall, run
from cluster.jobs.limits import remaining
from cluster.jobs.report import Report, Watcher
from cluster.jobs.request import JobRequest, JobSummary, WorkerDied
from cluster.jobs.stages import Draw
from s2i_core.identity import image_id
from s2i_core.records import IMAGES, Failure, Stage, Status, row

_ROUND_ROWS = 200_000
"""Scenes that the driver keeps track of at a time: some hundred bytes each."""

Files = list[tuple[str, pa.Table]]
"""Data files of `scenes`, with the ids of the scenes in each that are to be drawn, and of their recordings."""


@dataclass(frozen=True)
class DrawnScene:
    """What is committed for one scene: a row of `images` (a table of one row), or a failure.

    `adopted`: the image was already in the bucket.
    """

    image: pa.Table | None
    failure: Failure | None
    adopted: bool = False


def illustrate(request: JobRequest, watcher: Watcher | None = None) -> JobSummary:
    """Draw the scenes of `request.destination` that have no image yet, whatever `request.limit` says; see `drive`.

    Where scenes get several images, all of them get their first, then their second, and so on.
    """
    done: list[JobSummary] = []
    for config in request.config.each_variant():
        limits = remaining(
            request.config.limits,
            elapsed_s=sum(each.elapsed_s for each in done),
            cpu_s=sum(each.cpu_s for each in done),
            gpu_s=sum(each.gpu_s for each in done),
        )
        if limits is None or (done and done[-1].stopped):
            break
        within = config.model_copy(update={"limits": limits})
        done.append(drive(_Illustrate, request.model_copy(update={"config": within}), watcher))
    return JobSummary.together(done)


class _Illustrate(Job[DrawnScene]):
    name = "illustrate"

    def __init__(self, request: JobRequest) -> None:
        super().__init__(request)
        self._images = 0
        self._adopted = 0

    def find(self) -> int:
        """Compare the tables of scenes and images."""
        self._pending: Files = self.lake.unillustrated_files(self.digests, retry_failed=self.request.retry_failed)
        self._scenes: int = sum(scenes.num_rows for _, scenes in self._pending)
        self.log.info("job began", scenes=self._scenes)
        return self._scenes

    def status(self, outcome: DrawnScene) -> tuple[Status, str | None]:
        """Drawn, or failed."""
        return (Status.OK, None) if outcome.failure is None else (Status.FAILED, outcome.failure.error)

    def facts(self) -> dict[str, Any]:
        """What was drawn."""
        return {"scenes": self._scenes, "images": self._images, "adopted": self._adopted}

    def outcomes(self, report: Report) -> Iterator[DrawnScene]:
        """One for each of the scenes, in the order in which they are ready; fewer where the budget is spent before."""
        for files in _rounds(self._pending):
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
                yield DrawnScene(None, self._limited(self._lost(scene, recording)))

    def _round(self, files: Files, missing: dict[str, str], report: Report) -> Iterator[DrawnScene]:
        """Outcomes of one portion of the scenes, which are taken out of `missing`."""
        resources = self.config.resources
        size = resources.generate.batch_size
        paths = [(path, scenes["scene_id"].combine_chunks()) for path, scenes in files]
        bytes_per_block = source.block_bytes(self.lake.scenes, paths, size)

        def dataset(alone: bool) -> Dataset:
            left = pa.array(missing, pa.string())
            wanted = [(path, ids.filter(pc.is_in(ids, value_set=left))) for path, ids in paths]
            found = [(path, ids) for path, ids in wanted if len(ids)]
            return source.dataset(self.lake.scenes, found, 1 if alone else size)

        stages = [StageCall.of(Draw, resources, self.request, self.digests.decoder)]
        for drawn in run(dataset, missing, stages, resources, self.budget, block_bytes=bytes_per_block, log=self.log):
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
            subject=image_id(scene, self.digests.decoder, self.digests.image),
            stage=Stage.GENERATE,
            run_id=self.request.run_id,
            attempts=2 * self.config.resources.max_attempts,
            recording_id=recording,
            scene_id=scene,
        )

    def _limited(self, failure: Failure) -> Failure:
        return self.limited(failure, failure.subject)

    def tell(self, outcome: DrawnScene) -> None:
        """Log the outcome of one scene; a success only at the level `debug`."""
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

    def commit(self, outcomes: list[DrawnScene]) -> None:
        """Rows of images whose files are written, and failures."""
        self._images += self._commit([each for each in outcomes if not each.adopted])
        # On their own, so that what was added is known where another run adds the same. Few runs have any.
        adopted = self._commit([each for each in outcomes if each.adopted])
        self._images += adopted
        self._adopted += adopted
        self.lake.failures.merge([row(outcome.failure) for outcome in outcomes if outcome.failure])
        for table in (self.lake.images, self.lake.failures):
            table.tidy(self.config.resources.compact_files)

    def _commit(self, outcomes: list[DrawnScene]) -> int:
        """Add the rows of images; returns how many were not there yet."""
        images = [outcome.image for outcome in outcomes if outcome.image is not None]
        return self.lake.images.merge(pa.concat_tables(images)) if images else 0

    def _outcome(self, drawn: pa.Table) -> DrawnScene:
        failure = drawn["failure"][0].as_py()
        if failure is not None:
            return DrawnScene(None, self._limited(rows.from_json(Failure, failure)))
        adopted = bool(drawn["adopted"][0].as_py())
        if not adopted:
            metrics.drawn(*(drawn[name][0].as_py() for name in ("similarity", "compute_ms", "device")))
        return DrawnScene(drawn.select(IMAGES.names), None, adopted)


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
