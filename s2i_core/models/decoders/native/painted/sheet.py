"""The paper that grounds are painted on: shapes in the light of a time of day, in the inks of a style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2i_core.models.decoders.native.places import RGB, Time
from s2i_core.models.decoders.native.redraw import PRINTS

H = 1000.0
"""Height of a sheet, in its units."""
SKIES: dict[Time, tuple[RGB, RGB, RGB]] = {
    "day": ((102, 182, 244), (164, 214, 248), (222, 240, 253)),
    "sunset": ((104, 88, 158), (222, 134, 138), (255, 200, 130)),
    "night": ((14, 18, 56), (30, 36, 86), (60, 68, 124)),
}
"""Sky from above to the horizon."""
_TINTS: dict[Time, tuple[float, float, float]] = {
    "day": (1.0, 1.0, 1.0),
    "sunset": (0.92, 0.74, 0.72),
    "night": (0.30, 0.36, 0.52),
}


@dataclass(frozen=True)
class Ink:
    """How a style paints.

    Attributes:
        colour: what is left of the colours, 0 to 1.
        strength: what is left of the whole on the paper, 0 to 1.
        paper: what it is painted on.
        line: colour of the outlines that it draws; none for a style without.
    """

    colour: float = 1.0
    strength: float = 1.0
    paper: RGB = (255, 255, 255)
    line: RGB | None = None


FULL = Ink()
_INK: RGB = (28, 36, 54)
INKS: dict[str, Ink] = {
    "outline": Ink(0.0, 0.30, (255, 255, 255), (120, 122, 128)),
    "sketch": Ink(0.65, 0.5, (251, 247, 238), (128, 120, 110)),
}
"""How the styles paint that don't paint in full colour."""
PAPERS: dict[Time, tuple[RGB, ...]] = {
    "day": ((250, 238, 214), (224, 236, 240), (252, 226, 210), (230, 238, 220), (248, 232, 190), (234, 228, 244)),
    "sunset": ((252, 206, 170), (250, 196, 180), (248, 214, 150)),
    "night": ((158, 172, 198), (170, 166, 200), (150, 178, 186)),
}
"""Tinted papers that prints are made on, by the time of day: light enough for dark lines, at night too."""
SOFT = frozenset({"3d", "cartoon", ""})
"""Styles whose grounds are shaded; the others lay one colour beside another."""


class Sheet:
    """A drawing under way.

    Args:
        time: of day.
        rng: decides the details.
        style: that it is painted in.
        aspect: width over height.
        lights: whether there is a sun or a moon in the sky.
    """

    def __init__(
        self, time: Time, rng: np.random.Generator, style: str = "", aspect: float = 1.0, lights: bool = True
    ) -> None:
        self.time, self.rng, self.aspect, self.lights = time, rng, aspect, lights
        self.w = H * aspect
        self.ink = self._printed(style, rng) if style in PRINTS else INKS.get(style, FULL)
        self.soft = style in SOFT
        self._defs: list[str] = []
        self._body: list[str] = []

    def _printed(self, style: str, rng: np.random.Generator) -> Ink:
        """A print's ground: a paper and one darker tone of it, with thin outlines or in plain areas."""
        papers = PAPERS[self.time]
        paper = papers[int(rng.integers(len(papers)))]
        if style == "line":
            return Ink(0.0, 0.12, paper, mixed(paper, _INK, 0.3))
        return Ink(0.15, 0.26, paper)

    def svg(self, height: int, width: int) -> str:
        """The whole of it, to be rendered at that size in pixels, whatever its proportions."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {self.w:.0f} {H:.0f}" preserveAspectRatio="none">'
            f"<defs>{''.join(self._defs)}</defs>{''.join(self._body)}</svg>"
        )

    # Colours

    def lit(self, colour: RGB, share: float = 1.0) -> RGB:
        """A colour in the light of this time of day, or in so much of it."""
        red, green, blue = (round(c * (1 + share * (t - 1))) for c, t in zip(colour, _TINTS[self.time], strict=True))
        return red, green, blue

    def varied(self, colour: RGB, amount: float = 7) -> RGB:
        """A colour slightly off."""
        red, green, blue = (
            np.clip(np.array(colour) + self.rng.normal(0, amount, 3), 0, 255).round().astype(int).tolist()
        )
        return red, green, blue

    @property
    def haze(self) -> RGB:
        """The colour of the air at the horizon."""
        return SKIES[self.time][2]

    def hex(self, colour: RGB) -> str:
        """A colour in the inks of the style."""
        grey = sum(colour) / 3
        red, green, blue = (
            round(p + self.ink.strength * (grey + self.ink.colour * (c - grey) - p))
            for c, p in zip(colour, self.ink.paper, strict=True)
        )
        return f"#{min(255, max(0, red)):02x}{min(255, max(0, green)):02x}{min(255, max(0, blue)):02x}"

    # Paints

    def down(self, *colours: RGB) -> str:
        """Paint that goes from the first colour, above, to the last; in flat styles in few steps."""
        return self.gradient('x1="0" y1="0" x2="0" y2="1"', "linear", [(c, 1.0) for c in colours])

    def glow(self, colour: RGB, middle: float = 1.0, rim: float = 0.0) -> str:
        """Paint that fades from the middle."""
        return self.gradient("", "radial", [(colour, middle), (colour, (middle + rim) / 2), (colour, rim)])

    def ball(self, colour: RGB) -> str:
        """Paint of a round thing that is lit from above."""
        if not self.soft:
            return self.hex(colour)
        above, below = mixed(colour, (255, 255, 255), 0.28), mixed(colour, (20, 30, 60), 0.14)
        return self.gradient('cx="0.38" cy="0.3" r="0.75"', "radial", [(above, 1.0), (colour, 1.0), (below, 1.0)])

    def gradient(self, where: str, kind: str, stops: Sequence[tuple[RGB, float]]) -> str:
        """Paint from some colours, each with its opacity, evenly spread over `where`."""
        name = f"p{len(self._defs)}"
        last = max(1, len(stops) - 1)
        inner = "".join(
            f'<stop offset="{n / last:.2f}" stop-color="{self.hex(c)}" stop-opacity="{o:.2f}"/>'
            for n, (c, o) in enumerate(stops)
        )
        self._defs.append(f'<{kind}Gradient id="{name}" {where}>{inner}</{kind}Gradient>')
        return f"url(#{name})"

    # Shapes; x from 0 to the aspect, y from 0 to 1

    def path(self, points: Sequence[tuple[float, float]], fill: str, line: bool = True, opacity: float = 1.0) -> None:
        """A polygon."""
        d = "M" + "L".join(f"{x * H:.0f} {y * H:.0f}" for x, y in points) + "Z"
        self._add(f'<path d="{d}"', fill, line, opacity)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: str, line: bool = True, round_: float = 0) -> None:
        """A rectangle, with round corners."""
        at = f'x="{x0 * H:.0f}" y="{y0 * H:.0f}" width="{(x1 - x0) * H:.0f}" height="{(y1 - y0) * H:.0f}"'
        self._add(f'<rect {at} rx="{round_ * H:.0f}"', fill, line)

    def disc(
        self, x: float, y: float, rx: float, ry: float, fill: str, line: bool = True, opacity: float = 1.0
    ) -> None:
        """An ellipse."""
        at = f'cx="{x * H:.1f}" cy="{y * H:.1f}" rx="{rx * H:.1f}" ry="{ry * H:.1f}"'
        self._add(f"<ellipse {at}", fill, line, opacity)

    def stroke(self, points: Sequence[tuple[float, float]], colour: RGB, width: float, opacity: float = 1.0) -> None:
        """A line through points."""
        d = "M" + "L".join(f"{x * H:.1f} {y * H:.1f}" for x, y in points)
        self._body.append(
            f'<path d="{d}" fill="none" stroke="{self.hex(colour)}" stroke-width="{width * H:.1f}" '
            f'stroke-linecap="round" stroke-linejoin="round" stroke-opacity="{opacity:.2f}"/>'
        )

    def _add(self, start: str, fill: str, line: bool, opacity: float = 1.0) -> None:
        drawn = ""
        if line and self.ink.line is not None:
            red, green, blue = self.ink.line
            drawn = f' stroke="rgb({red},{green},{blue})" stroke-width="2.2" stroke-linejoin="round"'
        faint = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        self._body.append(f'{start} fill="{fill}"{drawn}{faint}/>')

    # What many places have

    def fill(self, paint: str, y0: float = 0.0, y1: float = 1.0) -> None:
        """A band across the frame."""
        self.box(-0.01, y0, self.aspect + 0.01, y1 + 0.002, paint, line=False)

    def ground(self, y: float, near: RGB, far: RGB) -> None:
        """The ground from the horizon down to the viewer, hazy afar."""
        near, far = self.lit(near), mixed(self.lit(far), self.haze, 0.12)
        self.fill(self.down(far, mixed(far, near, 0.6), near, mixed(near, (0, 0, 30), 0.08)), y, 1.0)

    def ridge(self, y: float, height: float, colour: RGB, waves: float = 2.0, rough: float = 0.0) -> None:
        """A rolling outline, filled down to the bottom of the frame."""
        x = np.linspace(-0.02, self.aspect + 0.02, int(48 * max(1.0, self.aspect)))
        phase = self.rng.uniform(0, 6.28, 3)
        swell = 0.62 * np.sin(waves * 3.1 * x + phase[0]) + 0.28 * np.sin(waves * 6.7 * x + phase[1])
        swell += 0.1 * np.sin(waves * 15 * x + phase[2]) + rough * self.rng.normal(0, 1, len(x))
        top = y - height * (0.5 + 0.5 * swell)
        points = [(-0.02, 1.01), *zip(x.tolist(), top.tolist(), strict=True), (self.aspect + 0.02, 1.01)]
        self.path(points, self.shaded(colour))

    def shaded(self, colour: RGB) -> str:
        """Paint of what is lit from above."""
        if not self.soft:
            return self.hex(colour)
        return self.down(mixed(colour, (255, 255, 240), 0.16), colour, mixed(colour, (10, 20, 50), 0.14))

    def sky(self, horizon: float, clouds: bool = True) -> None:
        """The sky of the time of day, with sun or moon, clouds or stars, down to the horizon."""
        top, middle, low = SKIES[self.time]
        self.fill(self.down(self.varied(top, 4), middle, low), 0, horizon + 0.1)
        rng = self.rng
        x = self.aspect * (0.16 if rng.random() < 0.5 else 0.84) + rng.normal(0, 0.03)
        y = 0.15 + rng.normal(0, 0.02)
        if self.time == "night":
            self.stars(int(46 * self.aspect), horizon)
        if not self.lights:
            rng.random()
        elif self.time == "night":
            self.disc(x, y, 0.19, 0.19, self.glow((220, 226, 255), 0.35), line=False)
            self.disc(x, y, 0.06, 0.06, self.ball((250, 242, 214)))
            for dx, dy, r in ((-0.02, -0.015, 0.013), (0.018, 0.012, 0.017), (-0.008, 0.028, 0.009)):
                self.disc(x + dx, y + dy, r, r, self.hex((230, 218, 184)), line=False)
        elif self.time == "sunset":
            x = self.aspect / 2 + rng.normal(0, 0.2 * self.aspect)
            self.disc(x, horizon - 0.02, 0.55, 0.42, self.glow((255, 222, 150), 0.75), line=False)
            self.disc(x, horizon - 0.03, 0.085, 0.085, self.ball((255, 236, 180)))
        elif rng.random() < 0.75:
            self.disc(x, y, 0.26, 0.26, self.glow((255, 246, 200), 0.8), line=False)
            self.disc(x, y, 0.062, 0.062, self.ball((255, 221, 92)))
        if clouds and self.time != "night":
            colour: RGB = (255, 255, 255) if self.time == "day" else (252, 206, 186)
            count = int(rng.integers(1, 4)) + round(2 * max(0.0, self.aspect - 1))
            for left in (np.arange(count) + rng.uniform(0.2, 0.8)) / count:
                height = rng.uniform(0.09, max(0.13, horizon - 0.26))
                self.cloud(left * self.aspect, height, rng.uniform(0.7, 1.25), colour)

    def cloud(self, x: float, y: float, scale: float, colour: RGB, opacity: float = 0.94) -> None:
        """A cloud: heaps on a level base."""
        heaps = (
            (-0.105, 0.026, 0.040),
            (-0.055, -0.004, 0.055),
            (0.012, -0.026, 0.068),
            (0.075, 0.0, 0.052),
            (0.12, 0.028, 0.036),
        )
        under = mixed(colour, SKIES[self.time][1], 0.35)
        jitter = self.rng.normal(0, 0.006, (len(heaps), 2))
        places = [
            (x + (dx + a) * scale, y + (dy + b) * scale, r * scale)
            for (dx, dy, r), (a, b) in zip(heaps, jitter, strict=True)
        ]
        if self.ink.line is not None:
            for cx, cy, r in places:
                self.disc(cx, cy, r * 1.15, r * 0.9, self.hex(colour))
            self.box(
                x - 0.13 * scale,
                y + 0.01 * scale,
                x + 0.14 * scale,
                y + 0.055 * scale,
                self.hex(colour),
                False,
                0.027 * scale,
            )
            return
        if self.soft:
            for cx, cy, r in places:
                self.disc(
                    cx, cy + 0.012 * scale, r * 1.22, r * 0.95, self.hex(under), line=False, opacity=opacity * 0.5
                )
        for cx, cy, r in places:
            paint = self.down(colour, colour, mixed(colour, under, 0.6)) if self.soft else self.hex(colour)
            self.disc(cx, cy, r * 1.15, r * 0.9, paint, line=False, opacity=opacity)
        self.box(
            x - 0.135 * scale,
            y + 0.012 * scale,
            x + 0.145 * scale,
            y + 0.06 * scale,
            self.hex(mixed(colour, under, 0.25)),
            False,
            0.024 * scale,
        )

    def stars(self, count: int, below: float) -> None:
        """Stars down to a height."""
        for x, y, r in self.rng.uniform((0, 0, 0.0012), (self.aspect, below, 0.0036), (count, 3)).tolist():
            self.disc(x, y, r, r, self.hex((255, 251, 232)), line=False, opacity=0.9)

    def tree(self, x: float, base: float, height: float, colour: RGB, pine: bool = False) -> None:
        """A tree that stands at `base`."""
        trunk = self.lit((122, 86, 58))
        self.box(x - 0.022 * height * 2, base - height * 0.36, x + 0.022 * height * 2, base, self.shaded(trunk))
        leaf = self.lit(colour)
        if pine:
            for low, width, tall in ((0.12, 0.27, 0.42), (0.36, 0.21, 0.38), (0.58, 0.15, 0.42)):
                y = base - height * low
                points = [
                    (x - height * width, y),
                    (x, y - height * tall),
                    (x + height * width, y),
                    (x, y + height * 0.03),
                ]
                self.path(points, self.shaded(leaf))
            return
        for dx, dy, r in ((-0.17, 0.46, 0.2), (0.17, 0.46, 0.2), (0, 0.66, 0.26), (0, 0.44, 0.2)):
            self.disc(
                x + dx * height, base - dy * height, r * height, r * height * 1.02, self.ball(leaf), line=dy > 0.6
            )

    def bush(self, x: float, base: float, size: float, colour: RGB) -> None:
        """A bush that stands at `base`."""
        for dx, dy, r in ((-0.5, 0.28, 0.42), (0.5, 0.28, 0.4), (0, 0.5, 0.56)):
            self.disc(x + dx * size, base - dy * size, r * size, r * size, self.ball(self.lit(colour)))

    def tufts(self, count: int, y0: float, y1: float, colour: RGB) -> None:
        """Grass, larger where it is near."""
        for x, y in self.rng.uniform((0, y0), (self.aspect, y1), (count, 2)).tolist():
            size = 0.008 + 0.03 * (y - y0) / max(0.1, 1 - y0)
            for lean in (-0.5, 0.0, 0.45):
                self.stroke([(x, y), (x + lean * size, y - size)], self.lit(colour), 0.10 * size + 0.001, 0.55)


def mixed(colour: RGB, other: RGB, share: float) -> RGB:
    """A colour with a share of another."""
    red, green, blue = (round(c + (o - c) * share) for c, o in zip(colour, other, strict=True))
    return red, green, blue
