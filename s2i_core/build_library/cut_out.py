"""One file of somebody else's to a drawing on transparent ground, large and as a sprite."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFilter, ImageOps, UnidentifiedImageError

from s2i_core.build_library import metadata, svg
from s2i_core.errors import ModelError
from s2i_core.models.decoders.native import drawings
from s2i_core.models.decoders.native.library import RGBA, tight_canvas

LARGE_PX = 512
"""Longer side of a drawing that is kept as a picture."""
MAX_SIDE_PX = 8192
MAX_PIXELS = 40_000_000
FORMATS = ("PNG", "WEBP", "JPEG", "GIF")
_GROUND_TOLERANCE = 24
"""How far a pixel may differ from the corner's colour and still be background, of 255 per channel."""
_FLOOD_PX = 256
_LEAST_GROUND = 0.02
"""Share of a picture that its background has at least; where less was found, there is none of one colour."""
_NARROWEST = 8
"""Ratio of the sides from which an SVG is kept as a picture: it is rendered as wide as wanted, however high that is."""
_SMALLER = "Save it smaller."
_AGAIN = "Save it again."


@dataclass(frozen=True)
class CutOut:
    """A drawing.

    Attributes:
        kind: `svg` or `webp`, of `large`.
        large: the file that is kept.
        sprite: `(128, 128, 4)` uint8.
        notes: what people should know of it, a line each.
        is_cut_out: it stands on transparent ground.
        title: what its metadata call it, and
        author: who made it; empty where they don't tell.
    """

    kind: str
    large: bytes
    sprite: RGBA
    notes: list[str] = field(default_factory=list)
    is_cut_out: bool = True
    title: str = ""
    author: str = ""


def cut_out(name: str, data: bytes) -> CutOut:
    """A drawing from the content of a file.

    Raises:
        ModelError: it cannot be read, is too large, has in it what a drawing does not need, or is blank.
    """
    return _vector(name, data) if PurePosixPath(name).suffix.lower() == ".svg" else _picture(name, data)


def _vector(name: str, data: bytes) -> CutOut:
    found = svg.checked(name, data)
    image = drawings.opened(f"{name}.svg", found.text.encode(), 2 * LARGE_PX)
    title, author = metadata.of_svg(data)
    notes = list(found.notes)
    long = max(image.size) > _NARROWEST * min(image.size)
    if found.elements > svg.MOST_ELEMENTS:
        notes.append(f"it has {found.elements:,} elements, more than {svg.MOST_ELEMENTS:,}: kept as a picture")
    elif not long and _is_open(image):
        return CutOut("svg", found.text.encode(), _sprite(name, image), notes, True, title, author)
    return _kept(name, image, notes, title, author)


def _picture(name: str, data: bytes) -> CutOut:
    notes = []
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            width, height = file.size
            if max(file.size) > MAX_SIDE_PX:
                raise ModelError(
                    name, f"it is {width:,} × {height:,} px: a side is longer than {MAX_SIDE_PX:,}", _SMALLER
                )
            if width * height > MAX_PIXELS:
                raise ModelError(
                    name,
                    f"it has {width * height / 1e6:.0f} million pixels, more than {MAX_PIXELS // 1_000_000}",
                    _SMALLER,
                )
            if getattr(file, "n_frames", 1) > 1:
                notes.append("it moves: its first frame is taken")
            title, author = metadata.of_picture(file)
            if file.mode == "CMYK":
                notes.append("its colours are for print (CMYK): they may look different on a screen")
            file.draft("RGB", (2 * LARGE_PX, 2 * LARGE_PX))
            image = ImageOps.exif_transpose(_for_screens(file))
    except UnidentifiedImageError as error:
        raise ModelError(name, f"it cannot be read as a picture: it is no {', '.join(FORMATS)}", _AGAIN) from error
    except Image.DecompressionBombError as error:
        raise ModelError(name, f"it has far more than {MAX_PIXELS // 1_000_000} million pixels", _SMALLER) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ModelError(name, f"it cannot be read as a picture: {error}", _AGAIN) from error
    image.thumbnail((2 * LARGE_PX, 2 * LARGE_PX))
    return _kept(name, image, notes, title, author)


def _for_screens(image: Image.Image) -> Image.Image:
    """RGBA with 8 bits a channel in sRGB, as far as the file says what its colours mean."""
    if image.mode.startswith("I"):  # 16 bits of gray, which Pillow would cut off instead of scaling
        image = (
            image.point(lambda value: value / 256, "L")
            if image.mode == "I"
            else Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        )
    profile = image.info.get("icc_profile")
    if profile and image.mode in {"RGB", "CMYK"}:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if made is not None:
                return made.convert("RGBA")
        except (ImageCms.PyCMSError, OSError, ValueError):  # a damaged profile means the usual colours
            pass
    return image.convert("RGBA")


def _kept(name: str, image: Image.Image, notes: list[str], title: str, author: str) -> CutOut:
    """A picture cut out, and kept as one."""
    is_cut_out = _is_open(image)
    if not is_cut_out:
        cut = _without_ground(image)
        is_cut_out = float((np.asarray(cut)[:, :, 3] == 0).mean()) >= _LEAST_GROUND
        if is_cut_out:
            image = cut
        else:
            notes = [*notes, "it could not be cut out: what is behind it is not of one colour"]
    sprite = _sprite(name, image)
    box = image.getchannel("A").point(lambda value: 255 if value > drawings.VISIBLE else 0).getbbox()
    image = image.crop(box)
    image.thumbnail((LARGE_PX, LARGE_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=90, alpha_quality=100, method=4, exif=b"", xmp=b"", icc_profile=b"")
    return CutOut("webp", file.getvalue(), sprite, notes, is_cut_out, title, author)


def _is_open(image: Image.Image) -> bool:
    """Whether something of it is transparent."""
    return image.getchannel("A").getextrema()[0] < 255  # type: ignore[operator]


def _sprite(name: str, image: Image.Image) -> RGBA:
    canvas = tight_canvas(image)
    if canvas is None:
        raise ModelError(name, "it is blank: nothing of it can be seen", "Leave it out.")
    return canvas


def _without_ground(picture: Image.Image) -> Image.Image:
    """The background made transparent: what is reached from the corners in their colour."""
    array = np.asarray(picture).copy()
    colours = array[:, :, :3].astype(np.int16)
    height, width = colours.shape[:2]
    # What hangs together is found on a small picture: that is slow, and as good there.
    small = min(1.0, _FLOOD_PX / max(width, height))
    size = max(1, round(width * small)), max(1, round(height * small))
    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        alike = np.abs(colours - colours[y, x]).sum(2) <= 3 * _GROUND_TOLERANCE
        flooded = Image.fromarray(alike.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
        flooded = flooded.point(lambda value: 255 if value > 127 else 0)
        ImageDraw.floodfill(flooded, (x % size[0], y % size[1]), 128)
        reached = flooded.point(lambda value: 255 if value == 128 else 0).filter(ImageFilter.MaxFilter(3))
        array[alike & (np.asarray(reached.resize((width, height), Image.Resampling.NEAREST)) > 0), 3] = 0
    return Image.fromarray(array)
