"""From the bytes of a clip to its utterances, in threads and processes beside the event loop."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from importlib import resources

from s2i_core.audio.isolated import DecoderProcess
from s2i_core.audio.listen import Heard, Utterance, listen
from s2i_core.config import AudioConfig, DecoderConfig
from s2i_core.models.contracts import Frontend


@cache
def example() -> bytes:
    """A short clip of speech, WebM with Opus as a browser records: to try things with, and for pictures of styles."""
    return (resources.files("cluster.serve.clips") / "example.webm").read_bytes()


class Decoders:
    """Threads that decode clips, each with a process of its own for it: where that crashes, one clip fails."""

    def __init__(self, threads: int, config: DecoderConfig, frontend: Frontend) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._config = config
        self._frontend = frontend
        self._own = threading.local()
        # Warm before the first clip comes: a process takes its time to start, and nobody should be refused for it.
        wait([self._threads.submit(self._decode, example(), AudioConfig()) for _ in range(threads)])

    async def __call__(
        self, audio: bytes, config: AudioConfig, begin_by: float
    ) -> tuple[list[Utterance], Heard, float] | None:
        """Utterances of a clip, what is known of it, and how long it waited; None where it did not begin in time.

        Raises:
            DecodeError, LimitExceeded: as `listen`.
        """
        since = time.monotonic()
        loop = asyncio.get_running_loop()
        began, decoded = await loop.run_in_executor(self._threads, self._decode, audio, config, begin_by)
        return None if decoded is None else (*decoded, began - since)

    def _decode(
        self, audio: bytes, config: AudioConfig, begin_by: float = float("inf")
    ) -> tuple[float, tuple[list[Utterance], Heard] | None]:
        began = time.monotonic()
        if time.time() > begin_by:
            return began, None
        if not hasattr(self._own, "process"):
            self._own.process = DecoderProcess(self._config)
        listening = listen(io.BytesIO(audio), "the clip", config, self._own.process.decode, self._frontend)
        return began, (list(listening), listening.result)
