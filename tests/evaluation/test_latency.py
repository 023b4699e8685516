"""What is timed is what the product does: every projection runs, and each part gets the tokens meant for it."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from tiny import tiny_pipeline

from s2i_core.config import ImageConfig
from s2i_core.evaluation import latency
from s2i_core.evaluation.wav import wav
from s2i_core.models.decoders.native.denoiser import Parts
from s2i_core.models.decoders.native.layout import LayoutPredictor


def test_the_steps_of_the_product_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = tiny_pipeline()
    layout = LayoutPredictor(8, 8, num_slots=2, width=8, depth=1, heads=2, own_tokens=4).eval()
    pipeline.register_modules(layout=layout, layout_projection=tiny_pipeline(seed=2).projection.eval())
    said: dict[str, torch.Tensor] = {}
    for name in ("projection", "layout_projection"):
        part = getattr(pipeline, name)
        part.register_forward_hook(lambda _, __, out, name=name: said.__setitem__(name, out[0].half().float()))
    layout.register_forward_pre_hook(lambda _, given: said.__setitem__("layout reads", given[0]))
    denoise = pipeline.denoiser.parts

    def denoise_and_tell(*given: torch.Tensor) -> Parts:
        said["denoiser reads"] = given[2]
        return denoise(*given)

    monkeypatch.setattr(pipeline.denoiser, "parts", denoise_and_tell)

    exam = types.SimpleNamespace(pipeline=pipeline, image=ImageConfig(size_px=64, steps=2), checkpoint=None)
    sound = np.random.default_rng(0).normal(0, 0.1, 5 * 16_000).astype(np.float32)
    clock = latency._Clock()
    latency._model(exam, wav(sound), clock)
    assert list(clock.wall_ms) == [
        *("decode and find speech", "frontend", "encode", "plan", "look up and draw", "encode the file"),
    ]
    torch.testing.assert_close(said["layout reads"], said["layout_projection"])
    torch.testing.assert_close(said["denoiser reads"], said["projection"])
