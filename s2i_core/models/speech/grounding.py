"""Grounding: which vector of the shared space is being named in a window of speech, and whether any is.

The query transformer of the projection, on windows as long as a word instead of whole utterances. Beside the vectors of
things it knows one of its own, which stands for a window in which nothing is named that can be drawn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

from s2i_core.errors import ModelError
from s2i_core.models.parts import load_part
from s2i_core.models.speech.projection import QueryTransformer, Read
from s2i_core.weights import GROUNDING_FOLDER

_MAX_SCALE = 60.0
_VOCABULARY = "vocabulary.safetensors"
_TITLES = "titles"
SAME = 0.8
"""The cosine of two names from which one picture shows both, chosen on the lectures of development."""


@dataclass(frozen=True)
class Vocabulary:
    """What a grounding listens for, as it was calibrated: another library to draw from changes nothing of it.

    Attributes:
        titles: of N things; several may have the same.
        vectors: of the same, in the shared space, unit length `(N, E)`.
        others: of M further things that talk names, `(M, E)`. A noun that the library cannot show is one of these to
            the listener, and not the nearest thing that it can.
    """

    titles: Sequence[str]
    vectors: NDArray[np.float32]
    others: NDArray[np.float32]

    @cached_property
    def everything(self) -> torch.Tensor:
        """The vectors of things and others, `(N + M, E)`."""
        return torch.from_numpy(np.concatenate([self.vectors, self.others]))

    @cached_property
    def _synonyms(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Those of the others that mean a thing, and which: a physician is shown by a doctor."""
        if not len(self.others):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        cosines = self.others @ self.vectors.T
        same = np.flatnonzero(cosines.max(1) >= SAME)
        return same, cosines[same].argmax(1)

    def of_titles(self, shares: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shares of `everything` `(W, N + M)` to those of the titles `(W, N)`, each with its synonyms'."""
        own = shares[:, : len(self.titles)].copy()
        same, thing = self._synonyms
        np.add.at(own.T, thing, shares[:, len(self.titles) + same].T)
        return own

    def save(self, folder: Path) -> None:
        """Write it into the folder of a grounding."""
        told = {_TITLES: json.dumps(list(self.titles))}
        tensors = {"vectors": self.vectors.astype(np.float16), "others": self.others.astype(np.float16)}
        save_file(tensors, folder / _VOCABULARY, told)

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read it.

        Raises:
            ModelError: it is missing or damaged.
        """
        path = folder / _VOCABULARY
        try:
            with safe_open(path, framework="np") as file:
                titles = json.loads(file.metadata()[_TITLES])
                vectors, others = (file.get_tensor(name).astype(np.float32) for name in ("vectors", "others"))
            if len(titles) != len(vectors):
                raise ValueError(f"{len(titles)} titles for {len(vectors)} vectors")
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                str(path), f"it cannot be read: {error}", "Export it again: python -m s2i_core.training.grounding."
            ) from error
        unit, unit_others = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (vectors, others))
        return cls(titles, unit, unit_others)


class Grounding(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Windows of frames `(B, T, D)` to vectors `(B, E)`, which `logits` sets against those of things.

    Args:
        width, depth, heads, mlp_width, num_queries, embedding_width: of the query transformer, see there.
        slope, offset: of the logistic curve from a share to a confidence, see `confidence`.
        limits: pairs of a precision and the confidence from which what is heard has it, measured on lectures.
    """

    @register_to_config
    def __init__(
        self,
        width: int = 384,
        depth: int = 4,
        heads: int = 6,
        mlp_width: int = 1536,
        num_queries: int = 16,
        embedding_width: int = 384,
        slope: float = 1.0,
        offset: float = 0.0,
        limits: Sequence[tuple[float, float]] = (),
    ) -> None:
        super().__init__()
        # Tokens are not asked for; a width of one makes them cost nothing.
        self.body = QueryTransformer(width, depth, heads, mlp_width, num_queries, 1, embedding_width)
        self.nothing = nn.Parameter(F.normalize(torch.randn(embedding_width), dim=0))
        self.nothing_bias = nn.Parameter(torch.tensor(0.0))
        self.log_scale = nn.Parameter(torch.tensor(3.2))

    @classmethod
    def from_projection(cls, projection: QueryTransformer, num_queries: int | None = None) -> Grounding:
        """A grounding that begins with what a projection has learned, with its first queries if fewer are wanted."""
        config: dict[str, Any] = {
            name: projection.config[name] for name in ("width", "depth", "heads", "mlp_width", "embedding_width")
        }
        grounding = cls(**config, num_queries=num_queries or projection.config.num_queries)
        state = {
            name: value for name, value in projection.state_dict().items() if not name.startswith(("to_tokens", "quer"))
        }
        grounding.body.load_state_dict(state, strict=False)
        with torch.no_grad():
            # The last query is the one that the pooled vector is read from.
            count = grounding.config.num_queries
            grounding.body.queries[:] = torch.cat([projection.queries[: count - 1], projection.queries[-1:]])
        return grounding

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Windows of frames at 25 Hz `(B, T, D)` to unit vectors `(B, E)`."""
        vectors: torch.Tensor = self.body(windows)[1]
        return vectors

    def read(self, frames: torch.Tensor) -> list[Read]:
        """Frames of a clip at 25 Hz `(T, D)`, once for all windows of them."""
        return self.body.read(frames[None])

    def slide(self, read: Sequence[Read], windows: torch.Tensor) -> torch.Tensor:
        """As `forward`, for windows of what was read: the numbers of their frames `(B, W)`; gives `(B, E)`."""
        # One gather a layer, and the frames before the heads: (H, T, d) to (B, H, W, d).
        cut = [tuple(part[0].transpose(0, 1)[windows].transpose(1, 2) for part in pair) for pair in read]
        vectors: torch.Tensor = self.body.answer(cut)[1]  # type: ignore[arg-type]
        return vectors

    def logits(self, vectors: torch.Tensor, things: torch.Tensor) -> torch.Tensor:
        """Vectors `(B, E)` against those of N things `(N, E)`: `(B, N + 1)`, the last for nothing.

        Their softmax is the share of each, if one of these or nothing is named.
        """
        scale = self.log_scale.exp().clamp(max=_MAX_SCALE)
        nothing = vectors @ F.normalize(self.nothing, dim=0) * scale + self.nothing_bias
        return torch.cat([vectors @ things.T * scale, nothing[:, None]], dim=1)

    def confidence(self, share: NDArray[np.float32]) -> NDArray[np.float32]:
        """How probable it is that what has this share is really named (Platt 1999), of any shape.

        The curve is fitted on the lectures of development (`python -m s2i_core.evaluation calibrate`); without it, a
        share is taken as it is.
        """
        bounded = np.clip(share.astype(np.float64), 1e-6, 1 - 1e-6)
        odds = float(self.config.slope) * np.log(bounded / (1 - bounded)) + float(self.config.offset)
        return np.asarray(1 / (1 + np.exp(-odds)), np.float32)


def load(folder: Path, device: str, dtype: torch.dtype) -> tuple[Grounding, Vocabulary] | None:
    """That of a checkpoint; None for one that has none.

    Raises:
        ModelError: it is damaged.
    """
    own = folder / GROUNDING_FOLDER
    if not own.is_dir():
        return None
    return load_part(own, Grounding, dtype).to(device), Vocabulary.load(own)
