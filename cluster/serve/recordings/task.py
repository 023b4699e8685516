"""A recording at the desk: how far it is, what came of it, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from cluster.serve.keys import Key
from cluster.serve.messages import Event
from cluster.serve.schemas import JobStatus, Problem, RecordingView, SceneView
from s2i_core.config import ImageConfig


@dataclass
class RecordingTask:
    """A recording that is being illustrated, or was."""

    id: str
    owner: str
    image: ImageConfig
    file: BinaryIO | None
    uri: str | None = None
    key: Key | None = None
    maybe: int = 0
    """How many of the unsure scenes are drawn."""
    status: JobStatus = "queued"
    heard_s: float = 0.0
    duration_s: float | None = None
    drawn: int = 0
    to_draw: int | None = None
    scenes: list[SceneView] = field(default_factory=list)
    files: dict[int, bytes] = field(default_factory=dict)
    content_type: str = ""
    damage: str | None = None
    tracks: str | None = None
    error: Problem | None = None
    events: list[Event] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    touched: float = field(default_factory=time.monotonic)
    task: asyncio.Task[None] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in {"done", "failed"}

    @property
    def url(self) -> str:
        """Path of the resource."""
        return f"/v1/recordings/{self.id}"

    def view(self) -> RecordingView:
        """As a client sees it."""
        return RecordingView(
            id=self.id,
            status=self.status,
            heard_s=round(self.heard_s, 3),
            duration_s=self.duration_s,
            drawn=self.drawn,
            to_draw=self.to_draw,
            style=self.image.style,
            scenes=self.scenes,
            damage=self.damage,
            tracks=self.tracks,
            error=self.error,
            url=self.url,
            events_url=f"{self.url}/events",
        )

    async def tell(self, name: str, data: dict[str, Any]) -> None:
        """Add an event, and wake who waits for it."""
        self.touched = time.monotonic()
        async with self.changed:
            self.events.append(Event(len(self.events) + 1, name, data))
            self.changed.notify_all()

    async def fail(self, problem: Problem) -> None:
        """It ends with this."""
        self.status, self.error = "failed", problem
        await self.tell("failed", {"error": problem.model_dump(exclude_none=True)})

    async def progress(self) -> None:
        """Say how far it is."""
        facts = ("status", "heard_s", "duration_s", "drawn", "to_draw")
        await self.tell("progress", self.view().model_dump(include=set(facts)))
