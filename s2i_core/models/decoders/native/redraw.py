"""Drawings of one colour, redrawn in any style: shaded, inked, pencilled, cut out.

Icons show a thing by its shape alone. What such a shape encloses is found and painted, in a colour of the thing's own
and in the manner of the style, so that one small file gives every style something that fits its other drawings.

How a drawing is redrawn is told in a few words (`Redrawing`), which a library keeps for each of its sprites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from s2i_core.errors import ModelError

Shape = Literal["solid", "line"]
"""Whether the drawing is its thing's body, in which gaps are lines, or lines around it."""
F32: TypeAlias = npt.NDArray[np.float32]
RGB: TypeAlias = tuple[float, float, float]

ROOM = 0.08
"""Room that a drawing to be redrawn needs around it, as a share of its side: an edge or a shadow goes there."""
PRINTS = {"line": "outline", "silhouette": "flat"}
"""Styles of which no set of drawings is: every one of theirs is redrawn, and printed on paper in no light. And which
other style a network takes them for that knows the drawn ones."""
_MASK_PX = 256
"""Side at which shapes are worked on: they are alike at every side."""
_INKED = 100
"""Alpha from which a pixel counts as drawn."""
_WHITE, _INK, _PENCIL = (1.0, 1.0, 1.0), (0.10, 0.11, 0.15), (0.24, 0.23, 0.22)
_NAVY = (0.11, 0.14, 0.21)
_SHADE = (0.09, 0.08, 0.13)
_MOSTLY = 0.55
"""Share of what it encloses from which a drawing is a body."""
_RIM = 16
"""How thick lines may be around a shape that is to be a body, in pixels of a mask."""
_OFF_REGISTER = (0.028, 0.022)
"""How far the second colour of a print lies right of its lines and below, as shares of the side."""


@dataclass(frozen=True)
class Redrawing:
    """How a drawing becomes one of a style.

    Attributes:
        style: of those in `STYLES`.
        shape: what the drawing is.
        colour: of the thing, `#rrggbb`.
    """

    style: str
    shape: Shape
    colour: str

    def __str__(self) -> str:
        return f"{self.style} {self.shape} {self.colour}"

    @classmethod
    def of(cls, told: str) -> Redrawing:
        """The one that `str` told.

        Raises:
            ModelError: it is none.
        """
        style, shape, colour = (*told.split(" "), "", "")[:3]
        try:
            if (
                style in STYLES
                and shape in get_args(Shape)
                and colour.startswith("#")
                and len(bytes.fromhex(colour[1:])) == 3
            ):
                return cls(style, "line" if shape == "line" else "solid", colour)
        except ValueError:
            pass
        raise ModelError(told, "there is no such way to redraw a drawing", "Copy or build the library again.")

    @property
    def rgb(self) -> RGB:
        """The colour, 0 to 1."""
        red, green, blue = bytes.fromhex(self.colour[1:])
        return red / 255, green / 255, blue / 255

    def __call__(self, image: Image.Image) -> Image.Image:
        """Redraw `image`, whose alpha is the drawing, with `ROOM` around it; RGBA of the same size."""
        return STYLES[self.style](_Glyph(image, self.shape == "solid"), self.rgb)


def shape_of(image: Image.Image) -> Shape:
    """What a drawing is whose alpha is `image`'s: a body, where it covers most of what it encloses."""
    glyph = _Glyph(image, True)
    return "solid" if glyph.drawn.sum() > _MOSTLY * glyph.body().sum() else "line"


class _Glyph:
    """The shapes that a drawing is made of, as masks `(H, W)` in 0 to 1."""

    def __init__(self, image: Image.Image, solid: bool) -> None:
        self.size = image.size
        self.solid = solid
        self.scale = image.size[0] / _MASK_PX
        self.drawn = _mask(image.getchannel("A"))
        small = image.getchannel("A").resize(
            (_MASK_PX, max(1, round(_MASK_PX * image.size[1] / image.size[0]))), Image.Resampling.BOX
        )
        self._small = small
        # Parts that almost meet enclose what lies between them.
        closed = small.filter(ImageFilter.MaxFilter(7))
        outside = Image.new("L", (closed.width + 2, closed.height + 2))
        outside.paste(closed.point(lambda value: 255 if value > _INKED else 0), (1, 1))
        ImageDraw.floodfill(outside, (0, 0), 128)
        whole = outside.point(lambda value: 0 if value == 128 else 255)
        self._whole = whole.crop((1, 1, closed.width + 1, closed.height + 1))

    def body(self, wider: int = 0) -> F32:
        """All that the drawing encloses, and itself; `wider` or narrower by pixels of a mask."""
        narrower = ImageFilter.MinFilter(2 * (3 - min(wider, 0)) + 1)
        kept = self._whole.filter(narrower)
        return self._sized(kept.filter(ImageFilter.MaxFilter(2 * wider + 1)) if wider > 0 else kept)

    def lines(self, thick: int) -> F32:
        """The drawing as lines: those around its parts, or itself."""
        if not self.solid:
            return self.drawn
        inner = self._small.filter(ImageFilter.MinFilter(2 * thick + 1))
        return np.clip(self.drawn - self._sized(inner), 0, 1)

    def raised(self, mask: F32, soft: float) -> F32:
        """How much each place of a mask faces the light, above left, -1 to 1."""
        blurred = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(soft * self.scale))
        height = np.asarray(blurred, np.float32) / 255
        down, right = np.gradient(height)
        return np.asarray(np.clip((down + right) * self.scale * 2.6 * soft, -1, 1), np.float32)

    def downward(self) -> F32:
        """0 at the top to 1 at the bottom, `(H, 1)`."""
        return np.linspace(0, 1, self.size[1], dtype=np.float32)[:, None]

    def _sized(self, small: Image.Image) -> F32:
        if small.size == self.size:
            return _mask(small.filter(ImageFilter.GaussianBlur(0.6)))
        large = _mask(small.filter(ImageFilter.GaussianBlur(1.0)).resize(self.size, Image.Resampling.BICUBIC))
        return np.asarray(np.clip((large - 0.5) * max(1.0, 1.2 * self.scale) + 0.5, 0, 1), np.float32)


def _flat(glyph: _Glyph, colour: RGB) -> Image.Image:
    dark, light = _mixed(colour, _SHADE, 0.55), _mixed(colour, _WHITE, 0.55)
    below, above = (dark, _mixed(colour, _WHITE, 0.1)) if glyph.solid else (light, dark)
    return _painted(glyph, (below, glyph.body()), (above, glyph.drawn))


def _cartoon(glyph: _Glyph, colour: RGB) -> Image.Image:
    return _shaded(glyph, colour, soft=2.5, depth=0.6)


def _three_d(glyph: _Glyph, colour: RGB) -> Image.Image:
    return _shaded(glyph, colour, soft=5.0, depth=1.0)


def _shaded(glyph: _Glyph, colour: RGB, soft: float, depth: float) -> Image.Image:
    dark, light = _mixed(colour, _SHADE, 0.6), _mixed(colour, _WHITE, 0.6)
    below, above = (dark, colour) if glyph.solid else (light, dark)
    body = glyph.body()
    fall = 1.1 - 0.26 * glyph.downward()[..., None]
    parts = ((below, body, 1.6 * soft), (above, glyph.drawn, soft))
    layers = [
        (_lit(np.asarray(each, np.float32) * fall, glyph.raised(mask, blur), depth), mask) for each, mask, blur in parts
    ]
    return _painted(glyph, *layers)


def _lit(surface: F32, facing: F32, depth: float) -> F32:
    away, toward = np.minimum(facing, 0)[..., None], np.maximum(facing, 0)[..., None]
    return np.asarray(surface * (1 + 0.6 * depth * away) + (1 - surface) * 0.6 * depth * toward, np.float32)


def _outline(glyph: _Glyph, colour: RGB) -> Image.Image:
    return _painted(glyph, (_WHITE, glyph.body()), (_INK, glyph.lines(4)))


def _sketch(glyph: _Glyph, colour: RGB) -> Image.Image:
    thin = _mixed(colour, _WHITE, 0.55)
    inner = (_mixed(colour, _WHITE, 0.3), glyph.drawn) if glyph.solid else (thin, glyph.drawn * 0)
    return _painted(glyph, (thin, glyph.body()), inner, (_PENCIL, glyph.lines(3)))


def _clipart(glyph: _Glyph, colour: RGB) -> Image.Image:
    dark, light = _mixed(colour, _SHADE, 0.75), _mixed(colour, _WHITE, 0.45)
    below, above = (dark, colour) if glyph.solid else (light, dark)
    return _painted(glyph, (_WHITE, glyph.body(8)), (below, glyph.body()), (above, glyph.drawn))


def _line(glyph: _Glyph, colour: RGB) -> Image.Image:
    dx, dy = (round(share * glyph.size[0]) for share in _OFF_REGISTER)
    second = np.roll(glyph.body(), (dy, dx), (0, 1))
    return _painted(glyph, (_mixed(colour, _WHITE, 0.25), second), (_NAVY, glyph.lines(4)))


def _silhouette(glyph: _Glyph, colour: RGB) -> Image.Image:
    # Lines within the shape become gaps, so that it is a body in both cases.
    shape = glyph.drawn if glyph.solid else np.clip(glyph.body() - glyph.drawn * glyph.body(-_RIM), 0, 1)
    return _painted(glyph, (_NAVY, shape))


STYLES: dict[str, Callable[[_Glyph, RGB], Image.Image]] = {
    "3d": _three_d,
    "flat": _flat,
    "cartoon": _cartoon,
    "outline": _outline,
    "sketch": _sketch,
    "clipart": _clipart,
    "line": _line,
    "silhouette": _silhouette,
}


def _mask(image: Image.Image) -> F32:
    return np.asarray(np.asarray(image, dtype=np.float32) / 255, np.float32)


def _mixed(colour: RGB, other: RGB, share: float) -> RGB:
    red, green, blue = (a + share * (b - a) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _painted(glyph: _Glyph, *layers: tuple[RGB | F32, F32]) -> Image.Image:
    """Colours, each in its mask, one over the other; RGBA."""
    picture = np.zeros((*glyph.drawn.shape, 4), np.float32)
    for colour, mask in layers:
        alpha = mask[..., None]
        picture *= 1 - alpha
        picture[..., :3] += np.asarray(colour, np.float32) * alpha
        picture[..., 3:] += alpha
    straight = picture[..., :3] / np.maximum(picture[..., 3:], 1e-4)
    made = np.concatenate([straight, picture[..., 3:]], 2)
    return Image.fromarray(np.rint(made.clip(0, 1) * 255).astype(np.uint8))
