"""Places without ground: sky, space, under water, and plain backdrops."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from s2i_core.models.decoders.native.painted.sheet import FULL, SKIES, Sheet, mixed
from s2i_core.models.decoders.native.places import RGB


def sky(s: Sheet) -> None:
    """Nothing but clouds."""
    s.fill(s.down(*SKIES[s.time]))
    colour: RGB = (255, 255, 255) if s.time == "day" else (252, 202, 180)
    heights = np.linspace(0.1, 0.95, 6) + s.rng.normal(0, 0.03, 6)
    for n, y in enumerate(heights.tolist()):
        s.cloud(s.aspect * s.rng.uniform(0, 1), y, 0.75 + 0.17 * n, colour, 0.75 + 0.03 * n)


def space(s: Sheet) -> None:
    """Stars and nebulae."""
    s.fill(s.down(s.varied((12, 11, 38), 3), (26, 18, 60), s.varied((44, 26, 82), 4)))
    for x, y, r in s.rng.uniform((0, 0, 0.25), (s.aspect, 1, 0.5), (3, 3)).tolist():
        s.disc(x, y, r, r * 0.7, s.glow(s.varied((110, 74, 170), 20), 0.38), line=False)
    s.stars(int(130 * s.aspect), 1.0)
    for x, y in s.rng.uniform((0, 0), (s.aspect, 1), (7, 2)).tolist():
        s.disc(x, y, 0.018, 0.018, s.glow((220, 226, 255), 0.8), line=False)
        s.disc(x, y, 0.0042, 0.0042, s.hex((255, 255, 255)), line=False)
    x, y = s.aspect * float(s.rng.choice([0.09, 0.91])), float(s.rng.choice([0.1, 0.9]))
    s.disc(x, y, 0.06, 0.06, s.ball(s.varied((170, 120, 150), 22)))


def underwater(s: Sheet) -> None:
    """The bottom of the sea, in rays of light."""
    top, bottom = s.varied((98, 202, 234), 4), s.varied((16, 72, 148), 4)
    s.fill(s.down(top, mixed(top, bottom, 0.4), bottom))
    for x in s.rng.uniform(-0.05, 0.9, 4) * s.aspect:
        wide = s.rng.uniform(0.03, 0.08)
        ray = s.gradient('x1="0" y1="0" x2="0" y2="1"', "linear", [((206, 242, 252), 0.42), ((206, 242, 252), 0.0)])
        s.path([(x, -0.01), (x + wide, -0.01), (x + wide + 0.2, 0.8), (x + 0.06, 0.8)], ray, line=False)
    s.ridge(0.90, 0.10, mixed(bottom, (30, 90, 120), 0.5), 2.6)
    s.ridge(0.955, 0.05, s.varied((222, 202, 150), 4), 2.0)
    for x in s.rng.choice(np.array([0.04, 0.1, 0.16, 0.85, 0.91, 0.97]), 4, replace=False) * s.aspect:
        tall, green = s.rng.uniform(0.14, 0.3), s.varied((46, 152, 108), 8)
        y = np.linspace(0.97, 0.97 - tall, 12)
        sway = x + 0.018 * np.sin(np.linspace(0, 5, 12) + s.rng.uniform(0, 6))
        s.stroke(list(zip(sway.tolist(), y.tolist(), strict=True)), green, 0.013)
        s.stroke(
            list(zip((sway + 0.022).tolist(), (y * 0.35 + 0.97 * 0.65).tolist(), strict=True)),
            mixed(green, (20, 90, 80), 0.3),
            0.011,
        )
    for x, y, r in s.rng.uniform((0, 0.05, 0.004), (s.aspect, 0.85, 0.014), (int(16 * s.aspect), 3)).tolist():
        s.disc(x, y, r, r, s.hex((214, 242, 250)), line=False, opacity=0.35)
        s.disc(x - 0.3 * r, y - 0.3 * r, 0.3 * r, 0.3 * r, s.hex((255, 255, 255)), line=False, opacity=0.8)


def backdrop(s: Sheet, colour: RGB) -> None:
    """A plain ground, in its colour in every style: a wall that turns into a floor, lit from before it."""
    s.ink = FULL
    bright = sum(colour) > 200
    light = mixed(colour, (255, 255, 255), 0.30 if bright else 0.10)
    shade = mixed(colour, (40, 30, 50) if bright else (0, 0, 0), 0.06)
    s.fill(s.hex(colour))
    s.disc(s.aspect / 2, 0.42, 0.62 * max(1.0, s.aspect), 0.5, s.glow(light, 0.7), line=False)
    s.fill(s.gradient('x1="0" y1="0" x2="0" y2="1"', "linear", [(shade, 0.0), (shade, 0.7), (light, 0.25)]), 0.66, 1.0)


PAINTERS: Mapping[str, Callable[[Sheet], None]] = {"sky": sky, "space": space, "underwater": underwater}
