"""Places that people made."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from s2i_core.models.decoders.native.painted.sheet import Sheet, mixed
from s2i_core.models.decoders.native.places import RGB


def city(s: Sheet) -> None:
    """Houses along a pavement."""
    s.sky(0.6, clouds=s.rng.random() < 0.5)
    _houses(s, 0.67, (0.30, 0.56), 0.42, windows=False)
    _houses(s, 0.68, (0.16, 0.44), 0.0, windows=True)
    s.fill(s.down(s.lit((196, 198, 204)), s.lit((214, 215, 219))), 0.665, 0.70)
    s.fill(s.down(s.lit((160, 162, 170)), s.lit((146, 148, 158)), s.lit((128, 130, 142))), 0.70, 1.0)
    for x in np.arange(-0.3, s.aspect + 0.3, 0.17).tolist():
        middle = s.aspect / 2
        s.stroke(
            [(middle + (x - middle) * 0.62, 0.70), (middle + (x - middle) * 1.5, 1.0)],
            s.lit((140, 142, 152)),
            0.002,
            0.7,
        )


def _houses(s: Sheet, base: float, tall: tuple[float, float], haze: float, windows: bool) -> None:
    walls: tuple[RGB, ...] = ((148, 160, 190), (182, 166, 178), (130, 150, 172), (194, 180, 164), (166, 178, 186))
    dark = s.time != "day"
    light: RGB = (255, 222, 130) if dark else (218, 234, 247)
    x = -0.03
    while x < s.aspect:
        width, height = s.rng.uniform(0.09, 0.17), s.rng.uniform(*tall)
        top = base - height
        wall = mixed(s.lit(walls[int(s.rng.integers(len(walls)))]), s.haze, haze)
        s.box(x, top, x + width, base + 0.01, s.shaded(wall))
        if windows:
            columns = np.arange(x + 0.018, x + width - 0.024, 0.034).tolist()
            for row in np.arange(top + 0.028, base - 0.05, 0.05).tolist():
                for column in columns:
                    if s.rng.random() < (0.62 if dark else 0.9):
                        s.box(column, row, column + 0.018, row + 0.026, s.hex(light), line=False)
        x += width + s.rng.uniform(0.0, 0.014)


def road(s: Sheet) -> None:
    """A road through the country."""
    s.sky(0.56)
    s.ridge(0.57, 0.10, mixed(s.lit((140, 194, 120)), s.haze, 0.3), 1.5)
    for x in s.rng.uniform(0, s.aspect, int(5 * s.aspect) + 1).tolist():
        s.tree(x, 0.59, s.rng.uniform(0.08, 0.14), s.varied((86, 152, 82)))
    s.ground(0.58, (104, 168, 84), (142, 196, 104))
    s.fill(s.down(s.lit((118, 121, 130)), s.lit((100, 103, 112)), s.lit((84, 87, 97))), 0.665, 1.0)
    s.fill(s.hex(s.lit((228, 228, 224))), 0.665, 0.675)
    shift = s.rng.uniform(0, 0.2)
    for x in np.arange(-0.2 + shift, s.aspect, 0.26).tolist():
        s.path(
            [(x, 0.835), (x + 0.13, 0.835), (x + 0.136, 0.85), (x - 0.006, 0.85)],
            s.hex(s.lit((246, 234, 160))),
            line=False,
        )


def rails(s: Sheet) -> None:
    """A railway through the country."""
    s.sky(0.58)
    s.ridge(0.585, 0.12, mixed(s.lit((146, 190, 120)), s.haze, 0.28), 1.5)
    for x in s.rng.uniform(0, s.aspect, int(5 * s.aspect) + 1).tolist():
        s.tree(x, 0.6, s.rng.uniform(0.07, 0.13), s.varied((90, 150, 84)), pine=s.rng.random() < 0.5)
    s.ground(0.59, (108, 160, 84), (146, 194, 108))
    s.fill(s.down(s.lit((182, 170, 156)), s.lit((158, 146, 134)), s.lit((140, 128, 116))), 0.81, 1.0)
    for x in np.arange(0.0, s.aspect + 0.05, 0.085).tolist():
        s.path([(x, 0.845), (x + 0.032, 0.845), (x + 0.036, 0.965), (x - 0.004, 0.965)], s.shaded(s.lit((122, 90, 64))))
    for y in (0.862, 0.93):
        s.fill(s.hex(s.lit((216, 220, 227))), y, y + 0.007)
        s.fill(s.hex(s.lit((150, 154, 164))), y + 0.007, y + 0.015)


def room(s: Sheet) -> None:
    """A room with a window and a rug."""
    walls: tuple[RGB, ...] = ((248, 230, 206), (218, 230, 222), (228, 221, 239), (250, 224, 214))
    wall = s.varied(walls[int(s.rng.integers(len(walls)))], 3)
    s.fill(s.down(mixed(wall, (255, 255, 255), 0.25), wall, mixed(wall, (90, 60, 50), 0.05)), 0, 0.68)
    left = s.rng.random() < 0.5
    x = s.aspect * (0.22 if left else 0.78) + s.rng.normal(0, 0.03)
    s.box(x - 0.135, 0.09, x + 0.135, 0.43, s.hex((253, 253, 251)), round_=0.008)
    s.box(x - 0.115, 0.11, x + 0.115, 0.41, s.down((150, 204, 246), (216, 238, 252)))
    s.disc(x + 0.03, 0.42, 0.12, 0.07, s.hex((150, 204, 132)), line=False)
    s.box(x - 0.135, 0.41, x + 0.135, 0.43, s.hex((253, 253, 251)))
    s.box(x - 0.006, 0.11, x + 0.006, 0.41, s.hex((253, 253, 251)), line=False)
    s.box(x - 0.115, 0.25, x + 0.115, 0.262, s.hex((253, 253, 251)), line=False)
    curtain = s.varied((226, 150, 138), 20)
    for side in (-1, 1):
        s.path(
            [
                (x + side * 0.19, 0.07),
                (x + side * 0.10, 0.07),
                (x + side * 0.13, 0.3),
                (x + side * 0.135, 0.47),
                (x + side * 0.195, 0.47),
            ],
            s.shaded(curtain),
        )
    if s.rng.random() < 0.75:
        y = s.aspect - x
        s.box(y - 0.085, 0.13, y + 0.085, 0.31, s.shaded((176, 124, 84)), round_=0.004)
        s.box(y - 0.07, 0.145, y + 0.07, 0.295, s.hex(s.varied((196, 216, 206), 12)))
        s.path(
            [(y - 0.07, 0.295), (y - 0.02, 0.22), (y + 0.02, 0.26), (y + 0.045, 0.235), (y + 0.07, 0.295)],
            s.hex(s.varied((126, 166, 150), 10)),
            False,
        )
    s.fill(s.down((198, 144, 98), (182, 126, 82), (156, 104, 66)), 0.66, 1.0)
    for n in range(5):
        y = 0.69 + 0.022 * 1.62**n
        s.fill(s.hex((150, 100, 64)), y, y + 0.0022)
    s.box(-0.01, 0.635, s.aspect + 0.01, 0.664, s.hex((251, 248, 241)))
    s.disc(s.aspect / 2, 0.86, 0.42, 0.10, s.hex(s.varied((214, 190, 170), 12)))
    s.disc(s.aspect / 2, 0.86, 0.37, 0.085, s.hex(s.varied((228, 208, 190), 8)), line=False)


def table(s: Sheet) -> None:
    """A table before tiles."""
    tints: tuple[RGB, ...] = ((252, 236, 208), (222, 236, 230), (250, 226, 216))
    wall = tints[int(s.rng.integers(len(tints)))]
    s.fill(s.down(mixed(wall, (255, 255, 255), 0.3), wall), 0, 0.62)
    pale = mixed(wall, (255, 255, 255), 0.45)
    for x in np.arange(0.0, s.aspect, 0.2).tolist():
        for y in np.arange(0.0, 0.6, 0.2).tolist():
            s.box(x + 0.006, y + 0.006, x + 0.194, y + 0.194, s.hex(pale), False, 0.006)
    s.fill(s.down((216, 164, 110), (196, 142, 90), (168, 116, 70)), 0.6, 1.0)
    s.fill(s.hex((232, 188, 136)), 0.6, 0.612)
    for y in (0.70, 0.82, 0.95):
        s.fill(s.hex((176, 126, 78)), y, y + 0.004)
    for x, y in s.rng.uniform((0, 0.63), (s.aspect, 0.98), (int(12 * s.aspect), 2)).tolist():
        s.stroke([(x, y), (x + 0.07, y + 0.002)], (176, 126, 80), 0.002, 0.55)


def stage(s: Sheet) -> None:
    """A stage with its curtain, in the spotlight."""
    s.fill(s.down((58, 20, 40), (104, 36, 58), (86, 28, 48)), 0, 0.72)
    for x in np.arange(-0.02, s.aspect, 0.1).tolist():
        fold = s.varied((126, 40, 62), 3)
        s.box(
            x,
            0,
            x + 0.05,
            0.7,
            s.down(mixed(fold, (40, 10, 30), 0.3), fold, mixed(fold, (40, 10, 30), 0.25)),
            line=False,
        )
    for x in np.arange(0.0, s.aspect + 0.1, 0.14).tolist():
        s.disc(x, 0.0, 0.085, 0.075, s.shaded((150, 48, 70)))
    x = s.aspect / 2 + s.rng.normal(0, 0.04)
    s.path(
        [(x - 0.05, 0), (x + 0.05, 0), (x + 0.38, 0.8), (x - 0.38, 0.8)],
        s.down((255, 236, 190), (255, 224, 170)),
        False,
        0.20,
    )
    s.fill(s.down((176, 124, 82), (152, 102, 66), (120, 78, 50)), 0.7, 1.0)
    for edge in np.arange(-0.4, s.aspect + 0.5, 0.13).tolist():
        middle = s.aspect / 2
        s.stroke(
            [(middle + (edge - middle) * 0.8, 0.70), (middle + (edge - middle) * 1.5, 1.0)], (122, 80, 52), 0.002, 0.6
        )
    s.disc(x, 0.87, 0.44, 0.095, s.glow((255, 232, 178), 0.85, 0.12), line=False)


PAINTERS: Mapping[str, Callable[[Sheet], None]] = {
    "city": city, "road": road, "rails": rails, "room": room, "table": table, "stage": stage,
}  # fmt: skip
