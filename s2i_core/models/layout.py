"""The layout predictor: what to draw, how many and where, from the condition tokens alone.

N slots, each a learned query that attends to the tokens, say whether they hold an object, where its box lies and
which direction of the shared space the library is asked for. The composer's order (left to right, then top to
bottom) is the order of the slots, so training needs no matching.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Layout:
    """N slots for each of B utterances.

    Attributes:
        presence: logit that a slot holds an object `(B, N)`.
        boxes: centre x, centre y, width, height as shares of the picture `(B, N, 4)`.
        queries: what to ask the library for, L2-normalised `(B, N, E)`.
    """

    presence: torch.Tensor
    boxes: torch.Tensor
    queries: torch.Tensor


class LayoutPredictor(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Condition tokens `(B, K, C)` and the pooled vector `(B, E)` to a `Layout`.

    Args:
        token_width: C.
        embedding_width: E.
        num_slots: N, the most objects in one picture.
        width, depth, heads: shape of the transformer decoder.
    """

    @register_to_config
    def __init__(
        self,
        token_width: int = 384,
        embedding_width: int = 384,
        num_slots: int = 4,
        width: int = 256,
        depth: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.slots = nn.Parameter(torch.randn(num_slots, width) * 0.02)
        self.context = nn.Linear(token_width, width)
        self.pooled = nn.Linear(embedding_width, width)
        layer = nn.TransformerDecoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, depth, norm=nn.LayerNorm(width))
        self.presence = nn.Linear(width, 1)
        self.boxes = nn.Linear(width, 4)
        self.queries = nn.Linear(width, embedding_width)

    def forward(self, tokens: torch.Tensor, pooled: torch.Tensor) -> Layout:
        """Predict the layouts."""
        context = torch.cat([self.context(tokens), self.pooled(pooled.to(tokens.dtype))[:, None]], dim=1)
        x = self.decoder(self.slots.expand(tokens.shape[0], -1, -1), context)
        # A residual from the pooled vector: one object alone is what the whole utterance is about.
        queries = self.queries(x) + pooled.to(x.dtype)[:, None]
        return Layout(
            presence=self.presence(x).squeeze(-1).float(),
            boxes=self.boxes(x).float().sigmoid(),
            queries=F.normalize(queries.float(), dim=-1),
        )
