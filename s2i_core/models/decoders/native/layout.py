"""The layout predictor: what to draw, how many and where, from tokens of the speech alone.

N slots, each a learned query that attends to the tokens, say whether they hold an object, where its box lies, which
direction of the shared space the library is asked for, and which colour the object was given. The slots have no order
of their own: training gives each scene's things to the slots that fit them best, as in DETR (Carion et al. 2020, arXiv
2005.12872). One query more asks for the place: which setting, at which time of day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

_ASKS_FOR = 0.5
"""Cosine from which a slot asks for a thing."""


@dataclass(frozen=True)
class Layout:
    """N slots for each of B utterances.

    Attributes:
        presence: logit that a slot holds an object `(B, N)`.
        boxes: centre x, centre y, width, height as shares of the picture `(B, N, 4)`; zeros where nothing was said of
            a place (`showing`).
        queries: what to ask the library for, L2-normalised `(B, N, E)`.
        colours: logits of an object's colour `(B, N, 1 + colours)`: first its own, then `recolour.COLOURS` in their
            order; `(B, N, 0)` from a predictor that knows none.
        settings: logits of the setting `(B, S)`, and
        times: of the time of day `(B, T)`; `(B, 0)` from a predictor that knows none.
    """

    presence: torch.Tensor
    boxes: torch.Tensor
    queries: torch.Tensor
    colours: torch.Tensor
    settings: torch.Tensor
    times: torch.Tensor

    def place(self, settings: Sequence[int] | None = None) -> torch.Tensor:
        """Setting and time of day as two one-hot vectors end to end `(B, S + T)`, or `(B, 0)`: the likeliest.

        Args:
            settings: those that were chosen instead, a number a row.
        """
        setting = _one_hot(self.settings)
        if settings is not None and setting.shape[1]:
            chosen = torch.tensor(list(settings), device=setting.device)
            setting = F.one_hot(chosen, setting.shape[1]).to(setting.dtype)
        return torch.cat([setting, _one_hot(self.times)], dim=1)


def showing(layout: Layout, things: torch.Tensor) -> Layout:
    """The layout with these things in its slots, and nothing else.

    A slot that asks for one of them keeps its place and its colour. Where some thing has none, because it was named
    elsewhere, all of them are without a place.

    Args:
        layout: of B utterances.
        things: vectors `(B, M, E)`, zeros where a row has fewer; a row of zeros stays as it is.
    """
    presence, boxes, queries, colours = (
        each.clone() for each in (layout.presence, layout.boxes, layout.queries, layout.colours)
    )
    slots = presence.shape[1]
    for row in range(len(presence)):
        shown = things[row][things[row].norm(dim=1) > 0][:slots].to(queries)
        if not len(shown):
            continue
        alike, which = (queries[row] @ F.normalize(shown, dim=1).T).max(1)
        asks = (alike > _ASKS_FOR) & (presence[row] > 0)
        if len(which[asks].unique()) < len(shown):
            # In the order of the things; of the slots that ask for one, the surest knows its colour.
            own = torch.zeros_like(colours[row])
            own[:, :1] = 1.0
            for slot in asks.nonzero().flatten()[presence[row][asks].argsort()].tolist():
                own[which[slot]] = colours[row, slot]
            colours[row], boxes[row] = own, 0.0
            which, asks = (
                torch.arange(slots, device=which.device),
                torch.arange(slots, device=which.device) < len(shown),
            )
        presence[row] = torch.where(asks, presence[row].abs() + 1, -presence[row].abs() - 1)
        queries[row, asks] = F.normalize(shown, dim=1)[which[asks]]
    return replace(layout, presence=presence, boxes=boxes, queries=queries, colours=colours)


def _one_hot(logits: torch.Tensor) -> torch.Tensor:
    width = logits.shape[1]
    return F.one_hot(logits.argmax(1), width).to(logits.dtype) if width else logits


class LayoutPredictor(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Tokens of the speech `(B, K, C)` and the pooled vector `(B, E)` to a `Layout`.

    Args:
        token_width: C.
        embedding_width: E.
        num_slots: N, the most objects in one picture.
        width, depth, heads: shape of the transformer decoder.
        num_colours: how many of `recolour.COLOURS` it knows; 0 for a predictor that leaves all drawings as they are.
        num_settings, num_times: how many settings and times of day it tells apart; 0 for one that knows none.
        own_tokens: how many tokens it reads that are meant for it alone: those of a projection of its own, which the
            denoiser does not see. 0 for a predictor that reads what the denoiser reads.
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
        num_colours: int = 0,
        num_settings: int = 0,
        num_times: int = 0,
        own_tokens: int = 0,
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
        self.colours = nn.Linear(width, 1 + num_colours) if num_colours else None
        if num_settings:
            self.place = nn.Parameter(torch.randn(1, width) * 0.02)
            self.settings = nn.Linear(width, num_settings)
            self.times = nn.Linear(width, num_times)

    def forward(self, tokens: torch.Tensor, pooled: torch.Tensor) -> Layout:
        """Predict the layouts."""
        context = torch.cat([self.context(tokens), self.pooled(pooled.to(tokens.dtype))[:, None]], dim=1)
        batch = tokens.shape[0]
        asked = torch.cat([self.slots, self.place]) if self.config.num_settings else self.slots
        x = self.decoder(asked.expand(batch, -1, -1), context)
        settings = times = x.new_zeros(batch, 0).float()
        if self.config.num_settings:
            x, place = x[:, :-1], x[:, -1]
            settings, times = self.settings(place).float(), self.times(place).float()
        # A residual from the pooled vector: one object alone is what the whole utterance is about.
        queries = self.queries(x) + pooled.to(x.dtype)[:, None]
        return Layout(
            presence=self.presence(x).squeeze(-1).float(),
            boxes=self.boxes(x).float().sigmoid(),
            queries=F.normalize(queries.float(), dim=-1),
            colours=self.colours(x).float() if self.colours is not None else x.new_zeros((*x.shape[:2], 0)).float(),
            settings=settings,
            times=times,
        )
