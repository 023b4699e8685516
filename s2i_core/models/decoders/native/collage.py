"""A decoder without a network of its own: what the native one would look at, laid on the ground of its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from s2i_core.config import CollageDecoderConfig, ImageConfig, NativeDecoderConfig
from s2i_core.models.contracts import Drawing, OnStep
from s2i_core.models.decoders.native import decoder as native
from s2i_core.models.decoders.native.grounds import start_picture
from s2i_core.models.decoders.native.reference import SpritePainter
from s2i_core.records import SpeechEmbedding


class CollageDecoder:
    """Keeps the contract `ImageDecoder`.

    Args:
        drawn_after: the native decoder whose layout, library and grounds it takes.
        digest: of the files they come from.
    """

    def __init__(self, drawn_after: native.NativeDecoder, digest: str = "") -> None:
        self.digest = digest
        self.info = replace(drawn_after.info, unit_px=1, native_px=0, stepwise=False)
        self.library = drawn_after.library
        self._native = drawn_after

    @torch.inference_mode()
    def draw(
        self, speech: SpeechEmbedding, seeds: Sequence[int], image: ImageConfig, on_step: OnStep | None = None
    ) -> Drawing:
        """One picture for each embedding, in one step; see the contract."""
        self.info.check(image)
        self.info.check_speech(speech, seeds)
        layout = self._native.predict(speech)
        plans = self._native.plan(layout, image, seeds)
        slots = [plan.slots for plan in plans]
        painter = SpritePainter(self.library.styled(image.style), fine=not image.usual_frame)
        canvases = native.canvas_tensor(np.stack([painter.reference(each, *image.frame_px) for each in slots]))
        grounds = self._native.starts(plans, seeds, image, image.frame_px)
        if grounds is None:
            grounds = np.full((len(slots), 1, 1, 3), 255, np.uint8)
        x = torch.stack([start_picture(*each) for each in zip(grounds, canvases, strict=True)])
        if on_step is not None:
            on_step(0, lambda rows: native.pixels(x[list(rows)]))
        return Drawing(native.pixels(x), self._native.shows(plans, speech, image))


def load(config: CollageDecoderConfig, folder: Path, device: str, dtype: torch.dtype, digest: str) -> CollageDecoder:
    """That of a checkpoint, with the library of the settings.

    Raises:
        ModelError: a part is missing or damaged.
    """
    own = NativeDecoderConfig(library=config.library)
    return CollageDecoder(native.load(own, folder, device, dtype, digest), digest)
