"""A picture at any size from what the denoiser drew at its own.

What the denoiser predicts is put together of a drawn ground, a gate and a light (`denoiser.Parts`). Gate and light are
smooth, so they can be enlarged; the canvas is painted anew from large drawings; and the ground, which a few steps leave
speckled, is smoothed first, but for its edges (guided filter, He et al. 2013, doi 10.1109/TPAMI.2012.213).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from s2i_core.models.decoders.native.denoiser import Parts

_RADIUS = 6
"""Of the windows within which the ground is smoothed, in pixels as it was drawn."""
_EDGE = 0.16
"""Standard deviation within a window, of colours from -1 to 1, from which there is an edge to keep."""
_HIDDEN = 1e-3
"""Weight of what is drawn where the canvas hides it: it was never seen, and must not bleed out at the edges."""


def enlarged(parts: Parts, reference: torch.Tensor, canvas: NDArray[np.float32]) -> torch.Tensor:
    """One picture of its parts on a canvas of another size.

    Args:
        parts: of one picture, `(1, …)`, on the CPU.
        reference: the canvas that they were predicted with `(1, 4, H, W)`.
        canvas: the same painted anew, `(H', W', 4)` in 0 to 1, premultiplied.

    Returns:
        `(3, H', W')` float32, about -1 to 1.
    """
    size = canvas.shape[:2]
    ground = smoothed(parts.drawn, 1 - parts.gate * reference[:, 3:])
    picture = _sized(ground, size, "bicubic")[0]
    rows, columns = (np.nonzero(canvas[:, :, 3].max(axis))[0] for axis in (1, 0))
    if not len(rows):
        return picture
    there = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    on = torch.from_numpy(np.ascontiguousarray(canvas[there])).permute(2, 0, 1)
    gate = _sized(parts.gate, size)[0][:, *there]
    colours, alpha = 2 * on[:3], on[3:]
    if parts.gains is not None:
        colours = colours * _sized(parts.gains, size)[0][:, *there]
    part = picture[:, *there]
    part *= 1 - gate * alpha
    part += (colours - alpha) * gate
    return picture


def _sized(x: torch.Tensor, size: tuple[int, ...], mode: str = "bilinear") -> torch.Tensor:
    return F.interpolate(x.float(), size[:2], mode=mode, align_corners=False, antialias=size[0] < x.shape[-2])


def smoothed(drawn: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """A ground without its speckle.

    Args:
        drawn: `(B, 3, H, W)`.
        seen: share of each pixel that shows `(B, 1, H, W)`; what does not is filled in from around.
    """
    weight = seen.clamp(min=_HIDDEN)
    total = _around(weight)
    mean = _around(drawn * weight) / total
    spread = (_around(drawn**2 * weight) / total - mean**2).clamp(min=0)
    kept = spread / (spread + _EDGE**2)
    slope, level = _around(kept * weight) / total, _around((1 - kept) * mean * weight) / total
    filled = torch.lerp(mean, drawn, seen)
    return slope * filled + level


def _around(x: torch.Tensor) -> torch.Tensor:
    """The mean of the window around each pixel, up to the edges of the picture."""
    return F.avg_pool2d(x, 2 * _RADIUS + 1, stride=1, padding=_RADIUS, count_include_pad=False)
