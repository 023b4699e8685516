"""The reference recordings of a run: heard and drawn anew before anything else, and compared with runs before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from cluster.jobs.request import JobName, JobRequest, JobSummary, Progress
from flows.progress import step
from flows.work import Archive
from s2i_core.analysis.reference import References, sampled
from s2i_core.analysis.report.figures import Reference
from s2i_core.errors import ConfigError
from s2i_core.records import now
from s2i_core.storage.tables import Lake

Runner = Callable[[JobName, JobRequest, Callable[[Progress], None]], JobSummary]
_FOLDER = "reference"
_OF_A_RUN = re.compile(r"\d{8}T\d{6}-[^/]+/")


def settled(archive: Archive, request: JobRequest, run: Runner) -> Reference:
    """Have both jobs done on the reference recordings, in a folder of their own that goes afterwards, and compare.

    Raises:
        DriftFound: what comes out has moved past the bound, and that is not accepted.
        ConfigError: none of the recordings gets a picture, or a limit of the run is too small for them.
    """
    config = archive.config.drift
    with step("Hear the reference recordings"), _scratch(archive, request.run_id) as folder:
        image = archive.config.image.model_copy(update={"variants": 1})
        asked = request.model_copy(
            update={
                "source": config.reference,
                "destination": folder,
                "run_id": f"{request.run_id[:60]}-ref",
                "limit": None,
                "listing": None,
                "config": archive.config.model_copy(update={"image": image}),
            }
        )
        for job in ("plan", "illustrate"):
            made = run(job, asked, lambda _: None)
            if made.stopped:
                reason = f"the run stopped at {made.stopped} while it did the reference recordings"
                raise ConfigError(config.reference, reason, "Give it more, or fewer reference recordings.")
        sample = sampled(Lake(archive.store.settings, folder))
    return References(archive.store, archive.target, archive.target_prefix).settle(request.run_id, sample, config)


@contextmanager
def _scratch(archive: Archive, run_id: str) -> Iterator[str]:
    """A folder of the destination for tables and pictures that nobody wants to keep."""
    all_of_them = archive.key(f"{_FOLDER}/")
    own = f"{all_of_them}{run_id}"
    # Runs that were killed have left theirs; those of the last day may still be going on.
    old = f"{all_of_them}{now() - timedelta(days=1):%Y%m%dT%H%M%S}"

    def clear() -> None:
        for item in list(archive.store.list(archive.target, all_of_them)):
            # What else somebody keeps there is none of ours.
            left = item.key < old and _OF_A_RUN.match(item.key, len(all_of_them))
            if left or item.key.startswith(f"{own}/"):
                archive.store.delete(archive.target, item.key)

    clear()
    try:
        yield f"s3://{archive.target}/{own}"
    finally:
        clear()
