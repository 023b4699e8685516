"""Runs the flow from the command line: checks first, and starts Prefect only if there is something to do."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from flows.local_server import PrefectServer, client_settings, logging_file, prefect_client
from flows.overview import FailureRow, Found, Totals, overview
from flows.progress import step
from flows.work import Archive, Work
from s2i_core import tracing
from s2i_core.state import state_home
from s2i_core.storage.artifacts import index_key


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a run.

    Attributes:
        run_id: None if there was nothing to do.
        totals: of the recordings in the source, whichever run made what.
        found: what is in the source, and what has become of it.
        new_images: images that this run drew.
        adopted_images: images that a killed run had left in the bucket without a row, and that got one now.
        page: URI of the index page; None if no run has made one.
        failed: failures that still stand.
        stopped: the limit at which the run stopped; None if it did all there was to do.
    """

    run_id: str | None
    totals: Totals
    found: Found
    new_images: int
    adopted_images: int
    elapsed_s: float
    page: str | None
    failed: list[FailureRow]
    stopped: str | None = None


@tracing.span("launch")
def launch(
    source: str,
    destination: str,
    preset: str = "cpu",
    limit: int | None = None,
    address: str | None = None,
    checkpoint: str = "",
    settings: Mapping[str, Any] | None = None,
    *,
    retry_failed: bool = False,
) -> RunOutcome:
    """Run `illustrate_archive` in this process, or find that there is nothing to do.

    Prefect is the user's if `PREFECT_API_URL` is set, otherwise a server of our own for as long as the run lasts.

    Raises:
        S2IError: as for the flow; wrong arguments are reported before anything is started.
    """
    started = time.monotonic()
    with step("Look for work"):
        archive = Archive(source, destination, preset, checkpoint, settings)
        archive.check()
        if (said := archive.renamed()) is not None:
            warnings.warn(said, stacklevel=2)
        work = archive.pending(limit, retry_failed=retry_failed)
    run_id, new_images, adopted_images, stopped = None, 0, 0, None
    if not work.nothing:
        with _services(archive, work, address), archive.at_hand():
            from flows.archive import illustrate_archive

            summary = illustrate_archive(
                source, destination, preset, limit, address, checkpoint, dict(settings or {}), retry_failed
            )
        run_id, stopped = summary.run_id, summary.stopped
        new_images, adopted_images = summary.new_images, summary.adopted_images
    index = index_key(archive.target_prefix)
    return RunOutcome(
        run_id=run_id,
        totals=archive.totals(),
        found=archive.found(work.unchanged),
        new_images=new_images,
        adopted_images=adopted_images,
        elapsed_s=round(time.monotonic() - started, 1),
        page=None if archive.store.head(archive.target, index) is None else f"s3://{archive.target}/{index}",
        failed=overview(archive.lake).failures,
        stopped=stopped,
    )


@contextmanager
def _services(archive: Archive, work: Work, address: str | None) -> Iterator[None]:
    """Prefect, and Ray if it is to run here: both start at the same time."""
    with ExitStack() as stack:
        server, home = None, state_home() / "prefect"
        # Prefect reads these when it is imported.
        if os.environ.get("PREFECT_API_URL"):
            os.environ.setdefault("PREFECT_LOGGING_SETTINGS_PATH", str(logging_file(home)))
        else:
            server = stack.enter_context(PrefectServer(home))
            os.environ.update(client_settings(home))
        if address is None and (work.unplanned or work.unillustrated):
            with step("Start Ray"):
                from cluster.jobs.resources import logical_cpus
                from cluster.local import local_ray

                stack.enter_context(local_ray(logical_cpus(archive.config.resources)))
        with step("Start Prefect"):
            import flows.archive  # noqa: F401 - takes seconds, in which the server comes up

            stack.enter_context(prefect_client(server))
        yield
