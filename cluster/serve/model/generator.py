"""The deployment that draws: scenes to pictures, in batches of so many images × steps × area."""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from cluster.jobs.model import load
from cluster.serve import faults
from cluster.serve.messages import DrawnFiles, DrawRequest, PreviewFile, Refused
from cluster.serve.metrics import Meter
from cluster.serve.model.batching import Abandoned, Batcher, or_refused
from cluster.serve.ports import keep_to_loopback
from cluster.serve.settings import ServeSettings
from s2i_core import steps
from s2i_core.config import ImageConfig, PoolConfig
from s2i_core.models import contracts
from s2i_core.models.contracts import DecoderInfo
from s2i_core.publish.images import content_type, encode_image


@dataclass(frozen=True)
class _Order:
    request: DrawRequest
    show: Callable[[int, NDArray[np.uint8]], None] | None = field(default=None, compare=False)


class Generator:
    """Scenes to pictures; a batch is limited by images × steps × area, and holds one style, size and step count."""

    def __init__(self, settings: ServeSettings) -> None:
        keep_to_loopback()
        faults.tell()
        self._model = load(settings.config().model, PoolConfig(num_cpus=settings.generator.num_cpus))
        self._meter = Meter("generator")
        self._files = ThreadPoolExecutor(2, thread_name_prefix="files")
        self._batcher: Batcher[_Order, list[steps.Picture]] = Batcher(
            self._run,
            lambda order: self._cost(order.request.image, len(order.request.seeds)),
            settings.generator.batch_cost,
            group=lambda order: _shape(order.request.image),
            max_queued=settings.generator.max_queued,
            max_wait_s=settings.limits.max_wait_s,
            told=self._meter.batch,
        )
        self._warm(settings.config().image)

    async def draw(self, request: DrawRequest) -> DrawnFiles | Refused:
        """The pictures of a scene."""
        drawing = await or_refused(self._batcher(_Order(request), request.begin_by))
        return drawing if isinstance(drawing, Refused) else await self._drawn(request, drawing)

    async def draw_live(self, request: DrawRequest) -> AsyncIterator[PreviewFile | DrawnFiles | Refused]:
        """The same, with previews of the first picture while it is denoised; the last item is the result."""
        loop = asyncio.get_running_loop()
        shown: asyncio.Queue[tuple[int, NDArray[np.uint8]] | None] = asyncio.Queue()

        def show(step: int, pixels: NDArray[np.uint8]) -> None:
            loop.call_soon_threadsafe(shown.put_nowait, (step, pixels))

        async def work() -> list[steps.Picture] | Refused:
            try:
                return await or_refused(self._batcher(_Order(request, show), request.begin_by))
            finally:
                shown.put_nowait(None)

        task = loop.create_task(work())
        try:
            while (preview := await shown.get()) is not None:
                step, pixels = preview
                if shown.empty():  # else a later one is there already
                    file = await loop.run_in_executor(self._files, encode_image, pixels, request.image)
                    yield PreviewFile(step, request.image.steps, file, content_type(request.image.format))
            drawing = await task
        finally:
            task.cancel()
        yield drawing if isinstance(drawing, Refused) else await self._drawn(request, drawing)

    async def _drawn(self, request: DrawRequest, pictures: list[steps.Picture]) -> DrawnFiles:
        loop = asyncio.get_running_loop()
        files = [
            await loop.run_in_executor(self._files, encode_image, each.pixels, request.image, each.contents)
            for each in pictures
        ]
        kind = content_type(request.image.format)
        compute_ms = sum(each.compute_ms for each in pictures)
        similarity, contents = (tuple(getattr(each, name) for each in pictures) for name in ("similarity", "contents"))
        return DrawnFiles(tuple(files), kind, similarity, contents, compute_ms)

    def _run(self, orders: list[_Order], wanted: Callable[[], bool] = lambda: True) -> list[list[steps.Picture]]:
        """Draw; where nobody wants any of them any more, it ends after the step."""
        requests = [order.request for order in orders]
        scenes = [request.scene for request in requests for _ in request.seeds]
        seeds = [seed for request in requests for seed in request.seeds]
        firsts = np.cumsum([0, *(len(request.seeds) for request in requests)]).tolist()
        watchers = [(first, order.show) for first, order in zip(firsts, orders, strict=False) if order.show]
        last = requests[0].image.steps - 1

        def tell(step: int, preview: contracts.Preview) -> None:
            if not wanted():
                raise Abandoned
            if watchers and step < last:
                for (_, show), picture in zip(watchers, preview([first for first, _ in watchers]), strict=True):
                    show(step, picture)

        pictures = steps.draw_batch(scenes, seeds, requests[0].image, self._model, tell)
        return [pictures[a:b] for a, b in itertools.pairwise(firsts)]

    def _cost(self, image: ImageConfig, images: int) -> float:
        info: DecoderInfo = self._model.decoder.info
        return images * info.cost(image)

    def _warm(self, image: ImageConfig) -> None:
        request = DrawRequest(blank_scene(self._model.encoder), (0,), image)
        # The first is slower; the second tells how fast it is, before the first request.
        for _ in range(2):
            started = time.monotonic()
            self._run([_Order(request)])
        self._batcher.learn(self._cost(image, 1), time.monotonic() - started)


def blank_scene(encoder: contracts.SpeechEncoder) -> steps.Planned:
    """A scene of nothing, for warming up."""
    pooled = np.eye(1, encoder.embedding_width, dtype="<f2").tobytes()
    tokens = np.zeros((encoder.tokens, encoder.token_width), "<f2")
    extras = {name: np.zeros((count, encoder.token_width), "<f2") for name, count in encoder.extras.items()}
    return steps.Planned("0" * 32, "0" * 32, 0.0, 1.0, 1.0, pooled, tokens.tobytes(), save(extras) if extras else b"")


@functools.lru_cache(1024)
def _shape(image: ImageConfig) -> ImageConfig:
    """What must be equal within a batch: all but the file's format."""
    return image.model_copy(update={"format": "png", "quality": 90})
