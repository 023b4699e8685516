"""`SpeechToImagePipeline`: the shipped model in one piece, speech in, pictures out, as a `diffusers.DiffusionPipeline`.

For use from Python, and for training, saving and measuring. The jobs and the service build a `Model` from settings
(`models/registry.py`) and run its steps one by one (`steps.py`).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file

from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.audio.vad import segment
from s2i_core.config import AudioConfig, ImageConfig, ModelConfig, NativeDecoderConfig
from s2i_core.errors import ConfigError
from s2i_core.hearing import hear, no_grounding, titled
from s2i_core.models import space
from s2i_core.models.contracts import F32, U8, Model, OnStep, ThingHearer
from s2i_core.models.decoders.native import decoder
from s2i_core.models.decoders.native.denoiser import Denoiser
from s2i_core.models.decoders.native.grounds import Grounds
from s2i_core.models.decoders.native.layout import LayoutPredictor
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.models.parts import load_part, quiet
from s2i_core.models.speech.grounding import Grounding, Vocabulary
from s2i_core.models.speech.grounding import load as load_grounding
from s2i_core.models.speech.listener import WhisperListener
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.records import Segment, SpeechEmbedding, Thing
from s2i_core.weights import (
    ANCHORS,
    DEFAULT_MIN_CONFIDENCE,
    FACTS,
    FORMAT_VERSION,
    GROUNDING_FOLDER,
    GROUNDS_FOLDER,
    LIBRARY_FOLDER,
    checkpoint_folder,
    confidence_for,
    decoder_digest,
    facts,
    space_digest,
    speech_digest,
)

_UTTERANCES = 8
"""Heard at a time."""


class SpeechToImagePipeline(DiffusionPipeline):  # type: ignore[misc]
    """Spoken audio to pictures, with no text in between.

    Args:
        speech_encoder: log-mel to frames.
        projection: frames to condition tokens and a pooled vector.
        image_encoder: pictures to the same space.
        layout: tokens to what lies where.
        denoiser: draws.
        scheduler: the flow-matching schedule.
        layout_projection: frames to tokens for the layout alone; without it the layout reads the condition tokens.
        grounding: frames to what is named in them; its `vocabulary`, an attribute, says what that can be.

    The retrieval library is an attribute, `library`, because it is data, not a network; `with_library` swaps it. So are
    the coarse `grounds` that pictures start from; without them, they start from noise.
    """

    model_cpu_offload_seq = "speech_encoder->projection->layout_projection->grounding->layout->denoiser->image_encoder"
    _optional_components = ["layout_projection", "grounding"]  # noqa: RUF012 -- diffusers adds a list to it
    sampling_rate_hz = SAMPLING_RATE_HZ

    def __init__(
        self,
        speech_encoder: SpeechEncoder,
        projection: QueryTransformer,
        image_encoder: ImageEncoder,
        layout: LayoutPredictor,
        denoiser: Denoiser,
        scheduler: FlowMatchEulerDiscreteScheduler,
        layout_projection: QueryTransformer | None = None,
        grounding: Grounding | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            speech_encoder=speech_encoder,
            projection=projection,
            image_encoder=image_encoder,
            layout=layout,
            denoiser=denoiser,
            scheduler=scheduler,
            layout_projection=layout_projection,
            grounding=grounding,
        )
        self.vocabulary: Vocabulary | None = None
        self.library = SpriteLibrary([], [])
        self.grounds: Grounds | None = None
        self.anchors: F32 | None = None
        self.min_confidence = DEFAULT_MIN_CONFIDENCE
        self._digests = ("", "", "")

    # ---------------------------------------------------------------------------------------------- load and save

    @classmethod
    def from_pretrained(
        cls, folder: str | Path | None = None, *, dtype: torch.dtype = torch.float32
    ) -> SpeechToImagePipeline:
        """Load a saved pipeline; without a folder, the weights that the package ships.

        Its parts are found by the names of their folders, not by the modules in `model_index.json`, so that checkpoints
        survive when code moves.

        Raises:
            ModelError: the folder is missing, damaged or of another version.
        """
        path = checkpoint_folder(str(folder or ""))
        known = facts(path)
        draws = decoder.load(NativeDecoderConfig(), path, "cpu", dtype, "")
        optional = path / "layout_projection"
        grounded = load_grounding(path, "cpu", dtype)
        pipeline = cls(
            speech_encoder=load_part(path / "speech_encoder", SpeechEncoder, dtype),
            projection=load_part(path / "projection", QueryTransformer, dtype),
            image_encoder=load_part(path / "image_encoder", ImageEncoder, dtype),
            layout=draws.layout,
            denoiser=draws.denoiser,
            scheduler=draws.scheduler,
            layout_projection=load_part(optional, QueryTransformer, dtype) if optional.is_dir() else None,
            grounding=grounded and grounded[0],
        )
        pipeline.vocabulary = grounded and grounded[1]
        pipeline.library, pipeline.grounds = draws.library, draws.grounds
        pipeline.anchors, pipeline.min_confidence = space.anchors(path), known.min_confidence
        pipeline._named(path)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def save_pretrained(self, folder: str | Path, **kwargs: Any) -> None:
        """Write the pipeline in diffusers' folder layout, with its library."""
        path = Path(folder)
        with quiet():
            super().save_pretrained(str(path), safe_serialization=True, **kwargs)
        self.library.save(path / LIBRARY_FOLDER)
        if self.grounds is not None:
            self.grounds.save(path / GROUNDS_FOLDER)
        if self.vocabulary is not None:
            self.vocabulary.save(path / GROUNDING_FOLDER)
        if self.anchors is not None and not _equal(self.anchors, self.library.vectors):
            (path / ANCHORS).parent.mkdir(exist_ok=True)
            save_file({"vectors": self.anchors}, path / ANCHORS)
        told = {"format_version": FORMAT_VERSION, "min_confidence": self.min_confidence}
        (path / FACTS).write_text(json.dumps(told) + "\n", encoding="utf-8")
        self._named(path)

    def _named(self, folder: Path) -> None:
        own = ModelConfig(checkpoint=str(folder))
        self._digests = speech_digest(own.encoder, folder), space_digest(folder), decoder_digest(own)

    def with_library(self, library: SpriteLibrary) -> SpeechToImagePipeline:
        """Draw from another library, such as a house style; its vectors are computed here if it has none.

        Confidence is measured against the first one.
        """
        if library.vectors is None:
            library.embed(self.model)
        if self.anchors is None:
            self.anchors = library.vectors
        self.library = library
        return self

    # ---------------------------------------------------------------------------------------------------- parts

    @property
    def model(self) -> Model:
        """Its parts, as `steps.py` takes them."""
        extras = {"layout": self.layout_projection} if self.layout_projection else {}
        grounding = (self.grounding, self.vocabulary) if self.grounding and self.vocabulary else None
        encoder, shared, draws = self._digests
        anchors = np.zeros((1, self.embedding_width), np.float32) if self.anchors is None else self.anchors
        return Model(
            WhisperListener(self.speech_encoder, self.projection, extras, encoder, grounding),
            space.ImageSpace(self.image_encoder, anchors, self.min_confidence, shared),
            decoder.NativeDecoder(self.layout, self.denoiser, self.scheduler, self.library, self.grounds, draws),
            str(self.device),
        )

    @property
    def model_digest(self) -> str:
        """Digest of the whole model; empty if it was neither loaded nor saved."""
        return self.model.digest if all(self._digests) else ""

    @property
    def networks(self) -> dict[str, torch.nn.Module]:
        """Its networks by name."""
        return {name: part for name, part in self.components.items() if isinstance(part, torch.nn.Module)}

    @property
    def embedding_width(self) -> int:
        """E: width of the shared space."""
        return int(self.projection.config.embedding_width)

    @property
    def styles(self) -> list[str]:
        """Names of the styles that the decoder knows."""
        return list(self.model.decoder.info.styles)

    # ---------------------------------------------------------------------------------------------------- steps

    def encode_speech(self, waveforms: Sequence[NDArray[np.float32]], sampling_rate: int) -> SpeechEmbedding:
        """Mono waveforms `(T_i,)` of at most 29 s to their embeddings.

        Raises:
            ConfigError: the sampling rate is not the model's.
        """
        self._check_rate(sampling_rate)
        encoder = self.model.encoder
        return encoder.encode([encoder.frontend(waveform) for waveform in waveforms])

    def _check_rate(self, sampling_rate: int) -> None:
        if sampling_rate != self.sampling_rate_hz:
            raise ConfigError(
                f"sampling_rate={sampling_rate}", f"the model expects {self.sampling_rate_hz} Hz", "Resample first."
            )

    def hear(
        self,
        waveform: NDArray[np.float32],
        sampling_rate: int = SAMPLING_RATE_HZ,
        *,
        precision: float = 0.85,
        min_confidence: float | None = None,
    ) -> list[Thing]:
        """What is named in a recording that could be drawn, in the order of time.

        Args:
            waveform: mono `(T,)`, float32 within -1 to 1, of any length.
            sampling_rate: in Hz.
            precision: share of what is told that is really named, at least, by what was measured on lectures.
            min_confidence: tells what is at least so probable, whatever precision that has.

        Raises:
            ConfigError: the sampling rate is not the model's.
            ModelError: the model has no grounding.
        """
        self._check_rate(sampling_rate)
        encoder = self.model.encoder
        if self.grounding is None or not isinstance(encoder, ThingHearer):
            raise no_grounding("the pipeline")
        least = confidence_for(precision, self.grounding.config.limits) if min_confidence is None else min_confidence
        found: list[Thing] = []
        spoken = (part for part in segment([waveform], AudioConfig()) if isinstance(part, Segment))
        while some := list(itertools.islice(spoken, _UTTERANCES)):
            clips = [(each.start_s, each.end_s, encoder.frontend(each.waveform)) for each in some]
            found += itertools.chain(*hear(encoder, clips, least)[1])
        library = self.library.styled(self.styles[0])
        return titled(found, [info.name for info in library.infos], library.vectors)

    def encode_images(self, images: U8) -> torch.Tensor:
        """RGB images `(B, H, W, 3)` uint8 to L2-normalised vectors `(B, E)`."""
        return self.model.space.embed_images(images)

    def draw(
        self, embeddings: SpeechEmbedding, seeds: Sequence[int], image: ImageConfig, on_step: OnStep | None = None
    ) -> decoder.NativeDrawing:
        """One picture for each of B embeddings, with what it was made from; raises as `ImageDecoder.draw` does."""
        return self.model.decoder.draw(embeddings, seeds, image, on_step)  # type: ignore[no-any-return]

    def generate(
        self, embeddings: SpeechEmbedding, seeds: Sequence[int], image: ImageConfig, on_step: OnStep | None = None
    ) -> U8:
        """The pictures of `draw` alone: `(B, S, S, 3)` uint8."""
        return self.draw(embeddings, seeds, image, on_step).images

    def __call__(
        self,
        waveforms: Sequence[NDArray[np.float32]],
        sampling_rate: int = SAMPLING_RATE_HZ,
        generator: Sequence[torch.Generator] | None = None,
        image: ImageConfig | None = None,
        output_type: str = "pil",
        on_step: OnStep | None = None,
    ) -> list[Image.Image] | NDArray[np.uint8]:
        """Speech to pictures in one call.

        Args:
            waveforms: mono `(T_i,)`, float32 within -1 to 1.
            sampling_rate: in Hz.
            generator: one per picture; its initial seed is used. Without, picture i has seed i.
            image: settings of the pictures.
            output_type: `pil`, or `np` for `(B, S, S, 3)` uint8.
            on_step: called for every denoising step.
        """
        seeds = [g.initial_seed() for g in generator] if generator else list(range(len(waveforms)))
        embeddings = self.encode_speech(waveforms, sampling_rate)
        pictures = self.generate(embeddings, seeds, image or ImageConfig(), on_step)
        return pictures if output_type == "np" else [Image.fromarray(picture) for picture in pictures]


def _equal(one: F32, other: F32 | None) -> bool:
    return other is not None and np.array_equal(one, other)
