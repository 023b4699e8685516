"""The request of a job, its progress and its summary: plain data that travels as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from cluster.jobs.limits import connections, within
from s2i_core.config import RunConfig, Settings
from s2i_core.errors import S2IError
from s2i_core.storage.objects import S3Settings

#: Prefixes of the lines in a job's log that are meant for its follower; JSON comes after.
PROGRESS = "S2I_PROGRESS "
ERROR = "S2I_ERROR "

JobName = Literal["plan", "illustrate"]


class JobRequest(Settings):
    """One job over an archive. It holds no secret: the login comes from the environment of the cluster."""

    source: str = Field(description="The recordings: `s3://bucket/folder`, or one object.")
    destination: str = Field(description="The images and tables: `s3://bucket/folder`.")
    run_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Names the run in every row it adds.")
    config: RunConfig = Field(description="All settings, as a preset returned them.")
    limit: int | None = Field(
        None, ge=0, description="Plan at most this many recordings; `illustrate` does all that is planned."
    )
    retry_failed: bool = Field(False, description="Also try again rows that failed for good.")
    listing: str | None = Field(
        None,
        description="Key within the destination of the source's listing, as `Listed.to_parquet` writes it; without one "
        "`plan` lists the source itself.",
    )
    store: S3Settings = Field(
        default_factory=S3Settings.from_env, description="The object store, as the cluster sees it."
    )

    traceparent: str | None = Field(None, description="Parent span of the job (W3C Trace Context), if traces are on.")

    def within_limits(self) -> JobRequest:
        """The request with pools and connections that respect its limit on open requests to the store."""
        resources = within(self.config.resources, self.config.limits)
        store = self.store if self.config.limits.s3_requests is None else connections(self.store, resources)
        return self.model_copy(
            update={"config": self.config.model_copy(update={"resources": resources}), "store": store}
        )


class Progress(Settings):
    """The progress of a job. `done` counts rows (recordings or scenes) whose outcome is known."""

    job: JobName
    done: int
    total: int
    ok: int
    skipped: int
    failed: int
    utterances: int = Field(0, description="Plan: utterances embedded so far; moves while a long recording is read.")
    elapsed_s: float = 0.0


class JobSummary(Settings):
    """What a job did. `rows_in == ok + skipped + failed + left` always."""

    job: JobName
    run_id: str
    rows_in: int = Field(description="Recordings (plan) or scenes (illustrate) that had no result yet.")
    ok: int
    skipped: int
    failed: int
    left: int = Field(0, description="Rows that were not started or not finished when the job stopped at a limit.")
    stopped: str | None = Field(None, description="The limit at which the job stopped; none if it did everything.")
    cpu_s: float = Field(0.0, description="CPU-seconds that its workers held.")
    gpu_s: float = Field(0.0, description="GPU-seconds that its workers held.")
    cost: float = Field(0.0, description="What this cost, at the prices of the limits.")
    scenes: int = Field(0, description="Plan: scenes that get an image. Illustrate: scenes that were to do.")
    images: int = Field(0, description="Illustrate: rows added to `images`.")
    adopted: int = Field(
        0, description="Illustrate: of these, images found in the bucket, written by a run that was killed."
    )
    unchanged: int = Field(0, description="Plan: recordings with a result from an earlier run.")
    listed: int = Field(0, description="Plan: objects of the source, recordings and others.")
    left_out: int = Field(0, description="Plan: of these, objects that are not recordings.")
    audio_s: float = Field(0.0, description="Plan: length of the recordings that were read to their end.")
    nodes: dict[str, int] = Field(default_factory=dict, description="Rows that each Ray node processed, by node id.")
    model_digest: str = Field(description="Names the whole model.")
    encoder_digest: str = Field(description="With `plan_digest`, names the scenes.")
    plan_digest: str
    decoder_digest: str = Field(description="With `image_digest`, names the images.")
    image_digest: str
    elapsed_s: float

    @classmethod
    def together(cls, passes: Sequence[JobSummary]) -> JobSummary:
        """That of several passes of a job, each over the rows of its own; named as the first."""
        first, *others = passes
        if not others:
            return first
        nodes: Counter[str] = Counter()
        for each in passes:
            nodes.update(each.nodes)
        summed = ("rows_in", "ok", "skipped", "failed", "left", "cpu_s", "gpu_s", "cost", "scenes", "images", "adopted")
        sums = {name: sum(getattr(each, name) for each in passes) for name in (*summed, "elapsed_s")}
        stopped = next((each.stopped for each in passes if each.stopped), None)
        return first.model_copy(update={**sums, "nodes": dict(nodes), "stopped": stopped})

    def told(self) -> dict[str, object]:
        """Its fields for the log."""
        return self.model_dump(exclude={"job", "run_id", "nodes"})


class RowsLost(S2IError):
    """Rows in and outcomes out differ: a bug in s2i. What was committed is sound; run again to get the rest."""


class WorkerDied(S2IError):
    """The worker process of a row died every time. It may have been the machine's fault: the next run tries again."""

    transient = True


class JobFailed(S2IError):
    """A job on a cluster ended without a summary."""


class JobInterrupted(JobFailed):
    """A job ended, not because of its request but because the cluster or the store failed. It may succeed now."""

    transient = True


class ErrorLine(Settings):
    """An error of a job, as written to its log."""

    error: str
    subject: str
    reason: str
    remedy: str
    transient: bool = False

    @classmethod
    def of(cls, error: S2IError) -> ErrorLine:
        """From the error."""
        return cls(
            error=type(error).__name__,
            subject=error.subject,
            reason=error.reason,
            remedy=error.remedy,
            transient=error.transient,
        )
