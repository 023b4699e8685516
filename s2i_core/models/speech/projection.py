"""The projection: a query transformer from speech frames to condition tokens and one vector in the shared space.

K queries attend to the frames, as in BLIP-2's Q-Former (Li et al. 2023, arXiv 2301.12597). Its layers have the layout
of Whisper's decoder so that training can start from them: their cross-attention already knows how to take words out
of frames. There is no vocabulary and no autoregression: all queries are answered in one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

Read: TypeAlias = tuple[torch.Tensor, torch.Tensor]


class Attention(nn.Module):
    """Multi-head attention `(B, Q, D), (B, T, D) -> (B, Q, D)`, in two steps.

    The key projection has no bias, as in Whisper.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def read(self, context: torch.Tensor) -> Read:
        """What is attended to: keys and values, both `(B, H, T, D / H)`."""
        return self._split(self.k(context)), self._split(self.v(context))

    def forward(self, x: torch.Tensor, read: Read, causal: bool = False) -> torch.Tensor:
        """Attend from `x` to what was read."""
        y = F.scaled_dot_product_attention(self._split(self.q(x)), *read, is_causal=causal)
        return self.out(y.transpose(1, 2).flatten(-2))


class QueryLayer(nn.Module):
    """Pre-norm layer: causal self-attention of the queries, cross-attention to the frames, feed-forward."""

    def __init__(self, width: int, heads: int, mlp_width: int) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_width), nn.GELU(), nn.Linear(mlp_width, width))

    def forward(self, x: torch.Tensor, frames: Read) -> torch.Tensor:
        """Queries `(B, K, D)` and what `cross_attention` read of the frames to queries `(B, K, D)`."""
        y = self.self_norm(x)
        x = x + self.self_attention(y, self.self_attention.read(y), causal=True)
        x = x + self.cross_attention(self.cross_norm(x), frames)
        return x + self.mlp(self.mlp_norm(x))


class QueryTransformer(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Frames `(B, T, D)` to condition tokens `(B, K, C)` and a pooled L2-normalised vector `(B, E)`.

    Args:
        width: D, the width of the speech encoder.
        depth, heads, mlp_width: shape of the transformer.
        num_queries: K.
        token_width: C.
        embedding_width: E.
    """

    @register_to_config
    def __init__(
        self,
        width: int = 384,
        depth: int = 4,
        heads: int = 6,
        mlp_width: int = 1536,
        num_queries: int = 16,
        token_width: int = 384,
        embedding_width: int = 384,
    ) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(num_queries, width) * 0.02)
        self.layers = nn.ModuleList(QueryLayer(width, heads, mlp_width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.to_tokens = nn.Sequential(nn.Linear(width, token_width), nn.LayerNorm(token_width))
        self.to_pooled = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.GELU(), nn.LayerNorm(2 * width), nn.Linear(2 * width, embedding_width)
        )

    @staticmethod
    def halve_rate(frames: torch.Tensor) -> torch.Tensor:
        """Frames `(B, T, D)` at 50 Hz to `(B, T / 2, D)` at 25 Hz by averaging pairs: half the work, no loss."""
        return frames.unflatten(1, (-1, 2)).mean(2)

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames at 25 Hz (see `halve_rate`) to (tokens, pooled)."""
        return self.answer(self.read(frames))

    def read(self, frames: torch.Tensor) -> list[Read]:
        """What each layer attends to. No frame's part depends on the others, so windows of it can be cut."""
        layers: Iterable[Any] = self.layers
        return [layer.cross_attention.read(frames) for layer in layers]

    def answer(self, read: Sequence[Read]) -> tuple[torch.Tensor, torch.Tensor]:
        """From what was read to (tokens, pooled)."""
        x = self.queries.expand(read[0][0].shape[0], -1, -1)
        for layer, frames in zip(self.layers, read, strict=True):
            x = layer(x, frames)
        x = self.norm(x)
        # The last query has seen all the others; the mean gives each of them a gradient.
        summary = torch.cat([x.mean(1), x[:, -1]], dim=-1)
        return self.to_tokens(x), F.normalize(self.to_pooled(summary).float(), dim=-1)
