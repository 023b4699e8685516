"""Counts outcomes, and reports progress."""

from __future__ import annotations

import time
from collections.abc import Callable

import pyarrow as pa

from cluster import metrics
from cluster.jobs.request import JobName, Progress, RowsLost
from s2i_core.records import Status

Watcher = Callable[[Progress], None]
_EVERY_S = 0.5


class Report:
    """The tally of a job: every row gets one outcome.

    Args:
        job: name of the job.
        total: rows in.
        watcher: called at the start, at the end, and at most twice a second in between.
    """

    def __init__(self, job: JobName, total: int, watcher: Watcher | None) -> None:
        self.total = total
        self.utterances = 0
        self.nodes: dict[str, int] = {}
        """Rows that each Ray node processed."""
        self._job: JobName = job
        self._watcher = watcher
        self._outcomes = dict.fromkeys(Status, 0)
        self._started = time.monotonic()
        self._told = 0.0
        self.tell(always=True)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the tally began."""
        return time.monotonic() - self._started

    def count(self, status: Status, reason: str | None = None) -> None:
        """One more row has its outcome; `reason` is why it was skipped, or the class of the error."""
        self._outcomes[status] += 1
        metrics.outcome(self._job, status, reason)

    def count_nodes(self, nodes: pa.ChunkedArray) -> None:
        """More rows have come back from these nodes, one entry per row."""
        for entry in nodes.value_counts().to_pylist():
            self.nodes[entry["values"]] = self.nodes.get(entry["values"], 0) + entry["counts"]

    def of(self, status: Status) -> int:
        """Rows with this outcome."""
        return self._outcomes[status]

    def tell(self, *, always: bool = False) -> None:
        """Update the watcher and the metrics; ignores a call that comes too soon after the last."""
        if not (always or time.monotonic() - self._told >= _EVERY_S):
            return
        self._told = time.monotonic()
        metrics.pending(self._job, self.total - sum(self._outcomes.values()))
        if self._watcher is None:
            return
        self._watcher(
            Progress(
                job=self._job,
                done=sum(self._outcomes.values()),
                total=self.total,
                ok=self.of(Status.OK),
                skipped=self.of(Status.SKIPPED),
                failed=self.of(Status.FAILED),
                utterances=self.utterances,
                elapsed_s=self.elapsed_s,
            )
        )

    def close(self, left: int = 0) -> None:
        """Report the end; `left` rows were not done when the job stopped at a limit.

        Raises:
            RowsLost: rows in and outcomes out differ.
        """
        self.tell(always=True)
        done = sum(self._outcomes.values()) + left
        if done != self.total:
            raise RowsLost(
                f"job {self._job}",
                f"{self.total} rows went in and {done} outcomes came out",
                "What was committed is sound; run again to get the rest, and report this as a fault in s2i.",
            )
