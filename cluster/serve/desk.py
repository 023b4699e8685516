"""The desk: what there may be only one of. Recordings that are being illustrated, quotas, the figures of all replicas.

One replica, in memory: it starts again empty. Results that must last come from the batch job.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import logging
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from cluster.serve import faults, problems
from cluster.serve.guard import Caller, Doorkeeper
from cluster.serve.keys import Key, Quotas
from cluster.serve.messages import DrawnFiles, DrawRequest, Encoded, ModelInfo, Refused
from cluster.serve.metrics import Gathered
from cluster.serve.ports import keep_to_loopback
from cluster.serve.problems import Refusal
from cluster.serve.schemas import JobStatus, Problem, RecordingView, SceneView
from cluster.serve.settings import ServeSettings
from s2i_core import identity, steps
from s2i_core.audio.isolated import DecoderProcess
from s2i_core.audio.listen import Heard, Utterance, listen
from s2i_core.config import ImageConfig
from s2i_core.errors import ConfigError, S2IError
from s2i_core.models import registry
from s2i_core.records import AudioObject, Scene, Status
from s2i_core.scenes import Embedded
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import Place, parse_uri

log = logging.getLogger("ray.serve")

_UTTERANCES_AT_ONCE = 4
_DRAWN_AT_ONCE = 4
_PROGRESS_S = 0.5
_ABANDONED_S = 60.0
"""An upload of which nothing more comes."""
_FORGET_EVERY_S = 1.0


@dataclass(frozen=True)
class Event:
    """An event of a recording, as it is streamed."""

    number: int
    name: str
    data: dict[str, Any]


@dataclass
class RecordingTask:
    """A recording that is being illustrated, or was."""

    id: str
    owner: str
    image: ImageConfig
    file: BinaryIO | None
    uri: str | None = None
    key: Key | None = None
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

    async def progress(self) -> None:
        """Say how far it is."""
        facts = ("status", "heard_s", "duration_s", "drawn", "to_draw")
        await self.tell("progress", self.view().model_dump(include=set(facts)))


class Desk:
    """One replica of this runs. Its methods give a `Problem` with its status where they refuse."""

    def __init__(self, settings: ServeSettings, encoder: DeploymentHandle, generator: DeploymentHandle) -> None:
        keep_to_loopback()
        faults.tell()
        self._settings = settings
        self._config = settings.config()
        self._limits = settings.limits
        self._frontend = registry.frontend(self._config.model.encoder)
        self._encoder = encoder
        self._generator = generator
        self._recordings: dict[str, RecordingTask] = {}
        self._doorkeeper = Doorkeeper(settings)
        self._quotas = Quotas()
        self._gathered = Gathered()
        self._threads = ThreadPoolExecutor(settings.limits.recordings_at_once, thread_name_prefix="listen")
        self._turn = asyncio.Semaphore(settings.limits.recordings_at_once)
        self._store: ObjectStore | None = None
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
        capacity = float(key.images_per_minute)
        return self._quotas.spend(key.name, "images", images, capacity, capacity / 60)

    # --------------------------------------------------------------------------------------------------- recordings

    async def begin(self, owner: str, key: Key | None, image: ImageConfig, uri: str | None) -> RecordingView | Refusal:
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
        recording = RecordingTask(secrets.token_urlsafe(16), owner, image, file, uri, key)
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

    async def finish(self, id: str, image: ImageConfig) -> RecordingView | Refusal:
        """The upload is complete: the work begins."""
        recording = self._recordings.get(id)
        if recording is None:
            return problems.missing()
        recording.image = image
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
            recording.status = "failed"
            recording.error = Problem(code="cancelled", message="It was cancelled.", remedy="Send it again.")
            await recording.tell("failed", {"error": recording.error.model_dump()})

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

    # -------------------------------------------------------------------------------------------------------- work

    def _start(self, recording: RecordingTask) -> None:
        recording.task = asyncio.get_running_loop().create_task(self._work(recording))

    async def _work(self, recording: RecordingTask) -> None:
        try:
            await recording.progress()
            async with self._doorkeeper.holding(Caller(recording.owner, recording.key)), self._turn:
                await self._illustrate(recording)
            recording.status = "done"
            await recording.tell("done", recording.view().model_dump())
        except asyncio.CancelledError:
            raise
        except Refusal as refusal:
            await self._failed(recording, refusal.problem)
        except S2IError as error:
            await self._failed(recording, problems.of_audio(error).problem)
        except Exception as error:
            log.error("recording %s failed", recording.id, exc_info=error)
            await self._failed(recording, problems.internal(recording.id).problem)
        finally:
            if recording.file is not None:
                recording.file.close()
                recording.file = None

    async def _failed(self, recording: RecordingTask, problem: Problem) -> None:
        recording.status, recording.error = "failed", problem
        await recording.tell("failed", {"error": problem.model_dump(exclude_none=True)})

    async def _illustrate(self, recording: RecordingTask) -> None:
        recording.status = "listening"
        await recording.progress()
        embedded, heard = await self._hear(recording)
        recording.duration_s = recording.heard_s = round(heard.duration_s, 3)
        recording.damage, recording.tracks = heard.damage, heard.tracks
        facts: ModelInfo = await self._encoder.facts.remote()
        scenes = await asyncio.to_thread(
            steps.plan,
            embedded,
            heard.gaps,
            self._config,
            recording_id=identity.recording_id(heard.sha256),
            encoder_digest=facts.encoder_digest,
            run_id=recording.id,
        )
        recording.scenes = [_view(scene) for scene in scenes]
        wanted = [scene for scene in scenes if scene.status == Status.OK]
        recording.to_draw, recording.status = len(wanted), "drawing"
        await recording.progress()
        for view in recording.scenes:
            await recording.tell("scene", view.model_dump())
        places = asyncio.Semaphore(_DRAWN_AT_ONCE)

        async def one(scene: Scene) -> None:
            async with places:
                await self._draw(recording, scene)

        async with asyncio.TaskGroup() as group:
            for scene in wanted:
                group.create_task(one(scene))

    async def _hear(self, recording: RecordingTask) -> tuple[list[Embedded], Heard]:
        limited = self._config.audio.model_copy(
            update={
                "max_size_bytes": self._limits.max_recording_bytes,
                "max_duration_s": self._limits.max_recording_s,
                "max_decode_s": self._limits.max_recording_decode_s,
            }
        )
        loop = asyncio.get_running_loop()
        file = recording.file
        if file is None:
            # Owned by the recording from here on: `_work` closes it.
            file = recording.file = await loop.run_in_executor(self._threads, self._open, recording.uri)
        embedded: list[Embedded] = []
        told = 0.0
        with DecoderProcess(self._config.resources.decoder) as decoder:
            listening = await loop.run_in_executor(
                self._threads, listen, file, "the recording", limited, decoder.decode, self._frontend
            )
            utterances = iter(listening)
            while some := await loop.run_in_executor(self._threads, _some, utterances):
                self._charge(recording, some)
                embedded += await self._encode(some)
                recording.heard_s = some[-1].end_s
                if time.monotonic() - told > _PROGRESS_S:
                    told = time.monotonic()
                    await recording.progress()
        return embedded, listening.result

    def _charge(self, recording: RecordingTask, utterances: Sequence[Utterance]) -> None:
        key = recording.key
        if key is None:
            return
        heard_s = utterances[-1].end_s - recording.heard_s
        wait_s = self._quotas.spend(key.name, "audio", heard_s, key.audio_s_per_day, key.audio_s_per_day / 86400)
        if wait_s:
            raise Refusal(429, "quota", "The day's quota of audio is used up.", "Go on tomorrow.", wait_s)

    def _open(self, uri: str | None) -> BinaryIO:
        """An object under an allowed prefix; nothing is read from anywhere else."""
        assert uri is not None
        bucket, key = parse_uri(uri)
        if self._store is None:
            self._store = ObjectStore(self._settings.store or S3Settings.from_env())
        info = self._store.head(bucket, key)
        if info is None:
            raise problems.missing("There is no such object.")
        return self._store.open(AudioObject(bucket, key, info.etag, info.size_bytes))

    async def _encode(self, utterances: list[Utterance]) -> list[Embedded]:
        while True:
            try:
                result: Encoded | Refused = await self._encoder.encode.remote(utterances)
            except BackPressureError:
                result = Refused.FULL
            if not isinstance(result, Refused):
                return result.embedded
            await asyncio.sleep(0.5)  # clips come first

    async def _draw(self, recording: RecordingTask, scene: Scene) -> None:
        view = recording.scenes[scene.index]
        seed = identity.seed(scene.scene_id)
        while True:
            if recording.key is not None and (wait_s := await self.spend_images(recording.key, 1)):
                await asyncio.sleep(min(wait_s, 5.0))
                continue
            try:
                drawn: DrawnFiles | Refused = await self._generator.draw.remote(
                    DrawRequest(scene, (seed,), recording.image)
                )
            except BackPressureError:
                drawn = Refused.FULL
            except (RayError, RayServeException, S2IError) as error:
                log.error("scene %s of recording %s failed", scene.index, recording.id, exc_info=error)
                recording.scenes[scene.index] = view.model_copy(update={"status": "failed", "reason": "failed"})
                await recording.tell("scene", recording.scenes[scene.index].model_dump())
                return
            if not isinstance(drawn, Refused):
                break
            await asyncio.sleep(0.5)
        recording.files[scene.index] = drawn.files[0]
        recording.content_type = drawn.content_type
        recording.drawn += 1
        view = view.model_copy(
            update={
                "image_url": f"{recording.url}/scenes/{scene.index}/image",
                "seed": str(seed),
                "similarity": drawn.similarity[0],
            }
        )
        recording.scenes[scene.index] = view
        file = {"image": base64.b64encode(drawn.files[0]).decode(), "content_type": drawn.content_type}
        await recording.tell("image", view.model_dump() | file)
        await recording.progress()


def _view(scene: Scene) -> SceneView:
    return SceneView(
        index=scene.index,
        scene_id=scene.scene_id,
        start_s=round(scene.start_s, 3),
        end_s=round(scene.end_s, 3),
        status="ok" if scene.status == Status.OK else "skipped",
        reason=scene.reason,
        confidence=scene.confidence if scene.focus_tokens else None,
    )


def _some(utterances: Iterator[Utterance]) -> list[Utterance]:
    return list(itertools.islice(utterances, _UTTERANCES_AT_ONCE))
