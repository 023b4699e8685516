"""The space that speech and pictures share: an image encoder, and vectors of what can be drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file

from s2i_core.errors import ModelError
from s2i_core.models.contracts import F32, U8
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.models.parts import load_part
from s2i_core.weights import anchors_file, facts, space_digest


class ImageSpace:
    """Implements `SharedSpace`.

    Args:
        encoder: pictures to vectors.
        anchors: vectors `(N, E)` of what can be drawn, L2-normalised: confidence is the cosine to the nearest. They
            belong to the encoder, so that another library to draw from changes no scene.
        min_confidence: below it nothing drawable is said.
        digest: of the files that they come from.
    """

    def __init__(self, encoder: ImageEncoder, anchors: F32, min_confidence: float, digest: str = "") -> None:
        self.min_confidence = min_confidence
        self.digest = digest
        self.anchors = anchors
        self._encoder = encoder

    @torch.inference_mode()
    def embed_images(self, rgb: U8) -> torch.Tensor:
        """RGB images `(B, H, W, 3)` uint8 to L2-normalised vectors `(B, E)`."""
        x = torch.from_numpy(np.require(rgb, requirements=["C", "W"])).permute(0, 3, 1, 2)
        encoder = self._encoder
        return encoder(x.to(encoder.device, encoder.dtype) / 127.5 - 1)  # type: ignore[no-any-return]

    def confidence(self, pooled: torch.Tensor) -> torch.Tensor:
        """Cosine of each pooled vector `(B, E)` to the nearest anchor `(B,)`."""
        return torch.from_numpy((pooled.float().cpu().numpy() @ self.anchors.T).max(1))


def load(folder: Path, device: str, dtype: torch.dtype) -> ImageSpace:
    """The one of a checkpoint.

    Raises:
        ModelError: a part is missing or damaged.
    """
    encoder = load_part(folder / "image_encoder", ImageEncoder, dtype).to(device)
    return ImageSpace(encoder, anchors(folder), facts(folder).min_confidence, space_digest(folder))


def anchors(folder: Path) -> F32:
    """The anchors `(N, E)` of a checkpoint: its own, otherwise the vectors of its library.

    Raises:
        ModelError: they are missing or damaged.
    """
    path = anchors_file(folder)
    try:
        vectors = load_file(path)["vectors"].astype(np.float32)
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(str(path), f"its vectors cannot be read: {error}", "Copy the checkpoint again.") from error
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
