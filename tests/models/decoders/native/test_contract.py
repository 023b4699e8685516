"""The shipped encoder and both native decoders keep their contracts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from models.suites import DecoderContract, EncoderContract, spoken
from tiny import tiny_pipeline

from s2i_core.config import CollageDecoderConfig, ModelConfig, NativeDecoderConfig
from s2i_core.models import registry
from s2i_core.models.contracts import ImageDecoder, SharedSpace, SpeechEncoder
from s2i_core.models.decoders.native.collage import CollageDecoder
from s2i_core.models.decoders.native.grounds import COARSE_PX, Grounds
from s2i_core.models.decoders.native.layout import LayoutPredictor
from s2i_core.pipeline import SpeechToImagePipeline


def with_a_layout_that_hears_for_itself() -> SpeechToImagePipeline:
    pipeline = tiny_pipeline()
    torch.manual_seed(3)
    layout = LayoutPredictor(8, 8, num_slots=2, width=8, depth=1, heads=2, num_settings=2, num_times=2, own_tokens=4)
    pipeline.register_modules(layout=layout.eval(), layout_projection=tiny_pipeline(seed=2).projection.eval())
    keys = np.array([(0, setting, time) for setting in range(2) for time in range(2)])
    pictures = np.random.default_rng(0).integers(0, 255, (len(keys), COARSE_PX, COARSE_PX, 3), dtype=np.uint8)
    pipeline.grounds = Grounds(pictures, keys)
    return pipeline


class TestNative(DecoderContract):
    def pipeline(self) -> SpeechToImagePipeline:
        return tiny_pipeline()

    def made(self) -> ImageDecoder:
        return self.pipeline().model.decoder

    def saved_and_loaded(self, folder: Path) -> ImageDecoder:
        self.pipeline().save_pretrained(folder)
        return registry.load(ModelConfig(checkpoint=str(folder), decoder=NativeDecoderConfig(), device="cpu")).decoder


class TestCollage(TestNative):
    pipeline = staticmethod(with_a_layout_that_hears_for_itself)

    def made(self) -> ImageDecoder:
        return CollageDecoder(self.pipeline().model.decoder)

    def saved_and_loaded(self, folder: Path) -> ImageDecoder:
        self.pipeline().save_pretrained(folder)
        return registry.load(ModelConfig(checkpoint=str(folder), decoder=CollageDecoderConfig(), device="cpu")).decoder


class TestWhisper(EncoderContract):
    def made(self) -> tuple[SpeechEncoder, SharedSpace]:
        model = with_a_layout_that_hears_for_itself().model
        return model.encoder, model.space

    def saved_and_loaded(self, folder: Path) -> tuple[SpeechEncoder, SharedSpace]:
        with_a_layout_that_hears_for_itself().save_pretrained(folder)
        model = registry.load(ModelConfig(checkpoint=str(folder), device="cpu"))
        return model.encoder, model.space


def test_what_the_native_decoder_shows_is_what_it_looked_up() -> None:
    decoder = tiny_pipeline().model.decoder
    drawing = decoder.draw(spoken(decoder, 2), [1, 2], TestNative().image(decoder))
    for shows, slots in zip(drawing.shows, drawing.slots, strict=True):
        assert {each.thing for each in shows.things} == {slot.concept for slot in slots}
        assert sum(each.count for each in shows.things) == len(slots) > 0
        assert {each.licence for each in shows.things} == {"CC0-1.0"}
