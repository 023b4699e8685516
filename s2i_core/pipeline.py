"""`SpeechToImagePipeline`: speech in, pictures out, as a `diffusers.DiffusionPipeline`.

Its steps are separately callable, because batch jobs and the online service batch them differently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray
from PIL import Image

from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.config import ImageConfig, ModelConfig
from s2i_core.errors import ConfigError, GenerationError, ModelError
from s2i_core.models.decoders.native.decoder import Drawing, NativeDecoder, NonFinite
from s2i_core.models.decoders.native.denoiser import Denoiser
from s2i_core.models.decoders.native.grounds import Grounds
from s2i_core.models.decoders.native.layout import LayoutPredictor
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.models.parts import load_part, quiet
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.records import SpeechEmbedding
from s2i_core.weights import GROUNDS_FOLDER, LIBRARY_FOLDER, checkpoint_folder, folder_digest, model_digest

FORMAT_VERSION = 2
_FACTS = "s2i.json"
PARTS: dict[str, type[torch.nn.Module]] = {
    "speech_encoder": SpeechEncoder,
    "projection": QueryTransformer,
    "layout_projection": QueryTransformer,
    "image_encoder": ImageEncoder,
    "layout": LayoutPredictor,
    "denoiser": Denoiser,
}
"""The networks of a checkpoint by the names of their folders."""
_ENCODE_ROWS = 16
"""Rows of one length that the encoder takes at once; bounds the memory of a large batch."""


class SpeechToImagePipeline(DiffusionPipeline):  # type: ignore[misc]
    """Spoken audio to pictures, with no text in between.

    Args:
        speech_encoder: log-mel to frames.
        projection: frames to condition tokens and a pooled vector.
        image_encoder: pictures to the same space.
        layout: tokens to what lies where.
        denoiser: draws.
        scheduler: the flow-matching schedule.
        layout_projection: frames to tokens for the layout alone, which follow the condition tokens; without it the
            layout reads those.

    The retrieval library is an attribute, `library`, because it is data and no network; `with_library` swaps it. So are
    the coarse `grounds` that pictures start from; without them, they start from noise.
    """

    model_cpu_offload_seq = "speech_encoder->projection->layout_projection->layout->denoiser->image_encoder"
    _optional_components = ["layout_projection"]  # noqa: RUF012 -- diffusers adds a list to it
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
        )
        self.library = SpriteLibrary([], [])
        self.grounds: Grounds | None = None
        self.model_digest = ""

    # ---------------------------------------------------------------------------------------------- load and save

    @classmethod
    def from_pretrained(
        cls, folder: str | Path | None = None, *, dtype: torch.dtype = torch.float32
    ) -> SpeechToImagePipeline:
        """Load a saved pipeline; without a folder, the weights that the package ships.

        Its parts are loaded by their folders' names, whichever modules `model_index.json` names, so that checkpoints
        outlive a move of the code.

        Raises:
            ModelError: the folder is missing, damaged or of another version.
        """
        path = checkpoint_folder(ModelConfig(checkpoint=str(folder or "")))
        try:
            facts = json.loads((path / _FACTS).read_text(encoding="utf-8"))
            version = facts["format_version"]
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                str(path), f"{_FACTS} is missing or damaged: {error}", "Copy the checkpoint again."
            ) from error
        if version != FORMAT_VERSION:
            raise ModelError(
                str(path),
                f"its format is version {version}, this s2i reads version {FORMAT_VERSION}",
                "Install the s2i that made it, or export it again.",
            )
        parts: dict[str, Any] = {
            name: load_part(path / name, part, dtype)
            for name, part in PARTS.items()
            if name not in cls._optional_components or (path / name).is_dir()
        }
        try:
            schedule = FlowMatchEulerDiscreteScheduler.from_pretrained(str(path / "scheduler"), local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelError(
                str(path), f"its schedule cannot be loaded: {error}", "Copy the checkpoint again."
            ) from error
        pipeline = cls(**parts, scheduler=schedule)
        pipeline.library = SpriteLibrary.load(path / LIBRARY_FOLDER)
        pipeline.grounds = Grounds.load(path / GROUNDS_FOLDER)
        pipeline.model_digest = folder_digest(path)
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
        (path / _FACTS).write_text(json.dumps({"format_version": FORMAT_VERSION}) + "\n", encoding="utf-8")
        self.model_digest = folder_digest(path)

    @classmethod
    def load(cls, config: ModelConfig) -> SpeechToImagePipeline:
        """Load as the settings say: checkpoint, library, device, dtype, threads.

        Raises:
            ModelError: see `from_pretrained`; or the library was made with another checkpoint.
            ConfigError: the device is not there.
        """
        device = config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"device {device!r}", "this process sees no GPU", "Use a CPU preset, or device=auto.")
        if config.threads:
            torch.set_num_threads(config.threads)
        pipeline = cls.from_pretrained(config.checkpoint or None, dtype=getattr(torch, config.dtype))
        if config.library:
            library = SpriteLibrary.load(Path(config.library))
            if library.embedded_by != pipeline.model_digest:
                raise ModelError(
                    config.library,
                    f"its vectors were made with model {library.embedded_by or 'unknown'}, not {pipeline.model_digest}",
                    "Build it again: s2i library build.",
                )
            pipeline.library = library
            pipeline.model_digest = model_digest(config)
        return pipeline.to(device)  # type: ignore[no-any-return]

    def with_library(self, library: SpriteLibrary) -> SpeechToImagePipeline:
        """Draw from another library, a house style for example; its vectors are made here where it has none."""
        if library.vectors is None:
            self.embed_library(library)
        self.library = library
        return self

    def embed_library(self, library: SpriteLibrary, batch: int = 64) -> None:
        """Fill in the vectors of a library: its sprites on white through the image encoder."""
        vectors: list[torch.Tensor] = []
        for start in range(0, len(library), batch):
            rows = [library.rgba(i).astype(np.float32) for i in range(start, min(start + batch, len(library)))]
            stack = np.stack(rows)
            alpha = stack[..., 3:] / 255
            vectors.append(self.encode_images((stack[..., :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)))
        library.vectors = torch.cat(vectors).cpu().numpy() if vectors else None
        library.embedded_by = self.model_digest

    # ---------------------------------------------------------------------------------------------------- facts

    @property
    def token_shape(self) -> tuple[int, int]:
        """(K, C): number and width of the tokens, those of the layout among them."""
        hearers = [self.projection, self.layout_projection] if self.layout_projection else [self.projection]
        return sum(hearer.config.num_queries for hearer in hearers), self.projection.config.token_width

    @property
    def networks(self) -> dict[str, torch.nn.Module]:
        """The networks that it has, by their names."""
        return {name: part for name, part in self.components.items() if isinstance(part, torch.nn.Module)}

    @property
    def embedding_width(self) -> int:
        """E: width of the shared space."""
        return int(self.projection.config.embedding_width)

    @property
    def styles(self) -> list[str]:
        """Names of the styles that the decoder knows."""
        return list(self.denoiser.config.styles)

    # ---------------------------------------------------------------------------------------------------- steps

    @torch.inference_mode()
    def encode_features(self, features: Sequence[NDArray[np.float16]]) -> SpeechEmbedding:
        """Log-mel features `(80, F_i)` of B utterances, of any mix of lengths, to their embeddings.

        Rows of one length run together; no row depends on another.
        """
        device, dtype = self.projection.device, self.projection.dtype
        tokens = torch.empty(len(features), *self.token_shape, device=device, dtype=dtype)
        pooled = torch.empty(len(features), self.embedding_width, device=device)
        by_length: dict[int, list[int]] = {}
        for row, feature in enumerate(features):
            by_length.setdefault(feature.shape[1], []).append(row)
        for rows in by_length.values():
            for start in range(0, len(rows), _ENCODE_ROWS):
                some = rows[start : start + _ENCODE_ROWS]
                batch = torch.from_numpy(np.stack([features[row] for row in some])).to(device, dtype)
                frames = self.projection.thin(self.speech_encoder(batch))
                t, p = self.projection(frames)
                if self.layout_projection:
                    t = torch.cat([t, self.layout_projection(frames)[0]], dim=1)
                tokens[some], pooled[some] = t, p
        share = torch.tensor([_sounding_share(feature) for feature in features], dtype=torch.float32)
        return SpeechEmbedding(tokens=tokens, pooled=pooled, speech_share=share)

    def encode_speech(self, waveforms: Sequence[NDArray[np.float32]], sampling_rate: int) -> SpeechEmbedding:
        """Mono waveforms `(T_i,)` of at most 29 s to their embeddings.

        Raises:
            ConfigError: the sampling rate is not the model's.
        """
        if sampling_rate != self.sampling_rate_hz:
            raise ConfigError(
                f"sampling_rate={sampling_rate}", f"the model hears {self.sampling_rate_hz} Hz", "Resample first."
            )
        return self.encode_features([log_mel(waveform) for waveform in waveforms])

    @torch.inference_mode()
    def encode_images(self, images: NDArray[np.uint8]) -> torch.Tensor:
        """RGB images `(B, H, W, 3)` uint8 to L2-normalised vectors `(B, E)`."""
        x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        encoder = self.image_encoder
        return encoder(x.to(encoder.device, encoder.dtype) / 127.5 - 1)  # type: ignore[no-any-return]

    def confidence(self, pooled: torch.Tensor) -> torch.Tensor:
        """Cosine of each pooled vector `(B, E)` to the nearest image of the library `(B,)`."""
        scores, _ = self.library.nearest(pooled.float().cpu().numpy(), k=1)
        return torch.from_numpy(scores[:, 0])

    def draw(
        self,
        embeddings: SpeechEmbedding,
        seeds: Sequence[int],
        image: ImageConfig,
        callback: Callable[[int, torch.Tensor], None] | None = None,
    ) -> Drawing:
        """As `generate`, with what each picture was made from.

        Raises:
            ConfigError: the style is unknown, or the size does not fit the model.
            GenerationError: a picture came out as NaN.
        """
        if image.style not in self.styles:
            raise ConfigError(
                f"style {image.style!r}", "the model does not know it", f"Choose of: {', '.join(self.styles)}."
            )
        if image.size_px % self.denoiser.unit_px:
            raise ConfigError(
                f"size_px={image.size_px}",
                f"the model draws multiples of {self.denoiser.unit_px}",
                "Choose one of those.",
            )
        library = self.library.styled(image.style)
        decoder = NativeDecoder(self.layout, self.denoiser, self.scheduler, library, self.grounds)
        try:
            return decoder.draw(embeddings, seeds, image, self.styles.index(image.style), callback)
        except NonFinite as error:
            raise GenerationError(
                f"seeds {[seeds[row] for row in error.rows]}", "the picture is not finite", "Try another dtype or seed."
            ) from error

    def generate(
        self,
        embeddings: SpeechEmbedding,
        seeds: Sequence[int],
        image: ImageConfig,
        callback: Callable[[int, torch.Tensor], None] | None = None,
    ) -> NDArray[np.uint8]:
        """One picture for each of B embeddings: `(B, S, S, 3)` uint8; raises as `draw`."""
        return self.draw(embeddings, seeds, image, callback).images

    def __call__(
        self,
        waveforms: Sequence[NDArray[np.float32]],
        sampling_rate: int = SAMPLING_RATE_HZ,
        generator: Sequence[torch.Generator] | None = None,
        image: ImageConfig | None = None,
        output_type: str = "pil",
        callback: Callable[[int, torch.Tensor], None] | None = None,
    ) -> list[Image.Image] | NDArray[np.uint8]:
        """Speech to pictures in one call.

        Args:
            waveforms: mono `(T_i,)`, float32 within -1 to 1.
            sampling_rate: in Hz.
            generator: one a picture; its initial seed is used. Without, picture i has seed i.
            image: settings of the pictures.
            output_type: `pil`, or `np` for `(B, S, S, 3)` uint8.
            callback: told of every denoising step.
        """
        seeds = [g.initial_seed() for g in generator] if generator else list(range(len(waveforms)))
        embeddings = self.encode_speech(waveforms, sampling_rate)
        pictures = self.generate(embeddings, seeds, image or ImageConfig(), callback)
        return pictures if output_type == "np" else [Image.fromarray(picture) for picture in pictures]


def _sounding_share(feature: NDArray[np.float16]) -> float:
    """Share of the frames of a log-mel `(80, F)` that are louder than its floor: the rest is padding and pause."""
    loud = feature.astype(np.float32).max(0)
    return float((loud > loud.min() + 0.25).mean())
