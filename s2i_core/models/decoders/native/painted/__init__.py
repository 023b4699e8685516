"""Grounds of pictures, painted at any size and in any proportions: each place at each time of day, in each style.

A ground is a drawing in layers (sky, what is far, what is near, the ground), made as vectors from a name, a time of day
and a seed, so that it can be painted again. `sheet.py` has the paper and its inks; `land.py`, `town.py` and `afar.py`
have the places.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

from s2i_core.models.decoders.native.painted import afar, land, town
from s2i_core.models.decoders.native.painted.sheet import Sheet
from s2i_core.models.decoders.native.places import PLAIN, Time

PAINTERS: Mapping[str, Callable[[Sheet], None]] = {**land.PAINTERS, **town.PAINTERS, **afar.PAINTERS}


def paint(
    setting: str,
    time: Time,
    seed: int,
    height: int,
    width: int = 0,
    style: str = "",
    aspect: float = 0,
    lights: bool = True,
) -> NDArray[np.uint8]:
    """The ground of a place `(height, width, 3)` uint8.

    Args:
        setting: a key of `places.PLACES`.
        time: one of the setting's times.
        seed: decides the details; the same seed gives the same ground, at every size.
        height: pixels.
        width: pixels; by default as many.
        style: of what will stand there.
        aspect: width over height in which it is drawn, and then narrowed or widened to these pixels.
        lights: whether there is a sun or a moon in the sky.

    Raises:
        KeyError: there is no such setting.
    """
    width = width or height
    sheet = Sheet(time, np.random.default_rng(seed), style, aspect or width / height, lights)
    if setting.startswith("plain "):
        afar.backdrop(sheet, PLAIN[setting.removeprefix("plain ")])
    else:
        PAINTERS[setting](sheet)
    png = resvg_py.svg_to_bytes(svg_string=sheet.svg(height, width), skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png)), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))
