"""Places under the open sky, without houses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from s2i_core.models.decoders.native.painted.sheet import Sheet, mixed
from s2i_core.models.decoders.native.places import RGB


def grass(s: Sheet) -> None:
    """A meadow before hills."""
    s.sky(0.58)
    s.ridge(0.57, 0.13, mixed(s.lit(s.varied((120, 186, 128))), s.haze, 0.35), 1.5)
    s.ridge(0.60, 0.08, mixed(s.lit(s.varied((118, 188, 98))), s.haze, 0.10), 2.2)
    for x in s.rng.uniform(0, s.aspect, int(s.rng.integers(2, 5))).tolist():
        s.tree(x, 0.60, s.rng.uniform(0.06, 0.11), s.varied((84, 152, 84)))
    s.ground(0.59, s.varied((70, 152, 62)), s.varied((134, 198, 92)))
    s.tufts(int(46 * s.aspect), 0.64, 1.0, (52, 122, 46))


def farm(s: Sheet) -> None:
    """A barn, a fence and fields."""
    s.sky(0.55)
    s.ridge(0.56, 0.10, mixed(s.lit((158, 196, 104)), s.haze, 0.25), 1.2)
    x = s.aspect * float(s.rng.choice([0.16, 0.84])) + s.rng.normal(0, 0.02)
    s.box(x - 0.11, 0.42, x + 0.11, 0.575, s.shaded(s.lit((182, 62, 54))))
    s.path(
        [(x - 0.13, 0.43), (x - 0.07, 0.35), (x, 0.315), (x + 0.07, 0.35), (x + 0.13, 0.43)],
        s.shaded(s.lit((124, 76, 64))),
    )
    s.box(x - 0.036, 0.47, x + 0.036, 0.575, s.hex(s.lit((242, 228, 204))))
    s.stroke([(x - 0.036, 0.47), (x + 0.036, 0.575)], s.lit((182, 62, 54)), 0.006)
    s.stroke([(x + 0.036, 0.47), (x - 0.036, 0.575)], s.lit((182, 62, 54)), 0.006)
    s.tree(x + (0.2 if x < s.aspect / 2 else -0.2), 0.575, 0.16, (92, 152, 74))
    s.ground(0.565, s.varied((92, 158, 62)), s.varied((176, 204, 98)))
    for n in range(5):
        y = 0.67 + 0.012 * 2.2**n
        s.fill(s.hex(mixed(s.lit((120, 166, 66)), s.lit((92, 150, 58)), n / 5)), y, y + 0.004 * 1.9**n)
    for y in (0.585, 0.615):
        s.fill(s.hex(s.lit((244, 232, 210))), y, y + 0.009)
    for post in np.arange(0.03, s.aspect, 0.11).tolist():
        s.box(post, 0.565, post + 0.014, 0.645, s.hex(s.lit((248, 238, 218))))


def garden(s: Sheet) -> None:
    """Flowers before a hedge."""
    s.sky(0.55)
    s.ridge(0.585, 0.10, s.lit((96, 166, 88)), 6.0, 0.05)
    for x in np.arange(0, s.aspect + 0.1, 0.13).tolist():
        s.bush(x + s.rng.normal(0, 0.02), 0.6, s.rng.uniform(0.07, 0.1), s.varied((86, 158, 82)))
    s.ground(0.585, s.varied((82, 164, 72)), s.varied((142, 206, 102)))
    petals: tuple[RGB, ...] = ((238, 84, 112), (250, 206, 70), (246, 246, 252), (176, 110, 220), (250, 140, 190))
    places = s.rng.uniform((0, 0.60), (s.aspect, 1.0), (int(34 * s.aspect), 2)).tolist()
    for i, (x, y) in enumerate(sorted(places, key=lambda place: place[1])):
        r = 0.005 + 0.014 * (y - 0.58) / 0.4
        s.stroke([(x, y), (x, y + 4 * r)], (60, 136, 60), 0.35 * r)
        for angle in np.arange(5) * 1.2566:
            s.disc(x + r * np.cos(angle), y + r * np.sin(angle), 0.8 * r, 0.8 * r, s.hex(petals[i % 5]), line=False)
        s.disc(x, y, r * 0.6, r * 0.6, s.hex((255, 222, 96)), line=False)


def forest(s: Sheet) -> None:
    """Trees, far and near."""
    s.sky(0.62, clouds=False)
    s.ridge(0.60, 0.30, mixed(s.lit((112, 164, 118)), s.haze, 0.4), 7.0, 0.03)
    for depth, (count, base, low, high, haze) in enumerate(((9, 0.62, 0.30, 0.42, 0.32), (7, 0.64, 0.42, 0.60, 0.08))):
        for x in np.linspace(-0.03, s.aspect + 0.03, round(count * max(0.6, s.aspect))).tolist():
            leaf = mixed(s.varied((58, 126, 72), 9), (150, 196, 160), haze)
            s.tree(
                x + s.rng.normal(0, 0.03),
                base,
                s.rng.uniform(low, high),
                leaf,
                pine=bool((s.rng.random() < 0.6) ^ bool(depth)),
            )
    s.ground(0.63, s.varied((64, 116, 54)), s.varied((108, 160, 78)))
    for x in np.arange(-0.02, s.aspect + 0.1, 0.16).tolist():
        s.bush(x + s.rng.normal(0, 0.03), 0.665, s.rng.uniform(0.035, 0.06), s.varied((70, 134, 64)))
    s.tufts(int(40 * s.aspect), 0.68, 1.0, (44, 92, 40))


def mountains(s: Sheet) -> None:
    """Snowy peaks behind a meadow."""
    s.sky(0.62)
    for count, y, tall, colour, haze in (
        (5, 0.60, 0.34, (122, 134, 166), 0.45),
        (4, 0.64, 0.30, (110, 118, 146), 0.12),
    ):
        for x in (np.arange(count) + s.rng.uniform(0.2, 0.8)) * (s.aspect + 0.2) / count - 0.1:
            top = y - tall * s.rng.uniform(0.65, 1.0)
            wide = tall * s.rng.uniform(0.75, 1.0)
            rock = mixed(s.lit(s.varied(colour, 6)), s.haze, haze)
            s.path([(x - wide, y + 0.03), (x, top), (x + wide, y + 0.03)], s.shaded(rock))
            if s.ink.line is None:
                s.path(
                    [(x, top), (x + wide, y + 0.03), (x + 0.12 * wide, y + 0.03)],
                    s.hex(mixed(rock, (20, 24, 60), 0.18)),
                    False,
                    0.6,
                )
            deep = (y - top) * 0.3
            side = wide * deep / (y + 0.03 - top)
            snow = mixed(s.lit((248, 250, 255)), s.haze, haze * 0.5)
            s.path(
                [
                    (x, top),
                    (x + side, top + deep),
                    (x + 0.4 * side, top + 0.72 * deep),
                    (x, top + deep * 1.1),
                    (x - 0.45 * side, top + 0.75 * deep),
                    (x - side, top + deep),
                ],
                s.hex(snow),
            )
    s.ridge(0.66, 0.06, s.lit((112, 160, 104)), 2.4)
    for x in s.rng.uniform(0, s.aspect, int(7 * s.aspect) + 1).tolist():
        s.tree(x, 0.665, s.rng.uniform(0.05, 0.09), (68, 122, 84), pine=True)
    s.ground(0.65, s.varied((84, 146, 74)), s.varied((132, 186, 104)))
    s.tufts(int(34 * s.aspect), 0.70, 1.0, (58, 112, 52))


def desert(s: Sheet) -> None:
    """Dunes and cacti."""
    s.sky(0.56, clouds=s.rng.random() < 0.4)
    s.ridge(0.56, 0.10, mixed(s.lit((224, 178, 122)), s.haze, 0.35), 1.3)
    s.ridge(0.60, 0.06, s.lit(s.varied((238, 198, 132), 5)), 1.8)
    s.ground(0.60, (222, 170, 98), (244, 208, 142))
    s.ridge(0.76, 0.09, s.lit(s.varied((236, 190, 118), 5)), 1.1)
    s.ridge(0.93, 0.07, s.lit((226, 176, 104)), 1.4)
    for x in s.rng.uniform(0.04, s.aspect - 0.04, 2).tolist():
        tall = s.rng.uniform(0.07, 0.12)
        green = s.hex(s.lit((96, 146, 88)))
        s.box(x - 0.012, 0.63 - tall, x + 0.012, 0.635, green, round_=0.012)
        s.box(x - 0.04, 0.63 - 0.7 * tall, x - 0.024, 0.63 - 0.35 * tall, green, round_=0.008)
        s.box(x - 0.034, 0.63 - 0.42 * tall, x, 0.63 - 0.42 * tall + 0.014, green, False, 0.007)
        s.box(x + 0.024, 0.63 - 0.85 * tall, x + 0.04, 0.63 - 0.45 * tall, green, round_=0.008)
        s.box(x, 0.63 - 0.52 * tall, x + 0.034, 0.63 - 0.52 * tall + 0.014, green, False, 0.007)


def beach(s: Sheet) -> None:
    """Sand by the sea."""
    s.sky(0.50)
    s.fill(s.down(s.lit((46, 140, 206)), s.lit((84, 178, 226)), s.lit((150, 216, 232))), 0.48, 0.70)
    _glints(s, 0.50, 0.63, 14)
    s.ridge(0.655, 0.03, s.lit((248, 251, 253)), 3.0)
    s.ridge(0.672, 0.03, s.lit(s.varied((242, 216, 164), 4)), 3.0)
    s.fill(s.down(s.lit((244, 220, 168)), s.lit((238, 208, 150)), s.lit((226, 192, 132))), 0.70, 1.0)
    s.ridge(0.88, 0.05, s.lit((234, 204, 146)), 1.6)
    for x, y in s.rng.uniform((0, 0.74), (s.aspect, 0.99), (int(26 * s.aspect), 2)).tolist():
        s.disc(x, y, 0.005, 0.0028, s.hex(s.lit((214, 182, 128))), line=False)


def sea(s: Sheet) -> None:
    """Open water."""
    s.sky(0.52)
    s.fill(s.down(s.lit((92, 172, 224)), s.lit((44, 128, 200)), s.lit((22, 84, 162))), 0.52, 1.0)
    _glints(s, 0.54, 0.98, 46)


def _glints(s: Sheet, y0: float, y1: float, count: int) -> None:
    """Light on water, in waves that are longer where they are near."""
    for x, share in s.rng.uniform((0, 0), (s.aspect, 1), (int(count * s.aspect), 2)).tolist():
        y = y0 + (y1 - y0) * share**1.3
        wide = 0.015 + 0.05 * (y - y0) / 0.45
        s.stroke(
            [(x - wide, y), (x - wide / 2, y - 0.004), (x, y), (x + wide / 2, y - 0.004), (x + wide, y)],
            s.lit((206, 234, 250)),
            0.0022 + 0.004 * share * (y1 - y0),
            0.5,
        )


def river(s: Sheet) -> None:
    """A bank, water, and hills beyond."""
    s.sky(0.5)
    s.ridge(0.50, 0.13, mixed(s.lit((112, 170, 110)), s.haze, 0.35), 2.2)
    s.ridge(0.53, 0.07, s.lit((96, 160, 86)), 3.0)
    for x in s.rng.uniform(0, s.aspect, int(6 * s.aspect) + 1).tolist():
        s.tree(x, 0.53, s.rng.uniform(0.08, 0.15), s.varied((78, 148, 78)), pine=s.rng.random() < 0.4)
    s.fill(s.down(s.lit((128, 196, 236)), s.lit((92, 172, 226)), s.lit((62, 146, 212))), 0.525, 0.85)
    _glints(s, 0.55, 0.74, 22)
    s.ridge(0.775, 0.07, s.lit((206, 190, 140)), 1.4)
    s.ridge(0.79, 0.07, s.lit(s.varied((146, 202, 98))), 1.4)
    s.fill(s.down(s.lit((132, 192, 90)), s.lit((96, 160, 70))), 0.83, 1.0)
    s.tufts(int(40 * s.aspect), 0.80, 1.0, (62, 126, 52))


def snow(s: Sheet) -> None:
    """Snow before firs, and flakes."""
    s.sky(0.56, clouds=False)
    if s.time == "day":
        s.fill(s.down((168, 192, 226), (204, 218, 238), (232, 239, 248)), 0, 0.64)
    s.ridge(0.57, 0.14, mixed(s.lit((214, 224, 242)), s.haze, 0.2), 1.5)
    for x in s.rng.uniform(0, s.aspect, int(7 * s.aspect) + 1).tolist():
        tall = s.rng.uniform(0.10, 0.2)
        s.tree(x, 0.6, tall, (150, 184, 194), pine=True)
        for low, width in ((0.36, 0.1), (0.62, 0.07)):
            s.disc(x, 0.6 - tall * (low + 0.2), tall * width, tall * 0.05, s.hex(s.lit((250, 252, 255))), line=False)
    s.ridge(0.61, 0.05, s.lit((236, 242, 251)), 2.0)
    s.fill(s.down(s.lit((238, 243, 251)), s.lit((246, 249, 254)), s.lit((226, 234, 247))), 0.61, 1.0)
    s.ridge(0.83, 0.06, s.lit((242, 246, 253)), 1.2)
    _flakes(s, 70)


def _flakes(s: Sheet, count: int) -> None:
    for x, y, r in s.rng.uniform((0, 0, 0.002), (s.aspect, 0.98, 0.0065), (int(count * s.aspect), 3)).tolist():
        s.disc(x, y, r, r, s.hex((255, 255, 255)), line=False, opacity=0.9)


def rain(s: Sheet) -> None:
    """Clouds, puddles and rain."""
    s.fill(s.down(s.varied((106, 120, 144), 4), (150, 162, 180), (186, 194, 204)), 0, 0.66)
    for x in np.arange(-0.05, s.aspect + 0.1, 0.22).tolist():
        s.cloud(x + s.rng.normal(0, 0.03), s.rng.uniform(0.0, 0.13), s.rng.uniform(1.4, 2.0), (138, 148, 168))
    s.ridge(0.61, 0.09, (126, 152, 132), 1.5)
    s.fill(s.down((124, 152, 116), (96, 130, 94), (78, 112, 82)), 0.60, 1.0)
    for x in s.rng.uniform(0.1, 0.9, 3) * s.aspect:
        y = s.rng.uniform(0.72, 0.95)
        s.disc(x, y, 0.09 + 0.12 * (y - 0.6), 0.012 + 0.02 * (y - 0.6), s.hex((158, 180, 196)))
    for x, y in s.rng.uniform((0, 0.1), (s.aspect + 0.05, 0.98), (int(70 * s.aspect), 2)).tolist():
        s.stroke([(x, y), (x - 0.011, y + 0.042)], (214, 226, 240), 0.0028, 0.7)


PAINTERS: Mapping[str, Callable[[Sheet], None]] = {
    "grass": grass, "farm": farm, "garden": garden, "forest": forest, "mountains": mountains, "desert": desert,
    "beach": beach, "sea": sea, "river": river, "snow": snow, "rain": rain,
}  # fmt: skip
