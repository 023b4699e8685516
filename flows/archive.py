"""The flow `illustrate_archive`: an archive of recordings on S3 comes back illustrated.

Deliberately thin: it checks that the run can work, has two jobs done (cluster/jobs), publishes pages, and records
what happened. It holds no data; if a run is cut off, the next one continues, because each step finds its work by
comparing its input with its output.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, Protocol

from prefect import Flow, State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from pydantic import Field

from cluster.check import capacity, here
from cluster.jobs.limits import remaining
from cluster.jobs.request import JobFailed, JobName, JobRequest, JobSummary, Progress
from flows.artifacts import ProgressArtifact, artifact_key, gist, image_sheet, outcomes_table
from flows.drift import settled
from flows.lineage import Lineage
from flows.overview import FailureRow, Found, Totals, overview, taken_up
from flows.progress import Step, report, step, watching
from flows.work import Archive, Work
from s2i_core import logs, tracing
from s2i_core.analysis.report.figures import Reference
from s2i_core.errors import ObjectGone, S2IError
from s2i_core.identity import digest
from s2i_core.logs import Log
from s2i_core.pages import Published
from s2i_core.presets import PRESETS
from s2i_core.records import row
from s2i_core.storage.artifacts import run_key

PLAN, ILLUSTRATE, PUBLISH, PACK = "Listen and plan", "Illustrate", "Publish pages", "Write packs"
MAX_LIVES = 5
"""How often a run is started at most; an automation of `flows/deploy.py` restarts one whose process died."""
_SHEET_IMAGES = 24
_TABLE_ROWS = 200

Tell = Callable[[Progress], None]


class Runner(Protocol):
    """Has one job done, and tells how far it is."""

    def __call__(self, job: JobName, request: JobRequest, tell: Tell = ..., /) -> JobSummary:
        """The job's summary."""


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """What one run did, and the resulting state of the archive; also `runs/<run_id>/summary.json` in the destination.

    Attributes:
        jobs: summaries of the jobs that ran; none where there was nothing to do.
        totals: of the recordings that are in the source now, whichever run did the work.
        found: what is in the source, and what has become of it.
        stopped: the limit at which the run stopped; None if it did all there was to do.
        drift: what it found of its reference recordings, as `s2i report --json` has it; None where it has none.
        new_images: images that this run drew.
        adopted_images: images that a killed run had left in the bucket without a row, and that got one now.
        pages: pages written by this run.
        packs: packs for players written by this run; 0 where the settings want none.
        index: URI of the page that lists the recordings; None if no page was ever written.
        failed: failures that still stand.
        cpus: CPUs that the cluster had at the end, or that this machine gave to the work; `gpus` likewise.
    """

    run_id: str
    source: str
    destination: str
    preset: str
    address: str | None
    cpus: float
    gpus: float
    model_digest: str
    encoder_digest: str
    plan_digest: str
    decoder_digest: str
    image_digest: str
    started_at: str
    elapsed_s: float
    jobs: list[dict[str, Any]]
    stopped: str | None
    drift: dict[str, Any] | None
    totals: Totals
    found: Found
    new_images: int
    adopted_images: int
    pages: int
    packs: int
    unpublished: list[str]
    index: str | None
    failed: list[FailureRow]
    versions: dict[str, str]


def _stop_job(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Stop the job of a cancelled run whose own process is gone and could not do it."""
    del flow, state
    address = flow_run.parameters.get("address")
    if not address:
        return
    from cluster.jobs.submit import running, stop

    for submission in running(address, _run_id(flow_run)):
        stop(address, submission)


# Prefect checks these when a run is requested, and builds its form from them; `validate` says more, with the remedy.
_Uri = Annotated[str, Field(json_schema_extra={"pattern": "^s3://[^/]+(/.*)?$"})]
_Preset = Annotated[str, Field(json_schema_extra={"enum": sorted(PRESETS)})]
_Limit = Annotated[int | None, Field(ge=1)]
_Address = Annotated[str | None, Field(json_schema_extra={"pattern": "^(https?://.+)?$"})]


@flow(
    name="illustrate-archive",
    flow_run_name="illustrate {source}",
    persist_result=False,
    on_cancellation=[_stop_job],
)
def illustrate_archive(
    source: _Uri,
    destination: _Uri,
    preset: _Preset = "cpu",
    limit: _Limit = None,
    address: _Address = None,
    checkpoint: str = "",
    settings: dict[str, Any] | None = None,
    retry_failed: bool = False,
) -> RunSummary:
    """Illustrate every recording of `source` that has no images yet; leave images, tables and pages.

    Args:
        source: the recordings: a folder or one object, such as `s3://bucket/folder`.
        destination: a folder such as `s3://bucket/folder`, not within the source.
        preset: name of the settings: cpu, draft, gpu.
        limit: plan at most this many recordings in this run.
        address: a Ray cluster's job server, such as `http://head:8265`; by default an embedded Ray on this machine.
        checkpoint: folder of a saved pipeline, on all nodes; empty for the weights in the package.
        settings: single settings instead of the preset's, such as `{"image.style": "sketch"}`.
        retry_failed: also try again what failed for good.

    Raises:
        StorageError: a bucket, a login or a right is lacking; raised before any work.
        ConfigError, ModelError: an argument is wrong; raised before any work.
        DriftFound: the reference recordings come out otherwise than before; raised before any other work.
        JobFailed, RowsLost: a job did not end properly; what was committed is sound, and running again continues.
    """
    run_id = _this_run()
    logs.to_stderr()
    log = Log("flows", flow="illustrate-archive", source=source, destination=destination)
    with tracing.span("flow illustrate-archive", {"s2i.run_id": run_id, "s2i.source": source}):
        log.info("run began", run_id=run_id)
        lineage = Lineage.from_env(_flow_run().id, "illustrate-archive", source, destination)
        lineage.tell("START")
        try:
            made = _illustrated(
                run_id, source, destination, preset, limit, address or None, checkpoint, settings, retry_failed
            )
        except Exception as error:
            log.error("run failed", run_id=run_id, reason=type(error).__name__, error=str(error))
            lineage.tell("FAIL", {"run_id": run_id}, error)
            raise
        except BaseException:  # Ctrl+C, and what Prefect ends a run by
            lineage.tell("ABORT", {"run_id": run_id})
            raise
        facts = dataclasses.asdict(made.totals) | {"stopped": made.stopped, "elapsed_s": made.elapsed_s}
        facts |= {"new_images": made.new_images, "adopted_images": made.adopted_images, "pages": made.pages}
        log.info("run ended", run_id=made.run_id, **facts)
        lineage.tell("COMPLETE", {"run_id": made.run_id} | facts)
        return made


def _illustrated(
    run_id: str,
    source: str,
    destination: str,
    preset: str,
    limit: int | None,
    address: str | None,
    checkpoint: str,
    settings: dict[str, Any] | None,
    retry_failed: bool,
) -> RunSummary:
    started, started_at = time.monotonic(), datetime.now(UTC)
    archive = Archive.handed() or validate(source, destination, preset, checkpoint, settings)
    if (said := archive.renamed()) is not None:
        Log("flows", flow="illustrate-archive", run_id=run_id).warning(said)
    if address is not None:
        run_id = take_up(archive, address, limit, run_id)
    steps = [PLAN, ILLUSTRATE, PUBLISH, *([PACK] if archive.config.packs.write else [])]
    progress = ProgressArtifact(artifact_key("progress", run_id), steps)
    request = JobRequest(
        source=archive.source,
        destination=archive.destination,
        run_id=run_id,
        config=archive.config,
        limit=limit,
        retry_failed=retry_failed,
        store=archive.store.settings,
        traceparent=tracing.traceparent(),
    )
    with watching(progress):
        with step("Look for work"):
            work = archive.pending(limit, retry_failed=retry_failed)
        jobs, stopped, drift = _run_jobs(archive, request, address, work)
        if archive.config.selection.apply and stopped is None:
            select(archive)
        published = publish(archive)
        packs = write_packs(archive, run_id) if archive.config.packs.write else 0
    power = here(archive.config.resources) if address is None else capacity(address)
    summary = RunSummary(
        run_id=run_id,
        source=archive.source,
        destination=archive.destination,
        preset=preset,
        address=address,
        cpus=power.cpus,
        gpus=power.gpus,
        **archive.digests.named(),
        started_at=started_at.isoformat(),
        elapsed_s=round(time.monotonic() - started, 3),
        jobs=[job.model_dump() for job in jobs],
        stopped=stopped,
        drift=None if drift is None else drift.plain(),
        totals=archive.totals(),
        found=archive.found(work.unchanged),
        new_images=sum(job.images - job.adopted for job in jobs),
        adopted_images=sum(job.adopted for job in jobs),
        pages=published.pages,
        packs=packs,
        unpublished=published.unpublished,
        index=published.index,
        failed=overview(archive.lake).failures,
        versions={name: version(name) for name in ("s2i", "ray", "prefect", "torch")}
        | {"python": platform.python_version()},
    )
    write_summary(archive, summary)
    leave_artifacts(archive, summary)
    if archive.config.report.write:
        write_report(archive, run_id)
    if address is not None:
        archive.store.delete(archive.target, _current_key(archive, limit))
        archive.store.delete(archive.target, archive.key(_listing_key(run_id)))
    progress.finish()
    return summary


def _this_run() -> str:
    """Id of the current run: the same when Prefect restarts it, so that it finds its jobs by their names.

    Raises:
        JobFailed: its process died too often.
    """
    flow_run = _flow_run()
    if flow_run.run_count > MAX_LIVES:
        raise JobFailed(
            f"run {flow_run.name}",
            f"its process died {MAX_LIVES} times",
            "See the worker's log: is it the memory? What was committed stays; a new run goes on.",
        )
    return _run_id(flow_run)


def _flow_run() -> FlowRun:
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None, "called outside of a flow"
    return context.flow_run


def _run_id(flow_run: FlowRun) -> str:
    created = flow_run.created or datetime.now(UTC)
    return f"{created.astimezone(UTC):%Y%m%dT%H%M%S}-{flow_run.id.hex[-6:]}"


def _transient(task: Any, task_run: Any, state: Any) -> bool:
    """Whether a task may succeed when tried again: the store was at fault, not the request."""
    try:
        state.result()
    except S2IError as error:
        return error.transient
    except Exception:  # noqa: BLE001 - not one of ours: a bug, which a second try would only hide
        return False
    return False


@task(timeout_seconds=180, cache_policy=NO_CACHE, persist_result=False)
def validate(source: str, destination: str, preset: str, checkpoint: str, settings: dict[str, Any] | None) -> Archive:
    """Check everything that could be wrong with the arguments, the buckets and the login."""
    archive = Archive(source, destination, preset, checkpoint, settings)
    archive.check()
    return archive


@task(retries=2, retry_delay_seconds=5, retry_condition_fn=_transient, cache_policy=NO_CACHE, persist_result=False)
def take_up(archive: Archive, address: str, limit: int | None, run_id: str) -> str:
    """The id of a run of the same work whose flow is gone but whose job still runs on the cluster; otherwise `run_id`.

    A job's name is made from its run's id, so submitting under that id finds the running job.
    """
    from cluster.jobs.submit import running

    key = _current_key(archive, limit)
    with contextlib.suppress(ObjectGone):
        earlier = archive.store.get(archive.target, key).decode()
        if running(address, earlier):
            return earlier
    archive.store.put(archive.target, key, run_id.encode(), "text/plain")
    return run_id


def _current_key(archive: Archive, limit: int | None) -> str:
    """Where a run on a cluster writes its id for as long as it lasts; the same for the same work."""
    work = digest(archive.source, *vars(archive.digests).values(), str(limit))
    return archive.key(f"runs/current-{work}")


def with_listing(archive: Archive, request: JobRequest) -> JobRequest:
    """The request for a job on a cluster, which finds the listing of this run in the destination."""
    key = _listing_key(request.run_id)
    archive.store.put(archive.target, archive.key(key), archive.listing.to_parquet(), "application/vnd.apache.parquet")
    return request.model_copy(update={"listing": key})


def _listing_key(run_id: str) -> str:
    """Where the listing of a run on a cluster is kept for as long as the run lasts."""
    return run_key(run_id, "listing.parquet")


@task(
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=_transient,
    task_run_name="{job}",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def run_job(job: JobName, request: JobRequest, run: Runner) -> JobSummary:
    """Have one job done. Trying again is safe: it finds what is left."""
    summary = run(job, request)
    get_run_logger().info("%s", summary.model_dump_json())
    return summary


@task(retries=1, retry_delay_seconds=30, retry_condition_fn=_transient, cache_policy=NO_CACHE, persist_result=False)
def hear_reference(archive: Archive, request: JobRequest, run: Runner) -> Reference:
    """Hear and draw the reference recordings anew, and compare."""
    return settled(archive, request, run)


@task(
    retries=2, retry_delay_seconds=[5, 30], retry_condition_fn=_transient, cache_policy=NO_CACHE, persist_result=False
)
def publish(archive: Archive) -> Published:
    """Write the pages of recordings with something new, and the index."""
    from s2i_core.publish.page import Fault

    standing = overview(archive.lake).failures
    faults = [Fault(each.subject, each.message, f"{each.remedy} {each.again}") for each in standing]
    return archive.pages.publish(
        archive.pages.pending(), faults, lambda done, total: report(Step(PUBLISH, done, total))
    )


@task(
    retries=2, retry_delay_seconds=[5, 30], retry_condition_fn=_transient, cache_policy=NO_CACHE, persist_result=False
)
def select(archive: Archive) -> dict[str, int]:
    """Leave out, draw again or reuse pictures as the settings ask, with a model of this process. Returns how many."""
    from s2i_core.editing.selection import selected
    from s2i_core.models import registry

    with step("Select"):
        done = selected(archive.lake, archive.config, registry.load(archive.config.model), "run")
    get_run_logger().info("selected: %s", done.counted)
    return done.counted


@task(
    retries=2, retry_delay_seconds=[5, 30], retry_condition_fn=_transient, cache_policy=NO_CACHE, persist_result=False
)
def write_packs(archive: Archive, run_id: str) -> int:
    """Write the packs of recordings with something new; what has none, and why, becomes rows. Returns how many."""
    from s2i_core.packs.publish import publish as publish_packs

    made = publish_packs(
        archive.packs,
        archive.config.packs,
        archive.config.audio,
        archive.config.provenance,
        run_id,
        counted=lambda done, total: report(Step(PACK, done, total)),
    )
    archive.lake.failures.merge([row(failure) for failure in made.failures])
    return len(made.made)


@task(retries=2, retry_delay_seconds=5, retry_condition_fn=_transient, cache_policy=NO_CACHE, persist_result=False)
def write_summary(archive: Archive, summary: RunSummary) -> None:
    """Write `runs/<run_id>/summary.json`."""
    data = json.dumps(dataclasses.asdict(summary), indent=2, ensure_ascii=False).encode()
    archive.store.put(archive.target, archive.key(run_key(summary.run_id, "summary.json")), data, "application/json")


@task(timeout_seconds=300, cache_policy=NO_CACHE, persist_result=False)
def leave_artifacts(archive: Archive, summary: RunSummary) -> None:
    """Leave the table of outcomes and the sheet of images in Prefect."""
    rows = archive.outcomes(_TABLE_ROWS)
    counts = dataclasses.asdict(summary.totals)
    described = ", ".join(f"{count} {name}" for name, count in counts.items())
    lines = [f"{summary.source} → {summary.destination}: {described}"]
    lines += [f"{word}: {text}" for word, text in summary.found.described()] + taken_up(summary.failed)
    outcomes_table(artifact_key("outcomes", summary.run_id), rows, "\n\n".join(lines))
    pictures = archive.sample_images(_SHEET_IMAGES)
    if pictures:
        from s2i_core.english.alt import alt_text
        from s2i_core.publish.sheet import contact_sheet
        from s2i_core.publish.xmp import contents_of

        shown = [contents_of(picture) for picture in pictures]
        labels = ["" if contents is None else alt_text(contents) for contents in shown]
        image_sheet(
            artifact_key("images", summary.run_id),
            contact_sheet(pictures, labels if any(labels) else ()),
            "image/png",
            f"{len(pictures)} of {summary.totals.images} images in {summary.destination}",
        )


@task(retries=1, retry_delay_seconds=5, retry_condition_fn=_transient, cache_policy=NO_CACHE, persist_result=False)
def write_report(archive: Archive, run_id: str) -> None:
    """Write `runs/<run_id>/report.html`, and leave the gist of it in Prefect."""
    from s2i_core.analysis.database import Database
    from s2i_core.analysis.report.figures import figures, runs_of
    from s2i_core.analysis.report.page import HTML, in_short, page

    with Database(archive.lake) as database:
        found = figures(archive.lake, database, run_id if run_id in runs_of(database) else None)
    key = archive.key(run_key(run_id, "report.html"))
    archive.store.put(archive.target, key, page(found).encode(), HTML)
    gist(artifact_key("report", run_id), f"{in_short(found)}\n\nThe page: `s3://{archive.target}/{key}`")


def _run_jobs(
    archive: Archive, request: JobRequest, address: str | None, work: Work
) -> tuple[list[JobSummary], str | None, Reference | None]:
    """Run the jobs for which there is work: on the cluster at `address`, or on an embedded Ray of this process.

    Returns their summaries, the limit at which the run stopped, and what was found of the reference recordings.
    """
    started = time.monotonic()
    again = request.retry_failed
    jobs: list[JobSummary] = []
    drift: Reference | None = None
    with ExitStack() as stack:
        if work.unplanned or work.unillustrated or archive.config.drift.reference:
            runner = stack.enter_context(_runner(archive, address))
        if archive.config.drift.reference:
            drift = hear_reference(archive=archive, request=request, run=runner)
        if work.unplanned:
            jobs.append(run_job(job="plan", request=request, run=runner))
            work = archive.pending(limit=0, retry_failed=again)
        if work.unillustrated:
            limits = remaining(
                request.config.limits,
                elapsed_s=time.monotonic() - started,
                cpu_s=sum(job.cpu_s for job in jobs),
                gpu_s=sum(job.gpu_s for job in jobs),
            )
            if limits is None:
                return jobs, jobs[-1].stopped or "a limit, before the first scene was drawn", drift
            request = request.model_copy(update={"config": request.config.model_copy(update={"limits": limits})})
            jobs.append(run_job(job="illustrate", request=request, run=runner))
    return jobs, next((job.stopped for job in jobs if job.stopped), None), drift


@contextmanager
def _runner(archive: Archive, address: str | None) -> Iterator[Runner]:
    if address is not None:
        yield _remote(archive, address)
        return
    from cluster.jobs.illustrate import illustrate
    from cluster.jobs.plan import plan
    from cluster.jobs.resources import logical_cpus
    from cluster.local import local_ray

    with contextlib.ExitStack() as stack:
        with step("Start Ray"):
            stack.enter_context(local_ray(logical_cpus(archive.config.resources)))

        def run(job: JobName, request: JobRequest, tell: Tell = _tell, /) -> JobSummary:
            listing = archive.listing if request.source == archive.source else None
            return plan(request, tell, listing) if job == "plan" else illustrate(request, tell)

        yield run


def _remote(archive: Archive, address: str) -> Runner:
    """Jobs on a cluster. Cancelling the flow stops its job; a flow that is killed leaves it running."""
    from cluster.jobs.submit import follow, stop, submit

    logging.getLogger("ray.dashboard.modules.job").setLevel(logging.WARNING)  # it reports every closed connection

    def run(job: JobName, request: JobRequest, tell: Tell = _tell, /) -> JobSummary:
        with step("Submit to the cluster"):
            if job == "plan" and request.source == archive.source:
                request = with_listing(archive, request)
            submission = submit(address, job, request)
        try:
            return follow(address, submission, request, tell)
        except Exception:
            raise
        except BaseException:  # Ctrl-C, or Prefect's signal to stop
            stop(address, submission)
            raise

    return run


def _tell(progress: Progress) -> None:
    """Pass a job's progress on to the watchers."""
    notes = [f"{count} {name}" for name, count in (("skipped", progress.skipped), ("failed", progress.failed)) if count]
    if progress.utterances:
        notes.insert(0, f"{progress.utterances} utterances")
    report(Step(PLAN if progress.job == "plan" else ILLUSTRATE, progress.done, progress.total, ", ".join(notes)))
