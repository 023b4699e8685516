"""The desk: what there may be only one of. Recordings that are being illustrated, quotas, the figures of all replicas.

One replica, in memory: it starts again empty. Results that must last come from the batch job.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time

from ray.serve.handle import DeploymentHandle

from cluster.serve import faults, problems
from cluster.serve.keys import Key, Quotas
from cluster.serve.messages import Event
from cluster.serve.metrics import Gathered
from cluster.serve.ports import keep_to_loopback
from cluster.serve.problems import Refusal
from cluster.serve.recordings.illustrator import Illustrator
from cluster.serve.recordings.task import RecordingTask
from cluster.serve.schemas import Problem, RecordingView
from cluster.serve.settings import ServeSettings
from s2i_core.config import ImageConfig
from s2i_core.errors import ConfigError
from s2i_core.storage.places import Place, parse_uri

_ABANDONED_S = 60.0
"""An upload of which nothing more comes."""
_FORGET_EVERY_S = 1.0


class Desk:
    """One replica of this runs. Its methods give a `Problem` with its status where they refuse."""

    def __init__(self, settings: ServeSettings, encoder: DeploymentHandle, generator: DeploymentHandle) -> None:
        keep_to_loopback()
        faults.tell()
        self._settings = settings
        self._limits = settings.limits
        self._recordings: dict[str, RecordingTask] = {}
        self._quotas = Quotas()
        self._illustrator = Illustrator(settings, encoder, generator, self._quotas)
        self._gathered = Gathered()
        self._forgetting: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------------------ figures and quotas

    async def report(self, replica: str, text: str) -> None:
        """The figures of a replica."""
        self._gathered.put(replica, text)

    async def metrics(self) -> str:
        """The figures of all replicas."""
        return self._gathered.page()

    async def spend_images(self, key: Key, images: int) -> float:
        """Take pictures from a key's quota; returns seconds to wait, or 0."""
        return self._quotas.images(key, images)

    # --------------------------------------------------------------------------------------------------- recordings

    async def begin(
        self, owner: str, key: Key | None, image: ImageConfig, uri: str | None, maybe: int = 0
    ) -> RecordingView | Refusal:
        """A new recording; its bytes come by `append`, or are read from `uri`."""
        self._forget()
        active = sum(not each.over for each in self._recordings.values())
        if active >= self._limits.max_recordings:
            return problems.busy(10.0)
        if key is not None and self._active(key) >= self._limits.share(self._limits.max_recordings):
            return problems.share(10.0)
        if uri is not None and (refusal := self._forbidden(uri)):
            return refusal
        file = tempfile.TemporaryFile() if uri is None else None  # noqa: SIM115 -- closed with the recording
        recording = RecordingTask(secrets.token_urlsafe(16), owner, image, file, uri, key, maybe)
        self._recordings[recording.id] = recording
        if self._forgetting is None or self._forgetting.done():
            self._forgetting = asyncio.get_running_loop().create_task(self._forget_in_time())
        if uri is not None:
            self._start(recording)
        return recording.view()

    def _active(self, key: Key) -> int:
        return sum(not each.over and each.owner == key.name for each in self._recordings.values())

    async def append(self, id: str, data: bytes) -> bool:
        """More bytes of an upload; False where the recording is gone."""
        recording = self._recordings.get(id)
        if recording is None or recording.file is None:
            return False
        recording.touched = time.monotonic()
        await asyncio.to_thread(recording.file.write, data)
        return True

    async def finish(self, id: str, image: ImageConfig, maybe: int = 0) -> RecordingView | Refusal:
        """The upload is complete: the work begins."""
        recording = self._recordings.get(id)
        if recording is None:
            return problems.missing()
        recording.image, recording.maybe = image, maybe
        self._start(recording)
        return recording.view()

    async def view(self, id: str, owner: str) -> RecordingView | None:
        """A recording of this owner."""
        recording = self._find(id, owner)
        return recording.view() if recording else None

    async def picture(self, id: str, owner: str, index: int) -> tuple[bytes, str] | None:
        """The picture of a scene, and its type."""
        recording = self._find(id, owner)
        file = recording.files.get(index) if recording else None
        return (file, recording.content_type) if recording and file is not None else None

    async def events(self, id: str, owner: str, after: int, wait_s: float) -> list[Event] | None:
        """The events after number `after`; waits up to `wait_s` for one. None: no such recording."""
        recording = self._find(id, owner)
        if recording is None:
            return None
        async with recording.changed:
            if len(recording.events) <= after and not recording.over:
                try:
                    await asyncio.wait_for(recording.changed.wait(), wait_s)
                except TimeoutError:
                    return []
        return recording.events[max(0, after) : max(0, after) + 16]

    async def delete(self, id: str, owner: str) -> bool:
        """Cancel and forget a recording."""
        recording = self._find(id, owner)
        if recording is None:
            return False
        await self._drop(recording)
        return True

    def _start(self, recording: RecordingTask) -> None:
        recording.task = asyncio.get_running_loop().create_task(self._illustrator.run(recording))

    def _find(self, id: str, owner: str) -> RecordingTask | None:
        recording = self._recordings.get(id)
        return recording if recording is not None and recording.owner == owner else None

    async def _forget_in_time(self) -> None:
        """Forget what is past its time whether or not anybody asks for anything; until nothing is held."""
        while self._recordings:
            await asyncio.sleep(_FORGET_EVERY_S)
            self._forget()

    def _forget(self) -> None:
        """Recordings that are past their time, uploads that were abandoned, and the oldest of too many."""
        now, limits = time.monotonic(), self._limits
        over = sorted((each for each in self._recordings.values() if each.over), key=lambda each: each.touched)
        gone = [each for each in over if now - each.touched > limits.kept_s]
        gone += over[: max(0, len(over) - limits.max_kept)]
        gone += [each for each in self._recordings.values() if not each.task and now - each.touched > _ABANDONED_S]
        for recording in gone:
            self._recordings.pop(recording.id, None)
            if recording.file is not None:
                recording.file.close()

    async def _drop(self, recording: RecordingTask) -> None:
        self._recordings.pop(recording.id, None)
        if recording.task is not None and not recording.task.done():
            recording.task.cancel()
        elif recording.file is not None:
            recording.file.close()
        if not recording.over:
            await recording.fail(Problem(code="cancelled", message="It was cancelled.", remedy="Send it again."))

    def _forbidden(self, uri: str) -> Refusal | None:
        """Whether an address is outside of what may be read."""
        refusal = Refusal(
            403, "forbidden", "This address may not be read.", "Upload the recording, or have its prefix allowed."
        )
        try:
            bucket, key = parse_uri(uri)
        except ConfigError:
            return refusal
        # Some servers resolve such keys as paths; S3 itself never needs them.
        parts = key.split("/")
        if not key or any(part in {"", ".", ".."} for part in parts) or not uri.isprintable() or "\\" in uri:
            return refusal
        allowed = any(Place.of(each).holds(bucket, key) for each in self._settings.s3_prefixes)
        return None if allowed else refusal
