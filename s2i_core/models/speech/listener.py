"""The speech encoder of the shipped model: Whisper's frames, read by one query transformer per output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from s2i_core.audio.features import LogMel
from s2i_core.config import WhisperEncoderConfig
from s2i_core.models.contracts import F16, Frontend
from s2i_core.models.parts import load_part
from s2i_core.models.speech.grounding import Grounding, Vocabulary
from s2i_core.models.speech.grounding import load as load_grounding
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.records import SpeechEmbedding

_ROWS = 16
"""Rows of equal length that run at once; bounds the memory of a large batch."""
_MEL_FRAMES = 4
"""Mel frames for each frame at 25 Hz."""


class WhisperListener:
    """Implements `SpeechEncoder`.

    Args:
        frames: log-mel `(B, 80, F)` to frames `(B, T, D)`.
        projection: frames to condition tokens and a pooled vector.
        extras: projections of further outputs, by name.
        digest: of the files that they come from.
        grounding: what hears single things in frames, and which; None if it was not trained.
    """

    frontend: Frontend = LogMel()

    def __init__(
        self,
        frames: SpeechEncoder,
        projection: QueryTransformer,
        extras: Mapping[str, QueryTransformer],
        digest: str = "",
        grounding: tuple[Grounding, Vocabulary] | None = None,
    ) -> None:
        self.digest = digest
        self.tokens = int(projection.config.num_queries)
        self.token_width = int(projection.config.token_width)
        self.embedding_width = int(projection.config.embedding_width)
        self.extras: Mapping[str, int] = {name: int(each.config.num_queries) for name, each in extras.items()}
        self.grounding = grounding
        self._frames = frames
        self._projection = projection
        self._extras = extras

    def encode(self, features: Sequence[F16]) -> SpeechEmbedding:
        """Log-mel features `(80, F_i)` of B utterances, of any mix of lengths, to their embeddings.

        Rows of one length run together; no row depends on another.
        """
        return self.encode_with_frames(features)[0]

    @torch.inference_mode()
    def encode_with_frames(self, features: Sequence[F16]) -> tuple[SpeechEmbedding, list[torch.Tensor]]:
        """As `encode`, and the frames at 25 Hz of each without the padding `(T_i, D)`: what a grounding listens to."""
        device, dtype = self._projection.device, self._projection.dtype

        def empty(tokens: int) -> torch.Tensor:
            return torch.empty(len(features), tokens, self.token_width, device=device, dtype=dtype)

        tokens, extras = empty(self.tokens), {name: empty(count) for name, count in self.extras.items()}
        pooled = torch.empty(len(features), self.embedding_width, device=device)
        by_length: dict[int, list[int]] = {}
        sounding: dict[int, torch.Tensor] = {}
        for row, feature in enumerate(features):
            by_length.setdefault(feature.shape[1], []).append(row)
        for rows in by_length.values():
            for start in range(0, len(rows), _ROWS):
                some = rows[start : start + _ROWS]
                batch = torch.from_numpy(np.stack([features[row] for row in some])).to(device, dtype)
                frames = self._projection.halve_rate(self._frames(batch))
                tokens[some], pooled[some] = self._projection(frames)
                for name, projection in self._extras.items():
                    extras[name][some] = projection(frames)[0]
                for row, own in zip(some, frames, strict=True):
                    # Of the batch, only this is kept.
                    sounding[row] = own[: _sounding_frames(features[row])].clone() if self.grounding else own[:0]
        share = torch.tensor([_sounding_share(feature) for feature in features], dtype=torch.float32)
        return SpeechEmbedding(tokens, pooled, share, extras), [sounding[row] for row in range(len(features))]


def load(config: WhisperEncoderConfig, folder: Path, device: str, dtype: torch.dtype, digest: str) -> WhisperListener:
    """The one of a checkpoint.

    Raises:
        ModelError: a part is missing or damaged.
    """
    del config  # it only names the folder
    own = folder / "layout_projection"
    extras = {"layout": load_part(own, QueryTransformer, dtype).to(device)} if own.is_dir() else {}
    return WhisperListener(
        load_part(folder / "speech_encoder", SpeechEncoder, dtype).to(device),
        load_part(folder / "projection", QueryTransformer, dtype).to(device),
        extras,
        digest,
        load_grounding(folder, device, dtype),
    )


def _sounding_share(feature: F16) -> float:
    """Share of the frames of a log-mel `(80, F)` that are louder than its floor: the rest is padding and pauses."""
    loud = feature.astype(np.float32).max(0)
    return float((loud > loud.min() + 0.25).mean())


def _sounding_frames(feature: F16) -> int:
    """How many frames at 25 Hz of a log-mel `(80, F)` come before the silence that it ends with; one at least."""
    loud = feature.max(0)
    sounds = np.flatnonzero(loud > loud.min() + np.float16(0.02))
    return max(1, round((sounds[-1] + 1) / _MEL_FRAMES)) if len(sounds) else 1
