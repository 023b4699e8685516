"""The speech encoder: Whisper's encoder (Radford et al. 2022, arXiv 2212.04356) on clips of any length."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

__all__ = ["PreTrainedModel", "SpeechEncoder", "WhisperConfig"]  # diffusers looks up PreTrainedModel in this module


class SpeechEncoder(WhisperEncoder):  # type: ignore[misc]
    """Whisper's encoder without its fixed 30 seconds.

    transformers' class insists on 3,000 mel frames. With the first positions only, the same layers run on a shorter
    clip at a tenth of the cost for a short utterance, and their features agree closely with those of the padded clip.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Log-mel features `(B, n_mels, F)` at 100 Hz, F even and at most 3,000, to frames `(B, F / 2, D)` at 50 Hz.

        Raises:
            ValueError: F is odd or longer than the positions that the encoder has.
        """
        frames = features.shape[-1] // 2
        if features.shape[-1] % 2 or frames > self.max_source_positions:
            limit = 2 * self.max_source_positions
            raise ValueError(f"expected an even number of mel frames, at most {limit}, not {features.shape[-1]}")
        hidden = F.gelu(self.conv1(features))
        hidden = F.gelu(self.conv2(hidden)).permute(0, 2, 1)
        hidden = hidden + self.embed_positions.weight[:frames].to(hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, None)
        return self.layer_norm(hidden)
