"""From a clip to its pictures: what the ingress does with the deployments, apart from HTTP.

The steps, ids, seeds and precisions are those of the batch jobs, so that the same audio, settings and seed give the
same pixels here and there.
"""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from cluster.serve import problems
from cluster.serve.deployments import Drawn, DrawRequest, Facts, Preview, Refused, cost
from cluster.serve.metrics import Meter
from cluster.serve.problems import Refusal
from cluster.serve.schemas import MAX_SEED, ImageOptions, Options
from cluster.serve.settings import ServeSettings
from s2i_core import identity, tracing
from s2i_core.audio.isolated import DecoderProcess
from s2i_core.audio.listen import Heard, Utterance, listen
from s2i_core.config import AudioConfig, DecoderConfig, ImageConfig
from s2i_core.errors import S2IError
from s2i_core.records import Scene, Skip, Status
from s2i_core.scenes import Embedded, plan_scenes

RUN_ID = "online"
_FACTS_S = 10.0
_GRACE_S = 1.0
"""A deployment says itself that a deadline passed; only where it does not is it given up."""


@dataclass(frozen=True)
class Clip:
    """A clip that was heard: its surest scene, and what is known of the rest."""

    scene: Scene
    heard: Heard
    listen_ms: float
    encode_ms: float

    @property
    def sure(self) -> bool:
        """Whether a batch job would draw it."""
        return self.scene.status == Status.OK


class Places:
    """So many may be at work or waiting at a time; more are refused, with a time after which to try again."""

    def __init__(self, kind: str, number: int, meter: Meter) -> None:
        self._kind = kind
        self._number = number
        self._meter = meter
        self._taken = 0
        self._lasts_s = 1.0

    def check(self) -> None:
        """Refuse before anything was read where there is no place.

        Raises:
            Refusal: there is none.
        """
        if self._taken >= self._number:
            raise problems.busy(self._lasts_s)

    @contextmanager
    def take(self) -> Iterator[None]:
        """A place for the time of the block.

        Raises:
            Refusal: there is none.
        """
        self.check()
        self._count(1)
        started = time.monotonic()
        try:
            yield
        finally:
            self._count(-1)
            self._lasts_s += 0.1 * (time.monotonic() - started - self._lasts_s)

    def _count(self, change: int) -> None:
        self._taken += change
        self._meter.places(self._kind, self._taken)


class Service:
    """The deployments behind the ingress, and the limits before them."""

    def __init__(
        self, settings: ServeSettings, encoder: DeploymentHandle, generator: DeploymentHandle, desk: DeploymentHandle
    ) -> None:
        self.settings = settings
        self.config = settings.config()
        self.limits = settings.limits
        self.meter = Meter("ingress")
        self.desk = desk
        self.clips = Places("clips", self.limits.max_clips, self.meter)
        self.uploads = Places("uploads", self.limits.max_uploads, self.meter)
        self.live = Places("live", self.limits.max_live, self.meter)
        self._encoder = encoder
        self._generator = generator
        self._generator_stream = generator.options(stream=True)
        self._facts: Facts | None = None
        self._listen = Listener(self.limits.max_listening, self.config.resources.decoder)

    async def facts(self) -> Facts:
        """What the model is.

        Raises:
            Refusal: the models are not loaded yet.
        """
        if self._facts is None:
            try:
                facts: Facts = await asyncio.wait_for(self._encoder.facts.remote(), _FACTS_S)
            except (TimeoutError, RayError, RayServeException):
                raise problems.starting() from None
            self._facts = facts
        return self._facts

    async def image_config(self, options: Options) -> ImageConfig:
        """The service's settings with the client's options in them.

        Raises:
            Refusal: a style that the model does not know, or more than is allowed.
        """
        facts, limits = await self.facts(), self.limits
        chosen = options.model_dump(include={"style", "size", "steps", "format"}, exclude_none=True)
        if "size" in chosen:
            chosen["size_px"] = chosen.pop("size")
        image = self.config.image.model_copy(update=chosen)
        if image.style not in facts.styles:
            raise Refusal(422, "unknown_style", "The model does not know this style.", "See /v1/styles.")
        if image.size_px > limits.max_size_px or image.size_px % facts.unit_px:
            allowed = f"size must be a multiple of {facts.unit_px}, 64 to {limits.max_size_px}."
            raise Refusal(422, "invalid", allowed, "Choose another size.")
        if image.steps > limits.max_steps:
            raise Refusal(422, "invalid", f"steps must be 1 to {limits.max_steps}.", "Choose fewer steps.")
        if cost(image, options.n if isinstance(options, ImageOptions) else 1) > limits.max_cost:
            message = "n, size and steps ask for more than one request may have."
            raise Refusal(422, "invalid", message, "Choose fewer pictures, fewer steps or a smaller size.")
        return image

    async def hear(self, audio: bytes, deadline: float) -> Clip:
        """Decode a clip, find its speech, embed it, and find its surest scene.

        Raises:
            Refusal: it cannot be decoded, is too long, or nobody speaks in it.
        """
        started = time.monotonic()
        facts = await self.facts()
        limited = self.config.audio.model_copy(
            update={
                "max_size_bytes": self.limits.max_clip_bytes,
                "max_duration_s": self.limits.max_clip_s,
                "max_decode_s": self.limits.max_clip_decode_s,
            }
        )
        try:
            with tracing.span("listen", {"s2i.bytes": len(audio)}):
                utterances, heard = await self._listen(audio, limited)
        except S2IError as error:
            raise problems.of_audio(error) from None
        listened = time.monotonic()
        self.meter.step("listen", listened - started)
        if not utterances:
            raise problems.no_speech(any(gap.kind == Skip.NO_SPEECH for gap in heard.gaps))
        embedded = await self.encode(utterances, deadline)
        scenes = plan_scenes(
            embedded,
            heard.gaps,
            self.config.scenes,
            recording_id=identity.recording_id(heard.sha256),
            model_digest=facts.model_digest,
            # Of the settings of a batch job: the service's own limits shape no scene.
            plan_digest=self.config.plan_digest,
            run_id=RUN_ID,
        )
        # Of equals the first, as plan_scenes chooses the focus.
        surest = max((scene for scene in scenes if scene.focus_tokens), key=lambda scene: scene.confidence)
        encoded = time.monotonic()
        self.meter.step("encode", encoded - listened)
        return Clip(surest, heard, (listened - started) * 1000, (encoded - listened) * 1000)

    async def encode(self, utterances: list[Utterance], deadline: float) -> list[Embedded]:
        """Embeddings of utterances.

        Raises:
            Refusal: no place, or not in time.
        """
        with tracing.span("encode", {"s2i.utterances": len(utterances)}):
            answer = self._answer(self._encoder.encode.remote(utterances, deadline), deadline)
            result: list[Embedded] = _or_refuse(await answer)
        return result

    async def draw(self, request: DrawRequest) -> Drawn:
        """Pictures of a scene.

        Raises:
            Refusal: no place, or not in time.
        """
        started = time.monotonic()
        with tracing.span("draw", {"s2i.images": len(request.seeds)}):
            result: Drawn = _or_refuse(await self._answer(self._generator.draw.remote(request), request.deadline))
        self.meter.step("draw", time.monotonic() - started)
        return result

    async def draw_live(self, request: DrawRequest) -> AsyncIterator[Preview | Drawn]:
        """Previews of a picture and then the picture.

        Raises:
            Refusal: no place, or not in time.
        """
        stream = self._generator_stream.draw_live.remote(request)
        try:
            async with asyncio.timeout(max(0.0, request.deadline - time.time()) + _GRACE_S):
                async for item in stream:
                    yield _or_refuse(item)
        except TimeoutError:
            raise problems.late(1.0) from None
        except BackPressureError:
            raise problems.busy(1.0) from None
        finally:
            stream.cancel()

    async def _answer(self, response: Any, deadline: float) -> Any:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.time()) + _GRACE_S):
                return await response
        except TimeoutError:
            response.cancel()
            raise problems.late(1.0) from None
        except BackPressureError:
            raise problems.busy(1.0) from None
        except asyncio.CancelledError:
            # The client left: what has not begun will not.
            response.cancel()
            raise


def seeds(scene: Scene, options: ImageOptions) -> tuple[int, ...]:
    """Seeds of the pictures of a clip: the client's or the scene's own, and then others made from it."""
    first = identity.seed(scene.scene_id) if options.seed is None else options.seed
    return (first, *(variation(first, index) for index in range(1, options.n)))


def variation(seed: int, index: int) -> int:
    """Seed of the picture number `index` beside one with this seed."""
    return int(identity.digest("variation", seed, index), 16) & MAX_SEED


@cache
def example() -> bytes:
    """A short clip of speech, WebM with Opus as a browser records: to try things with, and for pictures of styles."""
    return (resources.files("cluster.serve") / "example.webm").read_bytes()


class Listener:
    """Threads that hear clips, each with a process of its own to decode in: where it crashes, one clip fails."""

    def __init__(self, threads: int, config: DecoderConfig) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="listen")
        self._config = config
        self._own = threading.local()
        # Warm: a process takes its time to start.
        for _ in range(threads):
            self._threads.submit(self._listen, example(), AudioConfig())

    async def __call__(self, audio: bytes, config: AudioConfig) -> tuple[list[Utterance], Heard]:
        """Utterances of a clip, and what is known of it.

        Raises:
            DecodeError, LimitExceeded: as `listen`.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._listen, audio, config)

    def _listen(self, audio: bytes, config: AudioConfig) -> tuple[list[Utterance], Heard]:
        if not hasattr(self._own, "process"):
            self._own.process = DecoderProcess(self._config)
        listening = listen(io.BytesIO(audio), "the clip", config, self._own.process.decode)
        return list(listening), listening.result


def _or_refuse(result: Any) -> Any:
    if result is Refused.FULL:
        raise problems.busy(2.0)
    if result is Refused.LATE:
        raise problems.late(2.0)
    return result
