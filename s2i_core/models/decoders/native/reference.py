"""The reference image: retrieved sprites laid out in place, which the denoiser gets as clean extra channels.

Training lays sprites out with the composer, inference with the layout that the model predicts; both draw them here, so
that what the denoiser sees is the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from s2i_core.models.decoders.native.library import RGBA, SpriteLibrary
from s2i_core.models.decoders.native.recolour import Paint, repaint, single_hue

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Slot:
    """One sprite in its place.

    Attributes:
        sprite: its index in the library.
        concept: what it shows.
        box: centre and extent `(cx, cy, w, h)` of what is drawn, as shares of the frame.
        colour: the colour that the scene gives it, `None` for its own.
        flip: mirrored left to right.
        aloft: whether it touches no ground.
    """

    sprite: int
    concept: str
    box: Box
    colour: str | None = None
    flip: bool = False
    aloft: bool = False

    @property
    def bottom(self) -> float:
        """Where it stands, as a share of the frame from the top."""
        return self.box[1] + self.box[3] / 2


class SpritePainter:
    """Pastes slots onto a frame, keeping the resized sprites it used last.

    Args:
        library: where the sprites come from.
        cache_bytes: how much of resized sprites to keep.
        fine: take the large drawings of the library for what is larger than its sprite; without, the sprites alone,
            which is what the denoiser knows.
    """

    def __init__(self, library: SpriteLibrary, cache_bytes: int = 128 * 2**20, fine: bool = False) -> None:
        self.library = library
        self._fine = fine
        self._cache: OrderedDict[tuple[int, int, bool, str], npt.NDArray[np.float32]] = OrderedDict()
        self._cache_bytes = cache_bytes
        self._held = 0
        self._paints: dict[int, Paint | None] = {}
        self._repainted: dict[tuple[int, str, int], RGBA] = {}

    def placement(self, slot: Slot, size: int, width: int = 0) -> tuple[int, int, int]:
        """Left, top and side in pixels of the sprite's square canvas in a frame `size` high and as wide, or `width`.

        The proportions are the sprite's own: of a box with others, the side that asks for more room decides.
        """
        cx, cy, w, h = slot.box
        across = width or size
        extent_w, extent_h = self.library.extent(slot.sprite)
        side = max(2, round(max(w * across / extent_w, h * size / extent_h)))
        return round(cx * across - side / 2), round(cy * size - side / 2), side

    def extent(self, slot: Slot, height: int, width: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what is drawn in a frame of that size, as shares of it."""
        left, top, side = self.placement(slot, height, width)
        # The drawing lies in the middle of its canvas.
        half_w, half_h = (side / 2 * share for share in self.library.extent(slot.sprite))
        x, y = left + side / 2, top + side / 2
        return (x - half_w) / width, (y - half_h) / height, (x + half_w) / width, (y + half_h) / height

    def resized(
        self, sprite: int, side: int, flip: bool, variant: str = "", pixels: RGBA | None = None
    ) -> npt.NDArray[np.float32]:
        """A sprite as premultiplied float32 `(side, side, 4)` in 0..1.

        `pixels` replaces those of the library and is remembered under the name `variant`.
        """
        key = (sprite, side, flip, variant)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        source = Image.fromarray(self._drawn(sprite, side) if pixels is None else pixels).convert("RGBa")
        filtered = source.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        array = np.asarray(filtered, dtype=np.float32) / 255.0
        if flip:
            array = np.ascontiguousarray(array[:, ::-1])
        self._cache[key] = array
        self._held += array.nbytes
        while self._held > self._cache_bytes and len(self._cache) > 1:
            self._held -= self._cache.popitem(last=False)[1].nbytes
        return array

    def _drawn(self, sprite: int, side: int) -> RGBA:
        return self.library.drawn(sprite, side) if self._fine else self.library.rgba(sprite)

    def paste(
        self,
        frame: npt.NDArray[np.float32],
        slot: Slot,
        variant: str = "",
        pixels: RGBA | None = None,
        light: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Paste a slot over a premultiplied `frame` `(H, W, 3 or 4)` float32 in 0..1, in place.

        What sticks out of the frame is cut; `pixels` and `variant` as of `resized`; `light` `(H, W, 3)` multiplies the
        slot's colours.
        """
        size, width = frame.shape[:2]
        left, top, side = self.placement(slot, size, width)
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, size)
        if x0 >= x1 or y0 >= y1:
            return
        sprite = self.resized(slot.sprite, side, slot.flip, variant, pixels)[y0 - top : y1 - top, x0 - left : x1 - left]
        window = frame[y0:y1, x0:x1]
        window *= 1.0 - sprite[:, :, 3:]
        if light is None:
            window += sprite[:, :, : frame.shape[2]]
        else:
            window[:, :, :3] += np.minimum(sprite[:, :, :3] * light[y0:y1, x0:x1], sprite[:, :, 3:])
            window[:, :, 3:] += sprite[:, :, 3 : frame.shape[2]]

    def paint_of(self, sprite: int) -> Paint | None:
        """The paint of a single-hue sprite, computed once; `None` for a many-coloured one, which keeps its colours."""
        if sprite not in self._paints:
            self._paints[sprite] = single_hue(self.library.rgba(sprite))
        return self._paints[sprite]

    def coloured(self, sprite: int, colour: str | None, side: int = 0) -> RGBA | None:
        """The drawing in that colour, for a canvas of `side`; `None` if it is so already (or cannot be another)."""
        found = self.paint_of(sprite) if colour else None
        if colour is None or found is None or found.colour == colour:
            return None
        pixels = self._drawn(sprite, side)
        key = (sprite, colour, len(pixels))
        if key not in self._repainted:
            if len(self._repainted) > 512:
                self._repainted.pop(next(iter(self._repainted)))
            small = self.library.rgba(sprite)
            paint = found if pixels is small else single_hue(pixels)
            # Where the large one is no longer of one hue by a hair, the sprite is: a wrong colour would be worse.
            self._repainted[key] = repaint(pixels, paint, colour) if paint else repaint(small, found, colour)
        return self._repainted[key]

    def paste_coloured(
        self, frame: npt.NDArray[np.float32], slot: Slot, light: npt.NDArray[np.float32] | None = None
    ) -> None:
        """`paste` the slot in its colour."""
        pixels = self.coloured(slot.sprite, slot.colour, self.placement(slot, *frame.shape[:2])[2])
        self.paste(frame, slot, variant=slot.colour or "" if pixels is not None else "", pixels=pixels, light=light)

    def painted(self, slots: Sequence[Slot], height: int, width: int) -> npt.NDArray[np.float32]:
        """The slots in their colours on transparent ground, `(H, W, 4)` float32 in 0..1, premultiplied.

        Who stands lower in the frame is nearer and covers the others.
        """
        frame = np.zeros((height, width, 4), dtype=np.float32)
        for slot in sorted(slots, key=lambda slot: slot.bottom):
            self.paste_coloured(frame, slot)
        return frame

    def reference(self, slots: Sequence[Slot], size: int, width: int = 0) -> RGBA:
        """`painted` in a frame `size` high and as wide, or `width`: `(H, W, 4)` uint8 with straight alpha."""
        frame = self.painted(slots, size, width or size)
        alpha = frame[:, :, 3:]
        straight = np.divide(frame[:, :, :3], alpha, out=np.zeros_like(frame[:, :, :3]), where=alpha > 1 / 512)
        return np.asarray(np.rint(np.concatenate([straight, alpha], axis=2).clip(0, 1) * 255), dtype=np.uint8)
