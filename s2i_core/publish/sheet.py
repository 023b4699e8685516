"""Contact sheets: many pictures on one."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_GAP_PX = 8
_MARGIN_PX = 16
_LABEL_PX = 22
_PAPER = (250, 247, 242)
_INK = (33, 29, 25)
#: A PNG of more is no sheet any more: the first are shown.
MAX_IMAGES = 240


def contact_sheet(
    images: Sequence[bytes], labels: Sequence[str] = (), *, columns: int = 8, tile_px: int = 128
) -> bytes:
    """A PNG of the images in rows, in the order given; of more than `MAX_IMAGES`, the first.

    Args:
        images: bytes of image files.
        labels: a line under each; none, or as many as images.
        columns: images in a row; fewer if there are fewer.
        tile_px: size that each is fitted into.

    Raises:
        ValueError: no images, or another number of labels.
    """
    if not images:
        raise ValueError("a contact sheet needs an image")
    if labels and len(labels) != len(images):
        raise ValueError(f"{len(labels)} labels for {len(images)} images")
    shown = images[:MAX_IMAGES]
    columns = min(columns, len(shown))
    rows = math.ceil(len(shown) / columns)
    pitch_y = tile_px + _GAP_PX + (_LABEL_PX if labels else 0)
    width = 2 * _MARGIN_PX + columns * (tile_px + _GAP_PX) - _GAP_PX
    sheet = Image.new("RGB", (width, 2 * _MARGIN_PX + rows * pitch_y - _GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for index, data in enumerate(shown):
        x = _MARGIN_PX + index % columns * (tile_px + _GAP_PX)
        y = _MARGIN_PX + index // columns * pitch_y
        with Image.open(io.BytesIO(data)) as image:
            fitted = image.convert("RGB").resize((tile_px, tile_px), Image.Resampling.LANCZOS)
        sheet.paste(fitted, (x, y))
        if labels:
            draw.text((x, y + tile_px + 3), _fit(labels[index], font, tile_px), fill=_INK, font=font)
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> str:
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…"
