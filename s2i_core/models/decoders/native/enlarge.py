"""A picture at any size from what the denoiser drew at its own.

What the denoiser predicts is put together of a drawn ground, a gate and a light (`denoiser.Parts`). Where a ground is
painted (`painted/`), it and the canvas are painted anew at full size, and the light is enlarged, which is smooth: on
the things their light, on the ground how much darker than it was given the denoiser drew it.

Without a painted ground, the drawn one is enlarged, and its speckle, which a few steps leave, smoothed but for its
edges (guided filter, He et al. 2013, doi 10.1109/TPAMI.2012.213).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from s2i_core.models.decoders.native.denoiser import Parts
from s2i_core.models.decoders.native.redraw import PRINTS
from s2i_core.models.decoders.native.reference import Slot

_RADIUS = 6
"""Of the windows within which the ground is smoothed, in pixels as it was drawn."""
_EDGE = 0.16
"""Standard deviation within a window, of colours from -1 to 1, from which there is an edge to keep."""
_HIDDEN = 1e-3
"""Weight of what is drawn where the canvas hides it: it was never seen, and must not bleed out at the edges."""


_SHADE_PX = 16
"""Side of the parts of a ground, as it was drawn, whose light is compared."""
_DARKEST, _BRIGHTEST = 0.82, 1.04
_SHADOW, _CORE = 0.34, 0.30
"""Darkness of what a thing on the ground shades, and of where it touches it."""
SHADELESS = frozenset({"flat", "outline", "sketch", *PRINTS})
"""Styles whose things throw no soft shadow."""


def composed(
    ground: NDArray[np.uint8], shade: torch.Tensor, canvas: NDArray[np.float32], gains: torch.Tensor | None = None
) -> NDArray[np.uint8]:
    """One picture of its ground and its things, in the light that the denoiser gave them.

    Args:
        ground: painted, `(H, W, 3)`.
        shade: what its light is multiplied with `(1, 1, h, w)`.
        canvas: the things, `(H, W, 4)` in 0 to 1, premultiplied.
        gains: light on them `(1, 3, h, w)`; None for their own.

    Returns:
        `(H, W, 3)`.
    """
    size = ground.shape[:2]
    frame = ground.astype(np.float32)
    frame *= _sized(shade, size)[0, 0].numpy()[:, :, None]
    rows, columns = (np.nonzero(canvas[:, :, 3].max(axis))[0] for axis in (1, 0))
    if len(rows):
        there = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        things = 255 * canvas[there]
        if gains is not None:
            things[:, :, :3] *= _sized(gains, size)[0][:, *there].permute(1, 2, 0).numpy()
            np.minimum(things[:, :, :3], things[:, :, 3:], out=things[:, :, :3])
        part = frame[there]
        part *= 1 - things[:, :, 3:] / 255
        part += things[:, :, :3]
    return np.asarray((frame + 0.5).clip(0, 255), np.uint8)


def shade_of(parts: Parts, reference: torch.Tensor, ground: torch.Tensor) -> torch.Tensor:
    """How much darker or brighter than it was given the denoiser drew a ground, smoothly `(1, 1, H / 16, W / 16)`.

    Args:
        parts: of one picture, `(1, …)`, on the CPU.
        reference: the canvas that they were predicted with `(1, 4, H, W)`.
        ground: the painted one `(1, 3, H, W)`, -1 to 1.
    """
    seen = 1 - reference[:, 3:].float()
    drawn, given = ((x.float().clamp(-1, 1).mean(1, keepdim=True) + 1.1) * seen for x in (parts.drawn, ground))
    drawn, given, weight = (F.avg_pool2d(x, _SHADE_PX, ceil_mode=True) for x in (drawn, given, seen))
    near = (drawn + 0.05) / (given + 0.05)
    shade = torch.lerp(torch.ones_like(near), near.clamp(_DARKEST, _BRIGHTEST), weight.clamp(0, 1))
    return F.avg_pool2d(shade, 3, stride=1, padding=1, count_include_pad=False)


def cast_shadows(ground: NDArray[np.uint8], slots: Sequence[Slot]) -> NDArray[np.uint8]:
    """The ground `(H, W, 3)` darkened softly where things stand on it."""
    height, width = ground.shape[:2]
    frame = ground.copy()
    for slot in slots:
        if slot.aloft or slot.bottom > 1:
            continue
        cx, cy = slot.box[0] * width, (slot.bottom - 0.006) * height
        for reach, flat, dark in ((0.62, 0.13, _SHADOW), (0.46, 0.06, _CORE)):
            rx = reach * slot.box[2] * width
            ry = min(flat * slot.box[2] * width, 0.05 * height)
            y0, y1, x0, x1 = max(0, int(cy - ry)), min(height, int(cy + ry) + 2), max(0, int(cx - rx)), int(cx + rx) + 2
            dy = (np.arange(y0, y1, dtype=np.float32)[:, None] + 0.5 - cy) / ry
            dx = (np.arange(x0, min(width, x1), dtype=np.float32)[None, :] + 0.5 - cx) / rx
            fade = np.clip(1 - dx * dx - dy * dy, 0, 1)
            part = frame[y0:y1, x0:x1]
            part[:] = part * (1 - dark * fade * fade * (3 - 2 * fade))[:, :, None]
    return frame


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
