"""The deployment that encodes: utterances to embeddings, in batches of so many seconds of audio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cluster.jobs.model import load
from cluster.serve import faults
from cluster.serve.messages import Encoded, ModelInfo, Refused
from cluster.serve.metrics import Meter
from cluster.serve.model.batching import Batcher, or_refused
from cluster.serve.ports import keep_to_loopback
from cluster.serve.settings import ServeSettings
from s2i_core import steps
from s2i_core.audio.listen import Utterance
from s2i_core.config import PoolConfig
from s2i_core.editing.redraw import thing_vectors
from s2i_core.errors import ConfigError
from s2i_core.records import Thing
from s2i_core.scenes import Embedded
from s2i_core.weights import least_heard


class Encoder:
    """Utterances to embeddings; a batch is limited by its seconds of audio."""

    def __init__(self, settings: ServeSettings) -> None:
        keep_to_loopback()
        faults.tell()
        self._model = load(settings.config().model, PoolConfig(num_cpus=settings.encoder.num_cpus))
        self._least = least_heard(settings.config())
        frontend = self._model.encoder.frontend
        self._meter = Meter("encoder")
        self._doubts = ThreadPoolExecutor(1, thread_name_prefix="readings")
        self._batcher: Batcher[tuple[Utterance, ...], tuple[list[Embedded], float]] = Batcher(
            self._run,
            lambda utterances: sum(each.features.shape[-1] for each in utterances) / frontend.rate_hz,
            settings.encoder.batch_cost,
            max_queued=settings.encoder.max_queued,
            max_wait_s=settings.limits.max_wait_s,
            told=self._meter.batch,
        )
        # Warm: the first call of each length is slower. The last one tells how fast it is, before the first request.
        for seconds in (1, 3, 5, 3):
            started = time.monotonic()
            silence = frontend(np.zeros(seconds * frontend.sampling_rate_hz, np.float32))
            self._run([(Utterance(0.0, seconds, silence, 0.0),)], lambda: True)
        self._batcher.learn(silence.shape[-1] / frontend.rate_hz, time.monotonic() - started)

    async def facts(self) -> ModelInfo:
        """What the model is."""
        known = self._model
        return ModelInfo(known.digest, known.encoder_digest, known.decoder_digest, known.decoder.info, known.device)

    async def things(self, titles: Sequence[str]) -> NDArray[np.float16] | str:
        """Vectors `(n, E)` of things by what they are called; of what it does not know, what is wrong."""
        try:
            return thing_vectors(self._model, titles)
        except ConfigError as error:
            return str(error)

    async def encode(self, utterances: Sequence[Utterance], begin_by: float = float("inf")) -> Encoded | Refused:
        """Embeddings of the utterances of one clip; what has not begun by then is not begun."""
        since = time.monotonic()
        result = await or_refused(self._batcher(tuple(utterances), begin_by))
        return result if isinstance(result, Refused) else Encoded(result[0], result[1] - since)

    async def readings(
        self, utterances: Sequence[Utterance], most: int, first: Sequence[str], without: Sequence[str]
    ) -> list[Thing]:
        """What the utterances of one clip may mean, for whoever spoke to choose from; one clip at a time."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._doubts, steps.readings, utterances, self._model, most, tuple(first), tuple(without)
        )

    def _run(
        self, clips: list[tuple[Utterance, ...]], wanted: Callable[[], bool]
    ) -> list[tuple[list[Embedded], float]]:
        """Each clip's embeddings, with when their batch began."""
        del wanted  # a batch takes less than there would be to win
        began = time.monotonic()
        embedded = iter(steps.embed([each for clip in clips for each in clip], self._model, self._least))
        return [([next(embedded) for _ in clip], began) for clip in clips]
