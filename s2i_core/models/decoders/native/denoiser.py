"""The denoiser: a U-Net that predicts the clean picture from a noisy one, the speech and a reference canvas.

Flow matching (Lipman et al. 2023, arXiv 2210.02747; Liu et al. 2023, arXiv 2209.03003) in pixel space with
x-prediction (Li & He 2025, arXiv 2511.13720): `x_t = (1 - t) x_0 + t ε`, the network says x_0, and the velocity is
`(x_t - x_0) / t`. It is retrieval-augmented (Blattmann et al. 2022, arXiv 2204.11824): besides the speech it sees
library images laid out on a canvas, which training drops and disturbs at random. A gate for each pixel says how much
of the canvas it keeps: what the network draws itself and what it takes over can be told apart and reported. What is
taken over stands in the light of the scene, which the network draws as a map of gains a few pixels wide, as networks do
that fit a cut-out into a photograph (HDRNet, Gharbi et al. 2017, arXiv 1707.02880; Harmonizer, Ke et al. 2022, arXiv
2207.01322): the drawing keeps its edges, however coarse the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional as F

GAINS = 3
"""Channels of the light that the denoiser predicts: gains of red, green and blue."""


@dataclass(frozen=True)
class Parts:
    """What the clean pictures are put together from, at the size of the canvas or at any other.

    Attributes:
        drawn: what the network draws itself `(B, 3, H, W)`, -1 to 1.
        gate: share of the canvas that it keeps where that is opaque `(B, 1, H, W)`.
        gains: light on the canvas, which multiplies colours that count from 0: one for each patch
            `(B, 3, H / patch, W / patch)`; None where it keeps its own.
    """

    drawn: torch.Tensor
    gate: torch.Tensor
    gains: torch.Tensor | None

    def row(self, n: int) -> Parts:
        """One picture's, on the CPU."""
        rows = (None if part is None else part[n : n + 1].float().cpu() for part in (self.drawn, self.gate, self.gains))
        return Parts(*rows)  # type: ignore[arg-type]

    def beyond(self, unsaid: Parts, guidance: float) -> Parts:
        """These, so much farther from those of nothing said (classifier-free guidance)."""

        def further(said: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            return other + guidance * (said - other)

        gains = None
        if self.gains is not None and unsaid.gains is not None:
            gains = further(self.gains, unsaid.gains).clamp(0, 2)
        return Parts(further(self.drawn, unsaid.drawn), self.gate, gains)


class Denoiser(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Noisy pictures to clean ones, on `patch` × `patch` pixels folded into channels.

    Args:
        token_width: C of the condition tokens.
        embedding_width: E of the pooled vector.
        styles: names of the style tokens, in order.
        patch: side of the square of pixels that becomes one position of the U-Net.
        widths: channels of its resolutions; cross-attention runs at all but the first.
        depth: residual blocks at each of them.
        head_width: channels of an attention head.
        groups: groups of its group norms.
        refine_width: channels of the two convolutions at full resolution that finish the picture.
        place_width: P, the width of `Layout.place`; 0 where the layout predictor knows no places.
        sample_size: side in pixels of the pictures that it was trained on, and the only ones that it draws; 0 for any.
        light: whether it lights what it takes over; without, that keeps the colours it has in the library.
    """

    @register_to_config
    def __init__(
        self,
        token_width: int = 384,
        embedding_width: int = 384,
        styles: tuple[str, ...] = ("3d",),
        patch: int = 8,
        widths: tuple[int, ...] = (128, 256),
        depth: int = 1,
        head_width: int = 64,
        groups: int = 16,
        refine_width: int = 16,
        place_width: int = 0,
        sample_size: int = 0,
        light: bool = False,
    ) -> None:
        super().__init__()
        colours, reference = 3 * patch**2, 4 * patch**2
        inner = len(widths) - 1
        self.unet = UNet2DConditionModel(
            in_channels=colours + reference,
            out_channels=reference + (GAINS if light else 0),  # three colours and a gate for each pixel
            block_out_channels=tuple(widths),
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * inner),
            up_block_types=(*["CrossAttnUpBlock2D"] * inner, "UpBlock2D"),
            layers_per_block=depth,
            cross_attention_dim=token_width,
            attention_head_dim=head_width,
            norm_num_groups=groups,
            class_embed_type="simple_projection",
            projection_class_embeddings_input_dim=embedding_width,
        )
        # Smooths what is blocky at the scale of a patch, and sets edges where noise and canvas are seen in full.
        last = nn.Conv2d(refine_width, 4, 3, padding=1)
        self.refine = nn.Sequential(nn.Conv2d(4 + 3 + 4, refine_width, 3, padding=1), nn.SiLU(), last)
        # The gate starts open: a reference is taken over until training finds something better.
        nn.init.zeros_(last.weight)
        last.bias = nn.Parameter(torch.tensor([0.0, 0.0, 0.0, 3.0]))
        self.style = nn.Embedding(len(styles), token_width)
        self.pooled = nn.Linear(embedding_width, token_width)
        if place_width:
            self.place_token = nn.Linear(place_width, token_width)
            self.place_pooled = nn.Linear(place_width, embedding_width, bias=False)
            nn.init.zeros_(self.place_pooled.weight)
        # What stands for "nothing said" under classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598).
        self.null_token = nn.Parameter(torch.zeros(token_width))
        self.null_pooled = nn.Parameter(torch.zeros(embedding_width))

    def frame_px(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Height and width at which a picture is drawn that is wanted with those.

        Its own square, where it was trained on one: in other proportions it would draw what it never saw. Else those
        themselves, in multiples of what it can draw.
        """
        if self.config.sample_size:
            return self.config.sample_size, self.config.sample_size
        unit = self.unit_px
        return max(unit, round(height_px / unit) * unit), max(unit, round(width_px / unit) * unit)

    @property
    def unit_px(self) -> int:
        """Sizes that it draws are multiples of this; 1 where it draws one size, which is then made the wanted one."""
        if self.config.sample_size:
            return 1
        return self.config.patch * 2 ** (len(self.config.widths) - 1)  # type: ignore[no-any-return]

    def forward(
        self,
        noisy: torch.Tensor,
        t: torch.Tensor,
        tokens: torch.Tensor,
        pooled: torch.Tensor,
        style: torch.Tensor,
        reference: torch.Tensor,
        dropped: torch.Tensor | None = None,
        place: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict the clean pictures.

        Args:
            noisy: `x_t` `(B, 3, S, S)`, -1 to 1 where clean; S a multiple of `patch × 2^(resolutions - 1)`.
            t: share of noise, 0 to 1 `(B,)`.
            tokens: condition tokens `(B, K, C)`.
            pooled: `(B, E)`.
            style: index of the style `(B,)`.
            reference: RGBA canvas `(B, 4, S, S)`, colours -1 to 1 premultiplied, alpha 0 to 1; zeros mean none.
            dropped: rows whose speech is replaced by the null condition `(B,)`, or None.
            place: setting and time of day as `Layout.place` gives them `(B, P)`; zeros, or None, mean unknown.

        Returns:
            x_0 `(B, 3, S, S)`, and the share of each pixel that was taken from the canvas, in whichever light
            `(B, 1, S, S)`.
        """
        return self.blend(self.parts(noisy, t, tokens, pooled, style, reference, dropped, place), reference)

    def blend(self, parts: Parts, reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The clean pictures of their parts and canvas, and what was taken from it: as `forward` returns them."""
        colours, alpha = reference[:, :3].float(), reference[:, 3:].float()
        if parts.gains is not None:
            gains = F.interpolate(parts.gains, scale_factor=self.config.patch, mode="bilinear")
            colours = (colours + alpha) * gains - alpha  # light multiplies colours that count from 0
        taken = parts.gate * alpha
        # `colours` is premultiplied: where alpha is 1, the gate blends what is drawn with what lies on the canvas.
        return parts.drawn * (1 - taken) + colours * parts.gate, taken

    def parts(
        self,
        noisy: torch.Tensor,
        t: torch.Tensor,
        tokens: torch.Tensor,
        pooled: torch.Tensor,
        style: torch.Tensor,
        reference: torch.Tensor,
        dropped: torch.Tensor | None = None,
        place: torch.Tensor | None = None,
    ) -> Parts:
        """What `forward` puts together; takes the same."""
        patch = self.config.patch
        if dropped is not None:
            tokens = torch.where(dropped[:, None, None], self.null_token.to(tokens.dtype), tokens)
            pooled = torch.where(dropped[:, None], self.null_pooled.to(pooled.dtype), pooled)
        pooled = pooled.to(tokens.dtype)
        context = torch.cat([tokens, self.pooled(pooled)[:, None], self.style(style)[:, None]], dim=1)
        if self.config.place_width:
            place = tokens.new_zeros(len(tokens), self.config.place_width) if place is None else place.to(tokens.dtype)
            if dropped is not None:
                place = place * ~dropped[:, None]
            context = torch.cat([context, self.place_token(place)[:, None]], dim=1)
            pooled = pooled + self.place_pooled(place)
        x = torch.cat([F.pixel_unshuffle(noisy, patch), F.pixel_unshuffle(reference.to(noisy.dtype), patch)], dim=1)
        x = x.contiguous(memory_format=torch.channels_last)
        # diffusers' sinusoidal embedding is made for 0 to 1000.
        out = self.unet(x, t * 1000, encoder_hidden_states=context, class_labels=pooled).sample
        pixels = 4 * patch**2
        coarse = F.pixel_shuffle(out[:, :pixels], patch)
        fine = self.refine(torch.cat([coarse, noisy, reference.to(noisy.dtype)], dim=1))
        drawn, gate = (coarse + fine).float().split([3, 1], dim=1)
        gains = 2 * out[:, pixels:].float().sigmoid() if self.config.light else None
        return Parts(drawn, gate.sigmoid(), gains)
