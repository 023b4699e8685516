"""Pixels to the bytes of an image file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from s2i_core.publish import xmp

if TYPE_CHECKING:
    import numpy as np

    from s2i_core.config import ImageConfig
    from s2i_core.records import Contents

Format = Literal["webp", "png", "jpeg"]

CONTENT_TYPES: dict[Format, str] = {"webp": "image/webp", "png": "image/png", "jpeg": "image/jpeg"}
#: How the names of files end.
EXTENSIONS: dict[Format, str] = {"webp": "webp", "png": "png", "jpeg": "jpg"}

# Effort of the WebP encoder, 0 to 6: at 256 px, 4 takes twice the time of 2 and saves a twentieth of the bytes.
_WEBP_METHOD = 2


def encode_image(pixels: np.ndarray, config: ImageConfig, contents: Contents | None = None) -> bytes:
    """An image file in the configured format; equal pixels and contents give equal bytes, with no time in them.

    Args:
        pixels: uint8 `(H, W, 3)`, RGB.
        config: `format` and `quality` count here.
        contents: what the picture shows, which the file then says (`publish/xmp.py`).

    Raises:
        ValueError: pixels of another shape or type.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != "uint8":
        raise ValueError(f"pixels must be uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    packet = b"" if contents is None else xmp.packet(contents)
    if config.format == "webp":
        image.save(file, "WEBP", quality=config.quality, method=_WEBP_METHOD, xmp=packet)
    elif config.format == "jpeg":
        image.save(file, "JPEG", quality=config.quality, optimize=True, xmp=packet)
    else:
        info = PngInfo()
        if packet:
            info.add_itxt(xmp.PNG_KEYWORD, packet.decode())
        image.save(file, "PNG", optimize=True, pnginfo=info)
    return file.getvalue()


def content_type(format: Format) -> str:
    """MIME type of a format."""
    return CONTENT_TYPES[format]
