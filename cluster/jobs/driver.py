"""The frame of both jobs: check, find the rows, have them processed, commit, count, and write a summary.

A job defines what its rows are and what becomes of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from cluster.jobs.attempts import limit_retries
from cluster.jobs.commit import Committer
from cluster.jobs.limits import Budget
from cluster.jobs.report import Report, Watcher
from cluster.jobs.request import JobName, JobRequest, JobSummary
from s2i_core import tracing
from s2i_core.config import ResourceConfig
from s2i_core.logs import Log
from s2i_core.records import Failure, Status
from s2i_core.storage.artifacts import join, run_key
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri
from s2i_core.storage.tables import Lake
from s2i_core.weights import digests

Outcome = TypeVar("Outcome")


class Job(ABC, Generic[Outcome]):
    """One job over one archive.

    Args:
        request: what to do.

    Attributes:
        left: rows without an outcome, because the budget was spent before they were done.

    Raises:
        StorageError: a bucket, the login or a right is lacking.
        ModelError: there is no checkpoint.
    """

    name: ClassVar[JobName]

    def __init__(self, request: JobRequest) -> None:
        self.store = ObjectStore(request.store)
        self._bucket, self._prefix = parse_uri(request.destination)
        self.check(request)
        self.store.check_writable(self._bucket, self._prefix)
        self.request = request.within_limits()
        self.config = self.request.config
        self.digests = digests(self.config)
        self.lake = Lake(self.request.store, self.request.destination)
        self.budget = Budget(self.config.limits)
        self.log = Log("jobs", job=self.name, run_id=request.run_id)
        self.left = 0

    def check(self, request: JobRequest) -> None:
        """Fail now if this job lacks something beyond what both jobs need."""

    @abstractmethod
    def find(self) -> int:
        """Find the rows to do, and log it; returns their number."""

    @abstractmethod
    def outcomes(self, report: Report) -> Iterator[Outcome]:
        """One outcome per row, in the order in which they are ready; fewer if the budget is spent before."""

    @abstractmethod
    def status(self, outcome: Outcome) -> tuple[Status, str | None]:
        """The status of a row, and why it was skipped or the class of its error."""

    @abstractmethod
    def tell(self, outcome: Outcome) -> None:
        """Log one outcome."""

    @abstractmethod
    def commit(self, outcomes: list[Outcome]) -> None:
        """Write some outcomes to the tables; idempotent."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """The fields of the summary that only this job has."""

    def portions(self, report: Report) -> Iterator[tuple[Iterable[Outcome], ResourceConfig]]:
        """The outcomes, in portions, each with the settings by which it is committed."""
        yield self.outcomes(report), self.config.resources

    def limited(self, failure: Failure, subject: str) -> Failure:
        """The failure, made final if its subject has failed in as many runs as it may."""
        return limit_retries(failure, self._failed_runs.get(subject, 0), self.config.resources)

    @cached_property
    def _failed_runs(self) -> dict[str, int]:
        return dict(self.lake.failed_runs())

    def run(self, watcher: Watcher | None) -> JobSummary:
        """Run the whole job, and write the summary.

        Raises:
            RowsLost: a fault in s2i.
        """
        report = Report(self.name, self.find(), watcher)
        for outcomes, resources in self.portions(report):
            with Committer(self.commit, resources) as committer:
                for outcome in outcomes:
                    committer.add(outcome)
                    report.count(*self.status(outcome))
                    self.tell(outcome)
                    report.tell()
        report.close(self.left)
        summary = JobSummary(
            job=self.name,
            run_id=self.request.run_id,
            rows_in=report.total,
            ok=report.of(Status.OK),
            skipped=report.of(Status.SKIPPED),
            failed=report.of(Status.FAILED),
            **self.budget.facts(self.left),
            nodes=report.nodes,
            **self.digests.named(),
            elapsed_s=report.elapsed_s,
            **self.facts(),
        )
        key = join(self._prefix, run_key(self.request.run_id, f"{self.name}.json"))
        self.store.put(self._bucket, key, summary.model_dump_json(indent=2).encode(), "application/json")
        self.log.info("job ended", **summary.told())
        return summary


def drive(job: type[Job[Any]], request: JobRequest, watcher: Watcher | None, **given: Any) -> JobSummary:
    """Run a job within a trace span of its own. The process must be connected to Ray.

    Args:
        job: its class.
        request: what to do.
        watcher: called with the progress, at least every 2 s while there is any.
        given: arguments of the job besides the request.

    Raises:
        StorageError: a bucket, the login or a right is lacking; nothing was started.
        ModelError: there is no checkpoint; nothing was started.
        RowsLost: a fault in s2i.
    """
    with tracing.span(f"job {job.name}", {"s2i.run_id": request.run_id}, parent=request.traceparent):
        return job(request.model_copy(update={"traceparent": tracing.traceparent()}), **given).run(watcher)
