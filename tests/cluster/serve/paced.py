"""The deployments with a model that takes its time by the clock and not by the processor: load without load."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from cluster.serve.model.encoder import Encoder
from cluster.serve.model.generator import Generator, _Order
from s2i_core.audio.features import FRAMES_PER_S
from s2i_core.audio.listen import Heard, Utterance, listen
from s2i_core.scenes import Embedded
from s2i_core.steps import Picture

LISTEN_S = 0.05
"""Listening to a clip takes so long, …"""
ENCODE_S = 0.04
"""… encoding a second of audio …"""
DRAW_S = 0.8
"""… and drawing a unit of cost."""


class PacedListening:
    """In the place of `listen`, for clips that are all the same: hears the first, and then takes `LISTEN_S`."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._heard: tuple[list[Utterance], Heard] | None = None

    def __call__(self, *given: Any) -> PacedListening:
        with self._turn:
            if self._heard is None:
                listening = listen(*given)
                self._heard = list(listening), listening.result
        time.sleep(LISTEN_S)
        return self

    def __iter__(self) -> Iterator[Utterance]:
        assert self._heard
        return iter(self._heard[0])

    @property
    def result(self) -> Heard:
        assert self._heard
        return self._heard[1]


class PacedEncoder(Encoder):
    """Takes `ENCODE_S` for a second of audio."""

    def _run(
        self, clips: list[tuple[Utterance, ...]], wanted: Callable[[], bool]
    ) -> list[tuple[list[Embedded], float]]:
        results = super()._run(clips, wanted)
        time.sleep(ENCODE_S * sum(each.features.shape[1] for clip in clips for each in clip) / FRAMES_PER_S)
        return results


class PacedGenerator(Generator):
    """Takes `DRAW_S` for a unit of cost, spread over the steps."""

    steps = 0
    """How many it has made."""

    def _run(self, orders: list[_Order], wanted: Callable[[], bool] = lambda: True) -> list[list[Picture]]:
        images = [order.request.image for order in orders]
        total = sum(self._cost(image, len(order.request.seeds)) for image, order in zip(images, orders, strict=True))

        def paced() -> bool:
            time.sleep(DRAW_S * total / images[0].steps)
            self.steps += 1
            return wanted()

        return super()._run(orders, paced)
