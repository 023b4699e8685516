"""What a run leaves in Prefect for people to look at: a table of outcomes, a sheet of images, a progress bar."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.progress import Step

_UPDATE_EVERY_S = 2.0


class ProgressArtifact:
    """A watcher that keeps one progress artifact for the whole run: each step is an equal share of the bar.

    Args:
        key: key of the artifact.
        steps: names of the steps in their order; others are not shown.
    """

    def __init__(self, key: str, steps: Sequence[str]) -> None:
        self._steps = list(steps)
        # Prefect's functions are typed for callers with and without an event loop; our flow has none.
        self._id = cast(UUID, create_progress_artifact(0.0, key=key, description="Starting"))
        self._updated_s = 0.0

    def __call__(self, step: Step) -> None:
        """Update the artifact, at most every two seconds, but always at the end of a step."""
        ended = step.total is not None and step.done >= step.total
        now = time.monotonic()
        if step.name not in self._steps or (not ended and now - self._updated_s < _UPDATE_EVERY_S):
            return
        self._updated_s = now
        share = step.done / step.total if step.total else float(ended)
        percent = 100 * (self._steps.index(step.name) + share) / len(self._steps)
        count = f"{step.done} of {step.total}" if step.total is not None else str(step.done)
        update_progress_artifact(self._id, round(percent, 1), description=f"{step.name}: {count} {step.note}".strip())

    def finish(self) -> None:
        """Fill the bar."""
        update_progress_artifact(self._id, 100.0, description="Done")


def gist(key: str, markdown: str) -> None:
    """Leave a text."""
    create_markdown_artifact(markdown, key=key)


def outcomes_table(key: str, rows: Sequence[dict[str, Any]], description: str) -> None:
    """Leave the table of outcomes."""
    create_table_artifact([dict(row) for row in rows], key=key, description=description)


def image_sheet(key: str, picture: bytes, media_type: str, description: str) -> None:
    """Leave a picture, embedded in the artifact, so that it shows wherever the Prefect server is."""
    create_image_artifact(
        f"data:{media_type};base64,{base64.b64encode(picture).decode()}", key=key, description=description
    )


def artifact_key(name: str, run_id: str) -> str:
    """A key in the characters that Prefect allows: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9-]+", "-", f"s2i-{name}-{run_id}".lower()).strip("-")
