"""Give a drawing another colour, keeping its light and shade."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2i_core.models.decoders.native.library import RGBA

#: The colours that captions name, as RGB of a surface in even light.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (215, 40, 50),
    "orange": (245, 135, 35),
    "yellow": (250, 205, 55),
    "green": (65, 175, 80),
    "blue": (50, 115, 225),
    "purple": (140, 75, 205),
    "pink": (250, 135, 185),
    "brown": (135, 88, 55),
    "black": (52, 50, 58),
    "white": (238, 238, 242),
    "gray": (140, 142, 150),
}

#: Share of the drawing that must be coloured, and how closely the hues must agree (1: all the same).
_COLOURED_SHARE = 0.5
_HUE_AGREEMENT = 0.93


@dataclass(frozen=True)
class Paint:
    """What of a drawing can be repainted: per-pixel weight and relative lightness, `(H, W)` float32, and its name."""

    weight: npt.NDArray[np.float32]
    shade: npt.NDArray[np.float32]
    colour: str


def single_hue(sprite: RGBA) -> Paint | None:
    """The paint of a drawing in one hue (with white, gray and black parts), `None` for a many-coloured one.

    Repainting a drawing of several hues would turn a flower's leaves red with its petals.
    """
    rgb = sprite[:, :, :3].astype(np.float32) / 255.0
    drawn = sprite[:, :, 3] > 128
    value, darkest = rgb.max(2), rgb.min(2)
    chroma = value - darkest
    saturation = chroma / np.maximum(value, 1e-3)
    # Dark pixels have unreliable hues, so they count by their chroma as well.
    weight = np.clip((saturation - 0.12) / 0.2, 0, 1) * np.clip(chroma / 0.12, 0, 1)
    inside = weight * drawn
    total = float(inside.sum())
    if total < _COLOURED_SHARE * max(1.0, float(drawn.sum())):
        return None
    hue = _hue(rgb, value, chroma)
    direction = complex(float((inside * np.cos(hue)).sum()), float((inside * np.sin(hue)).sum())) / total
    if abs(direction) < _HUE_AGREEMENT:
        return None
    lightness = rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    reference = float((lightness * inside).sum()) / total
    shade = np.asarray(lightness / max(reference, 1e-3), dtype=np.float32)
    mean = (rgb * inside[:, :, None]).sum((0, 1)) / total
    return Paint(np.asarray(weight, dtype=np.float32), shade, colour_name(mean))


def repaint(sprite: RGBA, paint: Paint, colour: str) -> RGBA:
    """The sprite in `colour`, one of `COLOURS`; `(H, W, 4)` uint8."""
    target = np.array(COLOURS[colour], dtype=np.float32) / 255.0
    shade = paint.shade[:, :, None]
    # Shadows scale the colour down, lights mix it with white: scaling up would change the hue by clipping.
    lights = np.clip(shade - 1.0, 0, 1) * 0.6
    painted = target * np.minimum(shade, 1.0) * (1 - lights) + lights
    rgb = sprite[:, :, :3].astype(np.float32) / 255.0
    mixed = rgb + (painted - rgb) * paint.weight[:, :, None]
    return np.concatenate([np.rint(mixed.clip(0, 1) * 255).astype(np.uint8), sprite[:, :, 3:]], axis=2)


def colour_name(rgb: npt.NDArray[np.float32]) -> str:
    """The name of a colour, `(3,)` in 0..1."""
    value, darkest = float(rgb.max()), float(rgb.min())
    chroma = value - darkest
    if value < 0.25 or chroma < 0.1 * max(value, 0.3):
        return "black" if value < 0.3 else "white" if value > 0.82 else "gray"
    hue = float(np.degrees(_hue(rgb[None, None], rgb.max()[None, None], np.array([[chroma]]))[0, 0])) % 360
    if hue < 14 or hue >= 336:
        return "pink" if value > 0.8 and chroma / value < 0.55 else "red"
    if hue < 39:
        # Tan counts as brown: brown is a dark or a pale orange.
        return "brown" if value < 0.7 or chroma / value < 0.62 else "orange"
    names = ((68, "yellow"), (170, "green"), (250, "blue"), (300, "purple"), (336, "pink"))
    return next(name for limit, name in names if hue < limit)


def _hue(
    rgb: npt.NDArray[np.float32], value: npt.NDArray[np.float32], chroma: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Hue in radians of `(H, W, 3)`, by the hexagon of HSV."""
    red, green, blue = rgb[:, :, 0], rgb[:, :, 1], rgb[:, :, 2]
    safe = np.maximum(chroma, 1e-6)
    sextant = np.where(
        value == red,
        ((green - blue) / safe) % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return np.asarray(sextant * (np.pi / 3), dtype=np.float32)
