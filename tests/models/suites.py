"""What every implementation of a contract must keep: inherit the class, and say how one is made.

class TestPostcard(DecoderContract):
    def made(self) -> ImageDecoder: ...
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pytest
import torch

from s2i_core.config import ImageConfig
from s2i_core.errors import ConfigError, GenerationError, ModelError
from s2i_core.models.contracts import ImageDecoder, Preview, SharedSpace, SpeechEncoder
from s2i_core.records import SpeechEmbedding

GREY_LEVEL = 1


def spoken(decoder: ImageDecoder, rows: int, seed: int = 5) -> SpeechEmbedding:
    """Random speech that a decoder reads."""
    random, info = torch.Generator().manual_seed(seed), decoder.info
    pooled = torch.nn.functional.normalize(torch.randn(rows, info.embedding_width, generator=random), dim=1)
    tokens = torch.randn(rows, 4, info.token_width, generator=random)
    extras = {name: torch.randn(rows, 4, info.token_width, generator=random) for name in info.extras}
    return SpeechEmbedding(tokens, pooled, torch.ones(rows), extras)


class DecoderContract(ABC):
    """For an `ImageDecoder`."""

    size_px = 64

    @abstractmethod
    def made(self) -> ImageDecoder:
        """A tiny one, with the same weights each time."""

    @abstractmethod
    def saved_and_loaded(self, folder: Path) -> ImageDecoder:
        """The same, written into `folder` and read from there by what the registry names."""

    @pytest.fixture
    def decoder(self) -> ImageDecoder:
        return self.made()

    def image(self, decoder: ImageDecoder, **settings: object) -> ImageConfig:
        return ImageConfig(**{"size_px": self.size_px, "steps": 2, "style": decoder.info.styles[0], **settings})

    def test_a_batch_of_three_equals_three_of_one(self, decoder: ImageDecoder) -> None:
        speech, seeds, image = spoken(decoder, 3), [7, 8, 9], self.image(decoder)
        together = decoder.draw(speech, seeds, image).images
        assert (together.shape, together.dtype) == ((3, self.size_px, self.size_px, 3), np.uint8)
        for row, seed in enumerate(seeds):
            alone = decoder.draw(speech[row : row + 1], [seed], image).images[0]
            assert np.abs(together[row].astype(int) - alone.astype(int)).max() <= GREY_LEVEL

    def test_what_is_said_and_the_seed_decide_and_nothing_else(self, decoder: ImageDecoder) -> None:
        image = self.image(decoder)
        one, again = (decoder.draw(spoken(decoder, 1), [1], image).images for _ in range(2))
        assert (one == again).all()
        others = [decoder.draw(spoken(decoder, 1, seed), [seed], image).images for seed in range(6, 12)]
        assert any((one != other).any() for other in others)

    def test_what_it_cannot_draw_is_refused(self, decoder: ImageDecoder) -> None:
        with pytest.raises(ConfigError, match=decoder.info.styles[0]):
            decoder.draw(spoken(decoder, 1), [0], self.image(decoder, style="no such style"))
        if decoder.info.unit_px > 1:
            with pytest.raises(ConfigError, match=f"multiples of {decoder.info.unit_px}"):
                decoder.draw(spoken(decoder, 1), [0], self.image(decoder, size_px=self.size_px + 1))

    def test_the_frame_is_the_one_of_the_settings(self, decoder: ImageDecoder) -> None:
        for aspect in ("16:9", "9:16"):
            image = self.image(decoder, aspect=aspect)
            assert decoder.draw(spoken(decoder, 1), [1], image).images.shape == (1, *image.frame_px, 3)

    def test_wrong_shapes_are_refused(self, decoder: ImageDecoder) -> None:
        speech, image = spoken(decoder, 1), self.image(decoder)
        for wrong in (
            dataclasses.replace(speech, tokens=torch.cat([speech.tokens, speech.tokens], dim=2)),
            dataclasses.replace(speech, pooled=torch.cat([speech.pooled, speech.pooled], dim=1)),
        ):
            with pytest.raises(ModelError, match="width"):
                decoder.draw(wrong, [0], image)
        with pytest.raises(ModelError, match="seeds"):
            decoder.draw(spoken(decoder, 2), [0], image)

    def test_extras_that_are_missing_are_named(self, decoder: ImageDecoder) -> None:
        for name in decoder.info.extras:
            speech = spoken(decoder, 1)
            extras = {other: extra for other, extra in speech.extras.items() if other != name}
            with pytest.raises(ModelError, match=name):
                decoder.draw(dataclasses.replace(speech, extras=extras), [0], self.image(decoder))

    def test_nan_is_an_error_and_no_picture(self, decoder: ImageDecoder) -> None:
        speech = spoken(decoder, 2)
        for part in (speech.tokens, speech.pooled, *speech.extras.values()):
            kept = part.clone()
            part[1] = float("nan")
            with pytest.raises(GenerationError, match=r"\[4\].*not finite"):
                decoder.draw(speech, [3, 4], self.image(decoder))
            part.copy_(kept)

    def test_previews_are_made_where_somebody_asks(self, decoder: ImageDecoder) -> None:
        seen: list[int] = []
        shapes: list[tuple[int, ...]] = []

        def on_step(step: int, preview: Preview) -> None:
            seen.append(step)
            pictures = preview([1])
            assert pictures.dtype == np.uint8
            shapes.append(pictures.shape)

        image = self.image(decoder)
        watched = decoder.draw(spoken(decoder, 2), [1, 2], image, on_step).images
        assert seen == list(range(image.steps if decoder.info.stepwise else 1))
        assert {(shape[0], shape[3]) for shape in shapes} == {(1, 3)}
        assert (watched == decoder.draw(spoken(decoder, 2), [1, 2], image).images).all()

    def test_what_on_step_raises_ends_the_drawing(self, decoder: ImageDecoder) -> None:
        def on_step(step: int, preview: Preview) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            decoder.draw(spoken(decoder, 1), [1], self.image(decoder), on_step)

    def test_it_says_what_is_in_each_picture_or_nothing(self, decoder: ImageDecoder) -> None:
        shows = decoder.draw(spoken(decoder, 2), [1, 2], self.image(decoder)).shows
        if shows is not None:
            assert len(shows) == 2
            for each in (shown for row in shows for shown in row.things):
                assert each.thing and each.title and each.source and each.licence and each.count > 0
                assert min(vars(each.box).values()) >= 0
                assert max(each.box.x + each.box.w, each.box.y + each.box.h) <= 1 + 1e-6

    def test_saved_and_loaded_it_draws_the_same(self, decoder: ImageDecoder, tmp_path: Path) -> None:
        loaded, image = self.saved_and_loaded(tmp_path), self.image(decoder)
        assert loaded.info == decoder.info
        assert loaded.digest
        one, other = (each.draw(spoken(decoder, 1), [1], image).images.astype(int) for each in (decoder, loaded))
        assert np.abs(one - other).max() <= GREY_LEVEL


class EncoderContract(ABC):
    """For a `SpeechEncoder` and its `SharedSpace`."""

    @abstractmethod
    def made(self) -> tuple[SpeechEncoder, SharedSpace]:
        """A tiny one, with the same weights each time."""

    @abstractmethod
    def saved_and_loaded(self, folder: Path) -> tuple[SpeechEncoder, SharedSpace]:
        """The same, written into `folder` and read from there by what the registry names."""

    @pytest.fixture
    def encoder(self) -> SpeechEncoder:
        return self.made()[0]

    def features(self, encoder: SpeechEncoder, *seconds: float) -> list[np.ndarray]:
        rate = encoder.frontend.sampling_rate_hz
        random = np.random.default_rng(0)
        return [encoder.frontend(random.normal(0, 0.1, round(rate * each)).astype(np.float32)) for each in seconds]

    def test_the_frontend_keeps_its_shape_and_needs_no_torch(self, encoder: SpeechEncoder) -> None:
        frontend = encoder.frontend
        (feature,) = self.features(encoder, 2)
        assert isinstance(feature, np.ndarray) and feature.dtype == np.float16
        assert [size for size in frontend.shape if size > 0] == list(feature.shape[:-1])
        assert feature.shape[-1] >= 2 * frontend.rate_hz
        self.features(encoder, frontend.max_clip_s)

    def test_it_says_what_it_says_it_says(self, encoder: SpeechEncoder) -> None:
        speech = encoder.encode(self.features(encoder, 1, 2))
        assert speech.tokens.shape == (2, encoder.tokens, encoder.token_width)
        assert speech.pooled.shape == (2, encoder.embedding_width)
        extras = {name: (2, count, encoder.token_width) for name, count in encoder.extras.items()}
        assert {name: tuple(extra.shape) for name, extra in speech.extras.items()} == extras
        torch.testing.assert_close(speech.pooled.float().norm(dim=1), torch.ones(2))
        assert ((speech.speech_share >= 0) & (speech.speech_share <= 1)).all()

    def test_no_row_depends_on_another_of_any_length(self, encoder: SpeechEncoder) -> None:
        features = self.features(encoder, 0.1, 2.5, 0.5, encoder.frontend.max_clip_s)
        together = encoder.encode(features)
        for row, feature in enumerate(features):
            alone = encoder.encode([feature])
            close = {"rtol": 1e-4, "atol": 1e-5}
            torch.testing.assert_close(alone.tokens[0], together.tokens[row], **close)
            torch.testing.assert_close(alone.pooled[0], together.pooled[row], **close)
            for name, extra in alone.extras.items():
                torch.testing.assert_close(extra[0], together.extras[name][row], **close)

    def test_saved_and_loaded_it_hears_the_same(self, tmp_path: Path) -> None:
        (encoder, space), (other, other_space) = self.made(), self.saved_and_loaded(tmp_path)
        features = self.features(encoder, 1)
        one, two = (each.encode(features) for each in (encoder, other))
        torch.testing.assert_close(one.tokens, two.tokens, rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(space.confidence(one.pooled), other_space.confidence(one.pooled))
        assert other.digest and other_space.digest and other.digest != other_space.digest

    def test_the_space_holds_pictures_of_unit_length_and_a_limit(self) -> None:
        encoder, space = self.made()
        pictures = np.random.default_rng(0).integers(0, 255, (2, 48, 56, 3), dtype=np.uint8)
        vectors = space.embed_images(pictures)
        assert vectors.shape == (2, encoder.embedding_width)
        torch.testing.assert_close(vectors.float().norm(dim=1), torch.ones(2))
        assert space.confidence(vectors).shape == (2,)
        assert -1 <= space.min_confidence <= 1
