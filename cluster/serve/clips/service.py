"""From a clip to its pictures: what the ingress does with the deployments, apart from HTTP.

The steps, ids, seeds and precisions are those of the batch jobs, so that the same audio, settings and seed give the
same pixels here and there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.exceptions import RayError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from cluster.serve import problems
from cluster.serve.callers import Caller, Doorkeeper
from cluster.serve.clips import doubt
from cluster.serve.clips.admission import Clips, Places, TimeLeft
from cluster.serve.clips.decoding import Decoders
from cluster.serve.messages import DrawnFiles, DrawRequest, Encoded, ModelInfo, PreviewFile, Refused
from cluster.serve.metrics import Meter
from cluster.serve.problems import Refusal
from cluster.serve.schemas import Choices, ImageOptions, Options
from cluster.serve.settings import ServeSettings
from s2i_core import identity, steps, tracing
from s2i_core.audio.listen import Heard, Utterance
from s2i_core.config import ImageConfig
from s2i_core.errors import S2IError
from s2i_core.models import registry
from s2i_core.records import Gap, Scene, Skip, Status, Thing
from s2i_core.scenes import Embedded

_RUN_ID = "online"
_FACTS_S = 10.0


@dataclass(frozen=True)
class PlannedClip:
    """A clip's surest scene, and what is known of the rest."""

    scene: Scene
    utterances: tuple[Utterance, ...]
    """Of the scene."""
    decoded: Heard
    decode_ms: float
    encode_ms: float

    @property
    def sure(self) -> bool:
        """Whether a batch job would draw it."""
        return self.scene.status == Status.OK


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
        self.doorkeeper = Doorkeeper(settings)
        limits, meter = self.limits, self.meter
        self.clips = Clips(limits.max_clips, limits.share(limits.max_clips), limits.max_wait_s, meter)
        self.uploads = Places("uploads", limits.max_uploads, limits.share(limits.max_uploads), meter)
        self.live = Places("live", limits.max_live, limits.share(limits.max_live), meter)
        self.events = Places("events", limits.max_events, limits.share(limits.max_events), meter)
        self.queries = Places("queries", limits.max_queries, limits.share(limits.max_queries), meter)
        self._encoder = encoder
        self._generator = generator
        self._generator_stream = generator.options(stream=True)
        self._facts: ModelInfo | None = None
        self.frontend = registry.frontend(self.config.model.encoder)
        self._decode = Decoders(self.limits.max_listening, self.config.resources.decoder, self.frontend)

    async def facts(self) -> ModelInfo:
        """What the model is.

        Raises:
            Refusal: the models are not loaded yet.
        """
        if self._facts is None:
            try:
                facts: ModelInfo = await asyncio.wait_for(self._encoder.facts.remote(), _FACTS_S)
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
        chosen = options.model_dump(include={"style", "size", "aspect", "steps", "format"}, exclude_none=True)
        if "size" in chosen:
            chosen["size_px"] = chosen.pop("size")
        image = self.config.image.model_copy(update=chosen)
        if image.style not in facts.decoder.styles:
            raise Refusal(422, "unknown_style", "The model does not know this style.", "See /v1/styles.")
        unit_px = facts.decoder.unit_px
        if image.size_px > limits.max_size_px or image.size_px % unit_px:
            multiple = f"a multiple of {unit_px}, " if unit_px > 1 else ""
            allowed = f"size must be {multiple}64 to {limits.max_size_px}."
            raise Refusal(422, "invalid", allowed, "Choose another size.")
        if image.steps > limits.max_steps:
            raise Refusal(422, "invalid", f"steps must be 1 to {limits.max_steps}.", "Choose fewer steps.")
        if facts.decoder.cost(image) * (options.n if isinstance(options, ImageOptions) else 1) > limits.max_cost:
            message = "n, size and steps ask for more than one request may have."
            raise Refusal(422, "invalid", message, "Choose fewer pictures, fewer steps or a smaller size.")
        return image

    async def cost(self, image: ImageConfig, images: int) -> float:
        """Cost of a clip and its pictures; encoding it counts as much as drawing one picture as configured."""
        decoder = (await self.facts()).decoder
        return images * decoder.cost(image) + decoder.cost(self.config.image)

    def time_left(self, timeout_s: float | None = None) -> TimeLeft:
        """What a request that comes now has."""
        return TimeLeft(time.time() + (timeout_s or self.limits.timeout_s), self.limits.max_wait_s)

    @contextlib.asynccontextmanager
    async def within(self, time_left: TimeLeft) -> AsyncIterator[None]:
        """End the block at the deadline, and with it what it waits for in the deployments.

        Raises:
            Refusal: the deadline passed.
        """
        try:
            async with time_left.timeout():
                yield
        except TimeoutError:
            raise problems.late(self.clips.wait_s) from None

    async def plan(self, audio: bytes, time_left: TimeLeft) -> PlannedClip:
        """Decode a clip, encode its utterances, and find its surest scene.

        Raises:
            Refusal: it cannot be decoded, is too long, nobody speaks in it, or it waited too long.
        """
        started = time.monotonic()
        limited = self.config.audio.model_copy(
            update={
                "max_size_bytes": self.limits.max_clip_bytes,
                "max_duration_s": self.limits.max_clip_s,
                "max_decode_s": min(self.limits.max_clip_decode_s, max(0.1, time_left.deadline - time.time())),
            }
        )
        try:
            with tracing.span("decode", {"s2i.bytes": len(audio)}):
                decoding = await self._decode(audio, limited, time_left.begin_by)
        except S2IError as error:
            if time.time() >= time_left.deadline:
                raise problems.late(self.clips.wait_s) from None
            raise problems.of_audio(error) from None
        if decoding is None:
            raise time_left.refusal(self.clips.wait_s)
        utterances, decoded, waited_s = decoding
        time_left.waited(waited_s)
        decoded_at = time.monotonic()
        self.meter.step("decode", decoded_at - started)
        if not utterances:
            raise problems.no_speech(any(gap.kind == Skip.NO_SPEECH for gap in decoded.gaps))
        embedded = await self.encode(utterances, time_left)
        scenes = await self.scenes(embedded, decoded.gaps, decoded.sha256)
        # Of equals the first, as the plan chooses the focus.
        surest = max((scene for scene in scenes if scene.focus_tokens), key=sureness)
        planned_at = time.monotonic()
        self.meter.step("encode", planned_at - decoded_at)
        own = tuple(each for each in utterances if surest.start_s <= each.start_s < surest.end_s)
        return PlannedClip(surest, own, decoded, (decoded_at - started) * 1000, (planned_at - decoded_at) * 1000)

    async def encode(self, utterances: list[Utterance], time_left: TimeLeft) -> list[Embedded]:
        """Embeddings of utterances.

        Raises:
            Refusal: no place, or not in time.
        """
        with tracing.span("encode", {"s2i.utterances": len(utterances)}):
            answer = await self._answer(self._encoder.encode.remote(utterances, time_left.begin_by))
            encoded: Encoded = self._or_refuse(answer, time_left)
        time_left.waited(encoded.waited_s)
        return encoded.embedded

    async def scenes(self, embedded: list[Embedded], gaps: list[Gap], sha256: str) -> list[Scene]:
        """Scenes of a sound, named by its digest. By the settings of a batch job: the service's limits shape none."""
        return steps.plan(
            embedded,
            gaps,
            self.config,
            recording_id=identity.recording_id(sha256),
            encoder_digest=(await self.facts()).encoder_digest,
            run_id=_RUN_ID,
        )

    async def in_doubt(
        self, scene: Scene, utterances: Sequence[Utterance], wish: Choices, time_left: TimeLeft
    ) -> list[Scene]:
        """The scene in each of its likeliest readings, where it is in doubt and somebody wants to choose; else none.

        Raises:
            Refusal: no place, or not in time; or what the client says of earlier choices cannot be read.
        """
        asked = doubt.question(scene, wish)
        if asked is None:
            return []
        with tracing.span("readings", {"s2i.utterances": len(utterances)}):
            answer = self._encoder.readings.remote(utterances, asked.most, asked.first, asked.without)
            found: list[Thing] = self._or_refuse(await self._answer(answer), time_left)
        return doubt.meanings(scene, asked, found)

    async def spend(self, caller: Caller, images: int) -> None:
        """Take pictures from the caller's quota.

        Raises:
            Refusal: it is used up.
        """
        if caller.key is not None and (wait_s := await self.desk.spend_images.remote(caller.key, images)):
            raise Refusal(429, "quota", "The quota of this key is used up.", "Wait, or ask for a larger one.", wait_s)

    async def things(self, titles: Sequence[str]) -> NDArray[np.float16]:
        """Vectors `(n, E)` of things by what they are called.

        Raises:
            Refusal: the model does not know one.
        """
        found: NDArray[np.float16] | str = await self._encoder.things.remote(titles)
        if isinstance(found, str):
            raise Refusal(422, "invalid", found, "Name other things, or none.")
        return found

    async def draw(
        self, scene: steps.Drawable, seeds: tuple[int, ...], image: ImageConfig, time_left: TimeLeft
    ) -> DrawnFiles:
        """Pictures of a scene.

        Raises:
            Refusal: no place, or not in time.
        """
        started = time.monotonic()
        with tracing.span("draw", {"s2i.images": len(seeds)}):
            request = DrawRequest(scene, seeds, image, time_left.begin_by)
            drawn: DrawnFiles = self._or_refuse(await self._answer(self._generator.draw.remote(request)), time_left)
        self.meter.step("draw", time.monotonic() - started)
        return drawn

    async def draw_each(
        self, scenes: Sequence[Scene], seed: int, image: ImageConfig, time_left: TimeLeft
    ) -> list[DrawnFiles]:
        """A picture of each of these, from the same noise, in one batch if there is room.

        Raises:
            Refusal: no place, or not in time.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.draw(scene, (seed,), image, time_left)) for scene in scenes]
        except ExceptionGroup as failed:
            # Whoever asked is told as of a single picture: by a refusal, not by a group of them.
            raise failed.exceptions[0] from failed
        return [task.result() for task in tasks]

    async def draw_live(
        self, scene: Scene, seed: int, image: ImageConfig, time_left: TimeLeft
    ) -> AsyncIterator[PreviewFile | DrawnFiles]:
        """Previews of a picture and then the picture.

        Raises:
            Refusal: no place, or not in time.
        """
        stream = self._generator_stream.draw_live.remote(DrawRequest(scene, (seed,), image, time_left.begin_by))
        try:
            async for item in stream:
                yield self._or_refuse(item, time_left)
        except BackPressureError:
            raise problems.busy(self.clips.wait_s) from None
        finally:
            stream.cancel()

    async def _answer(self, response: Any) -> Any:
        try:
            return await response
        except BackPressureError:
            return Refused.FULL
        except asyncio.CancelledError:
            # The client left, or the deadline passed: what has not begun will not, and what has begun ends.
            response.cancel()
            raise

    def _or_refuse(self, result: Any, time_left: TimeLeft) -> Any:
        if isinstance(result, Refused):
            raise time_left.refusal(self.clips.wait_s)
        return result


def sureness(scene: Scene) -> tuple[bool, float]:
    """What the surest of a clip's scenes has most of. One that names nothing is drawn where none names anything."""
    return bool(scene.things), scene.confidence


def seeds(scene: Scene, options: ImageOptions) -> tuple[int, ...]:
    """Seeds of the pictures of a clip: the client's or the scene's own, and then others made from it."""
    first = identity.seed(scene.scene_id) if options.seed is None else options.seed
    return (first, *(identity.variation(first, index) for index in range(1, options.n)))
