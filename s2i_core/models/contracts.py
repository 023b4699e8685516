"""What the parts of a model promise each other: any part that keeps its contract can replace another.

A model listens (`SpeechEncoder`, with its `Frontend`), has a space that speech and pictures share (`SharedSpace`),
and draws (`ImageDecoder`). `registry.py` puts one together from settings. `tests/models/suites.py` has, for each
contract, the tests that an implementation inherits.

Letters in shapes: B rows, T samples, M features per frame, F frames, K tokens of width C, E the width of the shared
space, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from s2i_core.config import ImageConfig
from s2i_core.errors import ConfigError, GenerationError, ModelError
from s2i_core.identity import Digests
from s2i_core.records import Contents, SpeechEmbedding
from s2i_core.weights import scenes_named_by

if TYPE_CHECKING:
    import torch

    from s2i_core.models.speech.grounding import Grounding, Vocabulary

F16: TypeAlias = NDArray[np.float16]
F32: TypeAlias = NDArray[np.float32]
U8: TypeAlias = NDArray[np.uint8]


class Frontend(Protocol):
    """Turns sound into the encoder's input. Needs only numpy: it runs where sound is decoded, without torch."""

    sampling_rate_hz: int
    max_clip_s: float
    """Longest clip that it takes; longer speech is cut before."""
    rate_hz: float
    """Frames, or samples, per second of the output."""
    shape: tuple[int, ...]
    """Shape of the output, with -1 for its length: `(M, -1)`, or `(-1,)` for an encoder that reads the waveform."""

    def __call__(self, waveform: F32) -> F16:
        """`(T,)` mono within -1 to 1 to `(M, F)`, or `(T',)`; depends on this clip alone."""


class SpeechEncoder(Protocol):
    """Listens."""

    digest: str
    """Digest of its files and settings."""
    frontend: Frontend
    tokens: int
    """K."""
    token_width: int
    """C."""
    embedding_width: int
    """E."""
    extras: Mapping[str, int]
    """Its further outputs by name, with the number of tokens of width C that each has."""

    def encode(self, features: Sequence[F16]) -> SpeechEmbedding:
        """Features of B utterances, of any mix of lengths; no row depends on another."""


@runtime_checkable
class ThingHearer(SpeechEncoder, Protocol):
    """Listens so that single things can be heard in its frames (`hearing.py`)."""

    grounding: tuple[Grounding, Vocabulary] | None
    """What hears them, and which they can be; None where it was not trained."""

    def encode_with_frames(self, features: Sequence[F16]) -> tuple[SpeechEmbedding, list[torch.Tensor]]:
        """As `encode`, and each utterance's frames at 25 Hz `(T_i, D)`, without what pads them."""


class SharedSpace(Protocol):
    """The space that speech and pictures share. It belongs to the encoder that it was trained with."""

    digest: str
    min_confidence: float
    """Below it nothing drawable is said: calibrated for this space on held-out speech."""

    def embed_images(self, rgb: U8) -> torch.Tensor:
        """Pictures `(B, H, W, 3)` to vectors `(B, E)` of length 1."""

    def confidence(self, pooled: torch.Tensor) -> torch.Tensor:
        """Confidence `(B,)` that speech `(B, E)` is about something drawable."""


@dataclass(frozen=True)
class Drawing:
    """Pictures `(B, H, W, 3)` uint8, and what each shows, if the decoder knows."""

    images: U8
    shows: list[Contents] | None


@dataclass(frozen=True)
class DecoderInfo:
    """What a decoder can draw, and what it needs for it.

    Attributes:
        styles: names of the styles that it knows.
        unit_px: the side of a picture is a multiple of this.
        native_px: side at which it always draws; 0 if it draws at the requested size.
        token_width: C of the tokens that it reads.
        embedding_width: E of the vectors that it reads.
        extras: names of the extras that it reads.
        stepwise: whether drawing costs in proportion to `image.steps`.
        composing: what putting a picture together costs after it is drawn, in the same unit, at 1024 × 1024 pixels.
    """

    styles: tuple[str, ...]
    unit_px: int
    native_px: int
    token_width: int
    embedding_width: int
    extras: tuple[str, ...] = ()
    stepwise: bool = True
    composing: float = 0.0

    def cost(self, image: ImageConfig) -> float:
        """Cost of a picture, in denoising steps at 256 × 256 pixels."""
        height, width = image.frame_px
        drawn = (image.steps if self.stepwise else 1) * ((self.native_px or image.size_px) / 256) ** 2
        return drawn + self.composing * height * width / 1024**2

    def check_speech(self, speech: SpeechEmbedding, seeds: Sequence[int]) -> None:
        """Check that it can draw what was said.

        Raises:
            ModelError: the speech has other widths, or lacks an extra; or there is not one seed per row.
            GenerationError: a row is not finite.
        """
        if len(seeds) != len(speech):
            raise ModelError("the speech", f"{len(speech)} rows have {len(seeds)} seeds", "Give one seed for each.")
        found, reads = (speech.tokens.shape[-1], speech.pooled.shape[-1]), (self.token_width, self.embedding_width)
        if found != reads:
            reason = f"its tokens and vectors are of width {found}, the decoder reads {reads}"
            raise ModelError("the speech", reason, "Encode it with the encoder that the decoder was trained with.")
        if missing := set(self.extras) - speech.extras.keys():
            reason = f"it has no tokens for the {missing.pop()}, which the decoder reads"
            raise ModelError("the speech", reason, "Encode it with the encoder that the decoder was trained with.")
        for part in (speech.tokens, speech.pooled, *speech.extras.values()):
            refuse_non_finite(part, seeds)

    def check(self, image: ImageConfig) -> None:
        """Check that it can draw with these settings.

        Raises:
            ConfigError: the style is unknown, or the size does not fit.
        """
        if image.style not in self.styles:
            known = ", ".join(self.styles)
            raise ConfigError(f"style {image.style!r}", "the model does not know it", f"Choose one of: {known}.")
        if image.size_px % self.unit_px:
            raise ConfigError(
                f"size_px={image.size_px}", f"the model draws multiples of {self.unit_px}", "Choose one of those."
            )


def refuse_non_finite(x: torch.Tensor, seeds: Sequence[int]) -> None:
    """Refuse what is not finite: a NaN would be cast to some colour and pass for a picture.

    Raises:
        GenerationError: a row of `(B, …)` is NaN or infinity.
    """
    bad = (~x.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
    if bad:
        failed = [seeds[row] for row in bad]
        raise GenerationError(f"seeds {failed}", "the picture is not finite", "Try another dtype or seed.")


Preview: TypeAlias = Callable[[Sequence[int]], U8]
"""Makes previews `(N, H, W, 3)` of these rows of the batch; costs nothing until it is called."""
OnStep: TypeAlias = Callable[[int, Preview], None]
"""Called for each step, from 0; what it raises ends the drawing."""


class ImageDecoder(Protocol):
    """Draws. A picture depends only on its own speech, seed and settings, never on its neighbours in the batch."""

    digest: str
    """Digest of its files; together with the settings that it uses, it names pictures."""
    info: DecoderInfo

    def draw(
        self, speech: SpeechEmbedding, seeds: Sequence[int], image: ImageConfig, on_step: OnStep | None = None
    ) -> Drawing:
        """One picture for each of B embeddings and seeds, in the frame of the settings (`image.frame_px`).

        Raises:
            ConfigError: the style is unknown, or the size does not fit.
            ModelError: the speech lacks an extra that it reads, or has other widths.
            GenerationError: a row of the input or the output is not finite.
        """


@dataclass(frozen=True)
class Model:
    """One part of each kind, which fit each other; `device` is where they run."""

    encoder: SpeechEncoder
    space: SharedSpace
    decoder: Any  # an ImageDecoder; evaluation asks the native one for more than the contract has
    device: str

    @property
    def digest(self) -> str:
        """Digest of the whole model."""
        return Digests(self.encoder_digest, "", self.decoder_digest, "").model

    @property
    def encoder_digest(self) -> str:
        """The digest that names scenes: of the encoder and the space."""
        return scenes_named_by(self.encoder.digest, self.space.digest)

    @property
    def decoder_digest(self) -> str:
        """The digest that names images, together with the settings that the decoder uses."""
        return str(self.decoder.digest)
