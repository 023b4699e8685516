"""The two deployments that hold the model: the encoder and the generator, each batching by what it costs.

They take and give plain data, never tensors; errors that a client caused or must know of come back as values, because
an exception loses its type on its way through Ray.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from cluster.jobs.model import model_digest
from cluster.serve import faults
from cluster.serve.batching import Abandoned, Batcher, BatchFacts, Expired, QueueFull
from cluster.serve.metrics import Meter
from cluster.serve.ports import keep_to_loopback
from cluster.serve.settings import ServeSettings
from s2i_core.audio.features import FRAMES_PER_S
from s2i_core.audio.listen import Utterance
from s2i_core.config import ImageConfig, ModelConfig
from s2i_core.errors import ModelError
from s2i_core.publish.images import content_type, encode_image
from s2i_core.records import Scene
from s2i_core.scenes import Embedded

if TYPE_CHECKING:
    import torch

    from s2i_core.pipeline import SpeechToImagePipeline

Result = TypeVar("Result")

_COST_UNIT_PX = 256


class Refused(StrEnum):
    """Why a deployment has no result."""

    FULL = "full"
    """No place, or it would begin too late."""
    LATE = "late"
    """It has not begun in time."""


@dataclass(frozen=True)
class Facts:
    """What the model is."""

    model_digest: str
    styles: tuple[str, ...]
    unit_px: int
    """Sizes of pictures are multiples of it."""
    sample_size: int
    """Side at which every picture is drawn, whichever is wanted; 0: at the wanted one."""
    device: str


@dataclass(frozen=True)
class Encoded:
    """Embeddings of the utterances of one clip, in order."""

    embedded: list[Embedded]
    waited_s: float
    """How long the clip waited for its batch."""


@dataclass(frozen=True)
class DrawRequest:
    """Pictures of one scene: one for each seed."""

    scene: Scene
    seeds: tuple[int, ...]
    image: ImageConfig
    begin_by: float = float("inf")
    """On the clock of `time.time()`; what has not begun by then is not begun."""


@dataclass(frozen=True)
class Drawn:
    """Files of the pictures, in the order of the seeds."""

    files: tuple[bytes, ...]
    content_type: str
    similarity: tuple[float, ...]
    compute_ms: float
    """The share of the batch's time."""


@dataclass(frozen=True)
class Preview:
    """What the picture looks like after a step."""

    step: int
    steps: int
    file: bytes
    content_type: str


class Encoder:
    """Utterances to embeddings; a batch is limited by its seconds of audio."""

    def __init__(self, settings: ServeSettings) -> None:
        from s2i_core.illustrate import embed

        keep_to_loopback()
        faults.tell()
        self._pipeline = load(settings, settings.encoder.num_cpus)
        self._embed = embed
        self._meter = Meter("encoder")
        self._batcher: Batcher[tuple[Utterance, ...], tuple[list[Embedded], float]] = Batcher(
            self._run,
            lambda utterances: sum(each.features.shape[1] for each in utterances) / FRAMES_PER_S,
            settings.encoder.batch_cost,
            max_queued=settings.encoder.max_queued,
            max_wait_s=settings.limits.max_wait_s,
            told=self._told,
        )
        # Warm: the first call of each length is slower. The last one tells how fast it is, before the first request.
        for frames in (200, 400, 600, 400):
            started = time.monotonic()
            silence = Utterance(0.0, frames / FRAMES_PER_S, np.zeros((80, frames), np.float16), 0.0)
            self._run([(silence,)], lambda: True)
        self._batcher.learn(silence.end_s, time.monotonic() - started)

    async def facts(self) -> Facts:
        """What the model is."""
        pipeline, denoiser = self._pipeline, self._pipeline.denoiser
        own = denoiser.config.sample_size
        return Facts(pipeline.model_digest, tuple(pipeline.styles), denoiser.unit_px, own, str(pipeline.device))

    async def encode(self, utterances: Sequence[Utterance], begin_by: float = float("inf")) -> Encoded | Refused:
        """Embeddings of the utterances of one clip; what has not begun by then is not begun."""
        since = time.monotonic()
        result = await _refusing(self._batcher(tuple(utterances), begin_by))
        return result if isinstance(result, Refused) else Encoded(result[0], result[1] - since)

    def _run(
        self, clips: list[tuple[Utterance, ...]], wanted: Callable[[], bool]
    ) -> list[tuple[list[Embedded], float]]:
        """Each clip's embeddings, with when their batch began."""
        del wanted  # a batch takes less than there would be to win
        began = time.monotonic()
        embedded = iter(self._embed([each for clip in clips for each in clip], self._pipeline))
        results = [[next(embedded) for _ in clip] for clip in clips]
        if not all(np.isfinite(each.pooled).all() and np.isfinite(each.tokens).all() for r in results for each in r):
            raise ModelError("the speech encoder", "its output is not finite", "Try dtype float32.")
        return [(result, began) for result in results]

    def _told(self, facts: BatchFacts) -> None:
        self._meter.batch(facts, len(self._batcher))


@dataclass(frozen=True)
class _Order:
    request: DrawRequest
    show: Callable[[int, NDArray[np.uint8]], None] | None = field(default=None, compare=False)


class Generator:
    """Scenes to pictures; a batch is limited by images × steps × area, and holds one style, size and step count."""

    def __init__(self, settings: ServeSettings) -> None:
        from s2i_core.illustrate import focus

        keep_to_loopback()
        faults.tell()
        self._pipeline = load(settings, settings.generator.num_cpus)
        self._focus = focus
        self._meter = Meter("generator")
        self._files = ThreadPoolExecutor(2, thread_name_prefix="files")
        self._batcher: Batcher[_Order, Drawing] = Batcher(
            self._run,
            lambda order: self._cost(order.request.image, len(order.request.seeds)),
            settings.generator.batch_cost,
            group=lambda order: _shape(order.request.image),
            max_queued=settings.generator.max_queued,
            max_wait_s=settings.limits.max_wait_s,
            told=self._told,
        )
        self._warm(settings.config().image)

    async def draw(self, request: DrawRequest) -> Drawn | Refused:
        """The pictures of a scene."""
        drawing = await _refusing(self._batcher(_Order(request), request.begin_by))
        return drawing if isinstance(drawing, Refused) else await self._drawn(request, drawing)

    async def draw_live(self, request: DrawRequest) -> AsyncIterator[Preview | Drawn | Refused]:
        """The same, with previews of the first picture while it is denoised; the last item is the result."""
        loop = asyncio.get_running_loop()
        shown: asyncio.Queue[tuple[int, NDArray[np.uint8]] | None] = asyncio.Queue()

        def show(step: int, pixels: NDArray[np.uint8]) -> None:
            loop.call_soon_threadsafe(shown.put_nowait, (step, pixels))

        async def work() -> Drawing | Refused:
            try:
                return await _refusing(self._batcher(_Order(request, show), request.begin_by))
            finally:
                shown.put_nowait(None)

        task = loop.create_task(work())
        try:
            while (preview := await shown.get()) is not None:
                step, pixels = preview
                if shown.empty():  # else a later one is there already
                    file = await loop.run_in_executor(self._files, encode_image, pixels, request.image)
                    yield Preview(step, request.image.steps, file, content_type(request.image.format))
            drawing = await task
        finally:
            task.cancel()
        yield drawing if isinstance(drawing, Refused) else await self._drawn(request, drawing)

    async def _drawn(self, request: DrawRequest, drawing: Drawing) -> Drawn:
        loop = asyncio.get_running_loop()
        files = [
            await loop.run_in_executor(self._files, encode_image, pixels, request.image) for pixels in drawing.pixels
        ]
        kind = content_type(request.image.format)
        return Drawn(tuple(files), kind, tuple(drawing.similarity), drawing.compute_ms)

    def _run(self, orders: list[_Order], wanted: Callable[[], bool] = lambda: True) -> list[Drawing]:
        """Draw; where nobody wants any of them any more, it ends after the step."""
        started = time.monotonic()
        requests = [order.request for order in orders]
        scenes = [request.scene for request in requests for _ in request.seeds]
        seeds = [seed for request in requests for seed in request.seeds]
        embeddings = self._focus(scenes, self._pipeline)
        firsts = np.cumsum([0, *(len(request.seeds) for request in requests)]).tolist()
        watchers = [(first, order.show) for first, order in zip(firsts, orders, strict=False) if order.show]
        last = requests[0].image.steps - 1

        def tell(step: int, clean: torch.Tensor) -> None:
            if not wanted():
                raise Abandoned
            if watchers and step < last:
                rows = clean[[first for first, _ in watchers]]
                pixels = ((rows.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
                for (_, show), picture in zip(watchers, pixels, strict=True):
                    show(step, picture)

        pixels = self._pipeline.generate(embeddings, seeds, requests[0].image, tell)
        seen = self._pipeline.encode_images(pixels).float().cpu()
        similarity = (seen * embeddings.pooled).sum(1).tolist()
        compute_ms = (time.monotonic() - started) * 1000 / len(seeds)
        return [Drawing(pixels[a:b], similarity[a:b], compute_ms * (b - a)) for a, b in itertools.pairwise(firsts)]

    def _cost(self, image: ImageConfig, images: int) -> float:
        return cost(image, images, self._pipeline.denoiser.config.sample_size)

    def _warm(self, image: ImageConfig) -> None:
        shape, width = self._pipeline.token_shape, self._pipeline.embedding_width
        request = DrawRequest(blank_scene(shape, width), (0,), image)
        # The first is slower; the second tells how fast it is, before the first request.
        for _ in range(2):
            started = time.monotonic()
            self._run([_Order(request)])
        self._batcher.learn(self._cost(image, 1), time.monotonic() - started)

    def _told(self, facts: BatchFacts) -> None:
        self._meter.batch(facts, len(self._batcher))


@dataclass(frozen=True)
class Drawing:
    """Pixels `(N, S, S, 3)` uint8 of one request, with their similarity to the speech."""

    pixels: NDArray[np.uint8]
    similarity: list[float]
    compute_ms: float


def cost(image: ImageConfig, images: int, sample_size: int) -> float:
    """Images × steps, times the area at which they are drawn, in units of 256 px²; `sample_size` as of `Facts`."""
    return images * image.steps * ((sample_size or image.size_px) / _COST_UNIT_PX) ** 2


def load(settings: ServeSettings, num_cpus: float) -> SpeechToImagePipeline:
    """The pipeline for one replica.

    Raises:
        ModelError: there is no checkpoint, or it cannot be loaded.
    """
    from s2i_core.pipeline import SpeechToImagePipeline

    model: ModelConfig = settings.config().model
    model_digest(model)  # says clearly where there is none
    return SpeechToImagePipeline.load(model.model_copy(update={"threads": model.threads or max(1, int(num_cpus))}))


def blank_scene(token_shape: tuple[int, int], width: int) -> Scene:
    """A scene of nothing, for warming up."""
    from s2i_core.records import Status, now

    pooled = np.zeros(width, np.float32)
    pooled[0] = 1
    return Scene(
        "0" * 32, "0" * 32, 0, 0.0, 1.0, 0.0, 1.0, Status.OK.value, None, 0.0, 1.0, pooled.tolist(),
        pooled.astype("<f2").tobytes(), np.zeros(token_shape, "<f2").tobytes(), "", "", "warm", now(),
    )  # fmt: skip


@functools.lru_cache(1024)
def _shape(image: ImageConfig) -> ImageConfig:
    """What must be equal within a batch: all but the file's format."""
    return image.model_copy(update={"format": "png", "quality": 90})


async def _refusing(work: asyncio.Future[Result] | object) -> Result | Refused:
    try:
        return await work  # type: ignore[no-any-return, misc]
    except QueueFull:
        return Refused.FULL
    except Expired:
        return Refused.LATE
