"""The work on a recording: decode and encode it, plan its scenes, draw them, and tell of each step."""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from cluster.serve import problems
from cluster.serve.callers import Caller, Doorkeeper
from cluster.serve.keys import Quotas
from cluster.serve.messages import DrawnFiles, DrawRequest, Encoded, ModelInfo, Refused
from cluster.serve.problems import Refusal, log
from cluster.serve.recordings.task import RecordingTask
from cluster.serve.schemas import PictureContents, SceneView
from cluster.serve.settings import ServeSettings
from s2i_core import identity, steps
from s2i_core.audio.isolated import DecoderProcess
from s2i_core.audio.listen import Heard, Utterance, listen
from s2i_core.errors import S2IError
from s2i_core.models import registry
from s2i_core.records import AudioObject, Scene, Skip, Status
from s2i_core.scenes import Embedded
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import parse_uri

_UTTERANCES_AT_ONCE = 4
_DRAWN_AT_ONCE = 4
_PROGRESS_S = 0.5
_AGAIN_S = 0.5
"""After which the model is asked again where it was busy: clips come first."""


class Illustrator:
    """Illustrates so many recordings at a time as the limits say; others wait for their turn."""

    def __init__(
        self, settings: ServeSettings, encoder: DeploymentHandle, generator: DeploymentHandle, quotas: Quotas
    ) -> None:
        self._settings = settings
        self._config = settings.config()
        self._limits = settings.limits
        self._frontend = registry.frontend(self._config.model.encoder)
        self._encoder = encoder
        self._generator = generator
        self._quotas = quotas
        self._doorkeeper = Doorkeeper(settings)
        self._threads = ThreadPoolExecutor(settings.limits.recordings_at_once, thread_name_prefix="decode")
        self._turn = asyncio.Semaphore(settings.limits.recordings_at_once)
        self._store: ObjectStore | None = None

    async def run(self, recording: RecordingTask) -> None:
        """All of it, in its turn; what goes wrong becomes the recording's outcome. Closes its file."""
        try:
            await recording.progress()
            async with self._doorkeeper.holding(Caller(recording.owner, recording.key)), self._turn:
                await self._illustrate(recording)
            recording.status = "done"
            await recording.tell("done", recording.view().model_dump())
        except asyncio.CancelledError:
            raise
        except Refusal as refusal:
            await recording.fail(refusal.problem)
        except S2IError as error:
            await recording.fail(problems.of_audio(error).problem)
        except Exception as error:  # noqa: BLE001 -- told to the client and the log
            log.error("recording %s failed", recording.id, exc_info=error)
            await recording.fail(problems.internal(recording.id).problem)
        finally:
            if recording.file is not None:
                recording.file.close()
                recording.file = None

    async def _illustrate(self, recording: RecordingTask) -> None:
        recording.status = "listening"
        await recording.progress()
        embedded, decoded = await self._encode(recording)
        recording.duration_s = recording.heard_s = round(decoded.duration_s, 3)
        recording.damage, recording.tracks = decoded.damage, decoded.tracks
        facts: ModelInfo = await self._encoder.facts.remote()
        scenes = await asyncio.to_thread(
            steps.plan,
            embedded,
            decoded.gaps,
            self._config,
            recording_id=identity.recording_id(decoded.sha256),
            encoder_digest=facts.encoder_digest,
            run_id=recording.id,
        )
        unsure = maybes(scenes, embedded, recording.maybe)
        places_of = {scene.index: place for place, scene in enumerate(unsure, 1)}
        recording.scenes = [_view(scene, places_of.get(scene.index)) for scene in scenes]
        wanted = [*(scene for scene in scenes if scene.status == Status.OK), *unsure]
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

    async def _encode(self, recording: RecordingTask) -> tuple[list[Embedded], Heard]:
        """Decode it, a few utterances at a time, and encode them."""
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
            # Owned by the recording from here on: `run` closes it.
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
                embedded += await self._embeddings(some)
                recording.heard_s = some[-1].end_s
                if time.monotonic() - told > _PROGRESS_S:
                    told = time.monotonic()
                    await recording.progress()
        return embedded, listening.result

    def _charge(self, recording: RecordingTask, utterances: Sequence[Utterance]) -> None:
        key = recording.key
        if key is not None and (wait_s := self._quotas.audio(key, utterances[-1].end_s - recording.heard_s)):
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

    async def _embeddings(self, utterances: list[Utterance]) -> list[Embedded]:
        while True:
            try:
                result: Encoded | Refused = await self._encoder.encode.remote(utterances)
            except BackPressureError:
                result = Refused.FULL
            if not isinstance(result, Refused):
                return result.embedded
            await asyncio.sleep(_AGAIN_S)

    async def _draw(self, recording: RecordingTask, scene: Scene) -> None:
        view = recording.scenes[scene.index]
        seed = identity.seed(scene.scene_id)
        while True:
            if recording.key is not None and (wait_s := self._quotas.images(recording.key, 1)):
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
            await asyncio.sleep(_AGAIN_S)
        recording.files[scene.index] = drawn.files[0]
        recording.content_type = drawn.content_type
        recording.drawn += 1
        view = view.model_copy(
            update={
                "image_url": f"{recording.url}/scenes/{scene.index}/image",
                "seed": str(seed),
                "similarity": drawn.similarity[0],
                **dict(PictureContents.of(drawn.contents[0])),
            }
        )
        recording.scenes[scene.index] = view
        file = {"image": base64.b64encode(drawn.files[0]).decode(), "content_type": drawn.content_type}
        await recording.tell("image", view.model_dump() | file)
        await recording.progress()


def maybes(scenes: Sequence[Scene], embedded: Sequence[Embedded], most: int) -> list[Scene]:
    """The surest `most` of the scenes that are skipped as unsure, the surest first, to be drawn all the same.

    Each shows the thing that is most likely named in it, or where none is, its focus as a whole.
    """
    found = []
    for scene in scenes:
        if scene.reason != Skip.BELOW_CONFIDENCE:
            continue
        own = (each for each in embedded if scene.start_s <= each.start_s < scene.end_s)
        things = [thing for each in own for thing in each.things if thing.vector is not None]
        best = max(things, key=lambda thing: thing.confidence, default=None)
        meant = scene if best is None else steps.meaning(scene, [best])
        found.append((best is not None, scene.confidence if best is None else best.confidence, -scene.index, meant))
    return [meant for *_, meant in sorted(found, key=lambda each: each[:3], reverse=True)[:most]]


def _view(scene: Scene, maybe: int | None) -> SceneView:
    return SceneView(
        index=scene.index,
        scene_id=scene.scene_id,
        start_s=round(scene.start_s, 3),
        end_s=round(scene.end_s, 3),
        status="ok" if scene.status == Status.OK else "skipped",
        reason=scene.reason,
        confidence=scene.confidence if scene.focus_tokens else None,
        things=scene.things,
        maybe=maybe,
    )


def _some(utterances: Iterator[Utterance]) -> list[Utterance]:
    return list(itertools.islice(utterances, _UTTERANCES_AT_ONCE))
