"""The pictures of a pack: files that every player reads, in the frame and the size that it accepts."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from s2i_core.errors import DecodeError
from s2i_core.packs.episode import Picture, plain, title_of
from s2i_core.packs.selection import Rules
from s2i_core.provenance.credentials import Origin
from s2i_core.provenance.stamp import Stamp
from s2i_core.publish.xmp import PNG_KEYWORD
from s2i_core.records import shown_of

FOLDER = "images"
_QUALITY = 85
_MAX_ALT = 250
_MAX_PIXELS = 64_000_000


def pack_picture(
    image: Mapping[str, Any],
    scene: Mapping[str, Any],
    data: bytes,
    folder: Path,
    rules: Rules,
    stamp: Stamp | None = None,
) -> Picture:
    """Write a picture into the folder of a pack, as JPEG, which apps read where they don't read WebP.

    A JPEG that needs no other frame or size and no mark stays as it is, but for its credentials.

    Args:
        image: its row of `images`.
        scene: the row of `scenes` that it shows.
        data: its file.
        folder: of the pack.
        rules: of the player.
        stamp: marks and signs it; None for neither.

    Raises:
        DecodeError: it is no picture, or one of more than 64 million pixels.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                raise ValueError(f"it has {opened.width} × {opened.height} pixels")
            fitting, frame = _frame(opened, rules)
            marks = stamp is not None and stamp.marks
            if marks or not (opened.format == "JPEG" and frame is None and fitting == opened.size):
                out = io.BytesIO()
                shown = opened.convert("RGB").resize(fitting, Image.Resampling.LANCZOS, box=frame)
                if stamp is not None and stamp.marks:
                    shown = Image.fromarray(stamp.mark(np.asarray(shown)))
                shown.save(
                    # What the file says of itself, and whom it credits, goes along.
                    out,
                    "JPEG",
                    quality=_QUALITY,
                    optimize=True,
                    xmp=_xmp(opened),
                )
                data = out.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DecodeError(str(image["key"]), f"the picture cannot be read: {error}", "Draw it again.") from error
    name = f"{FOLDER}/{round(image['start_s'] * 1000):09d}-{image['image_id']}.jpg"
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if stamp is not None:
        data = stamp.sign(data, "image/jpeg", _origin(image, scene))
    file.write_bytes(data)
    title = title_of(image, scene)
    return Picture(
        image_id=str(image["image_id"]),
        start_s=float(image["start_s"]),
        end_s=float(image["end_s"]),
        title=title,
        alt=plain(str(image.get("alt") or title), _MAX_ALT),
        file=file,
        name=name,
        width_px=fitting[0],
        height_px=fitting[1],
        score=float(image.get("similarity") or 0.0),
        shows=[shown_of(each) for each in image.get("shows") or ()],
    )


def _origin(image: Mapping[str, Any], scene: Mapping[str, Any]) -> Origin:
    return Origin(
        recording_id=str(image["recording_id"]),
        start_s=float(image["start_s"]),
        end_s=float(image["end_s"]),
        scene_id=str(image["scene_id"]),
        image_id=str(image["image_id"]),
        shows=str(image.get("alt") or title_of(image, scene)),
        model_digest=str(image.get("model_digest") or ""),
        image_digest=str(image.get("image_digest") or ""),
        drawings=image.get("shows") is None or bool(image["shows"]),
    )


def _xmp(image: Image.Image) -> bytes:
    """The XMP packet of a picture; empty if it has none."""
    found = image.info.get("xmp") or image.info.get(PNG_KEYWORD) or b""
    return found if isinstance(found, bytes) else found.encode()


def _frame(image: Image.Image, rules: Rules) -> tuple[tuple[int, int], tuple[float, float, float, float] | None]:
    """Size of the picture in the pack, and the part of the original that it shows; None for all of it."""
    width, height = image.size
    frame = None
    if rules.square and width != height:
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        frame = (left, top, left + side, top + side)
        width = height = side
    scale = 1.0
    if max(width, height) > rules.most_px:
        scale = rules.most_px / max(width, height)
    elif min(width, height) < rules.least_px:
        scale = rules.least_px / min(width, height)
    return (max(1, round(width * scale)), max(1, round(height * scale))), frame
