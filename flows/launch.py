"""Runs the flow from the command line: checks first, starts Prefect only where there is something to do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from flows.local_server import PrefectServer, client_settings, logging_file, prefect_client
from flows.overview import FailureRow, Found, Totals, overview
from flows.progress import step
from flows.state import state_home
from flows.work import Archive, Work
from s2i_core import tracing
from s2i_core.storage.artifacts import index_key


@dataclass(frozen=True)
class RunOutcome:
    """What a run came to.

    Attributes:
        run_id: None where there was nothing to do.
        totals: of the recordings in the source, whichever run made what.
        found: what is in the source, and what has become of it.
        new_images: images that this run drew.
        adopted_images: images that were in the bucket without a row, left by a run that was killed, and got one.
        page: URI of the index page; None where no run made one.
        failed: what has failed and still stands.
        stopped: the limit at which the run stopped; None where it did all there was to do.
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

    Prefect is the user's where `PREFECT_API_URL` is set, and else a server of our own for as long as the run lasts.

    Raises:
        S2IError: as the flow; what is wrong with the arguments comes before anything is started.
    """
    started = time.monotonic()
    with step("Look for work"):
        archive = Archive(source, destination, preset, checkpoint, settings)
        archive.check()
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
    """Prefect, and Ray where it is to run here: both come up at the same time."""
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
