"""Painted settings: sky, ground and what belongs there, each drawing of it a little different.

Everything is drawn from a name, a time of day and a seed, at any size, so that a scene can be painted again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from s2i_core.models.decoders.native.places import PLACES, PLAIN, RGB, Time

#: Shapes are drawn this many times larger and averaged, which smooths their edges.
_OVERSAMPLE = 2

#: The plain grounds of scenes whose words name no setting.
PASTELS = ("yellow", "green", "blue", "purple", "pink")


@dataclass(frozen=True)
class Setting:
    """A place.

    Attributes:
        name: its key.
        horizon: where the ground begins, as a share of the frame from the top; `None` where things float.
        phrases: how captions say that something is there.
        times: the times of day that it can be painted in.
    """

    name: str
    horizon: float | None
    phrases: tuple[str, ...]
    times: tuple[Time, ...] = ("day",)


_PHRASES: dict[str, tuple[str, ...]] = {
    "grass": ("on the grass", "in a green field", "in a meadow", "on the lawn"),
    "farm": ("on a farm", "out on the farm", "on the farm by the barn"),
    "garden": ("in a garden", "among the flowers", "in a garden full of flowers"),
    "forest": ("in the forest", "in the woods", "among the trees", "deep in the forest"),
    "mountains": ("in the mountains", "in front of the mountains", "up in the mountains"),
    "desert": ("in the desert", "on the sand dunes", "out in the desert", "in the sand"),
    "beach": ("on the beach", "by the seaside", "on the sand by the sea"),
    "sea": ("on the sea", "out at sea", "on the water", "on the ocean"),
    "river": ("by the river", "by the lake", "beside a pond", "at the water"),
    "underwater": ("under the sea", "under water", "at the bottom of the sea", "deep in the ocean"),
    "snow": ("in the snow", "on a snowy day", "in winter", "out in the cold snow"),
    "city": ("in the city", "in town", "downtown", "in front of tall buildings"),
    "road": ("on the road", "on the street", "on the highway", "along the road"),
    "rails": ("on the railway", "on the tracks", "on the rails"),
    "room": ("in a room", "inside the house", "indoors", "in the living room", "at home"),
    "table": ("on a table", "on the kitchen table", "on a wooden table", "in the kitchen"),
    "sky": ("in the sky", "up in the sky", "among the clouds", "up in the air"),
    "space": ("in space", "in outer space", "among the stars", "out in the universe"),
    "rain": ("in the rain", "on a rainy day", "out in the rain"),
    "stage": ("on a stage", "on the stage", "in the spotlight"),
}  # fmt: skip


def _phrases(name: str) -> tuple[str, ...]:
    if name in _PHRASES:
        return _PHRASES[name]
    colour = name.removeprefix("plain ")
    # "an orange", so the article has to follow the colour.
    article = "an" if colour == "orange" else "a"
    return f"on {article} {colour} background", f"in front of {article} {colour} wall"


SETTINGS = {name: Setting(name, place.horizon, _phrases(name), place.times) for name, place in PLACES.items()}
SETTING_NAMES = tuple(SETTINGS)

TIME_PHRASES: dict[Time, tuple[str, ...]] = {
    "day": (),
    "sunset": ("at sunset", "in the evening", "at dusk", "as the sun goes down"),
    "night": ("at night", "in the dark", "at midnight", "under the stars"),
}

_SKIES: dict[Time, tuple[RGB, RGB]] = {
    "day": ((118, 190, 246), (214, 236, 252)),
    "sunset": ((112, 92, 160), (255, 178, 108)),
    "night": ((18, 22, 62), (52, 58, 116)),
}
_TINTS: dict[Time, tuple[float, float, float]] = {
    "day": (1.0, 1.0, 1.0),
    "sunset": (0.92, 0.74, 0.72),
    "night": (0.30, 0.36, 0.52),
}


class _Canvas:
    """A picture under way, addressed in shares of the frame."""

    def __init__(self, size: int, time: Time, rng: np.random.Generator) -> None:
        self.side = size * _OVERSAMPLE
        self.time = time
        self.rng = rng
        self.image = Image.new("RGB", (self.side, self.side))
        self.draw = ImageDraw.Draw(self.image)

    def lit(self, colour: RGB) -> RGB:
        """A colour in the light of this time of day."""
        red, green, blue = (round(min(255.0, c * t)) for c, t in zip(colour, _TINTS[self.time], strict=True))
        return red, green, blue

    def varied(self, colour: RGB, amount: float = 8) -> RGB:
        """A colour slightly off."""
        red, green, blue = (
            int(np.clip(c + d, 0, 255)) for c, d in zip(colour, self.rng.normal(0, amount, 3), strict=True)
        )
        return red, green, blue

    def gradient(self, top: RGB, bottom: RGB, y0: float = 0.0, y1: float = 1.0) -> None:
        """Fill the rows between two heights."""
        first, last = round(y0 * self.side), round(y1 * self.side)
        if last <= first:
            return
        ramp = np.linspace(0, 1, last - first, dtype=np.float32)[:, None]
        column = np.asarray(top, dtype=np.float32) * (1 - ramp) + np.asarray(bottom, dtype=np.float32) * ramp
        strip = Image.fromarray(np.rint(column).astype(np.uint8)[:, None, :])
        self.image.paste(strip.resize((self.side, last - first), Image.Resampling.NEAREST), (0, first))

    def disc(self, x: float, y: float, rx: float, ry: float, colour: RGB) -> None:
        s = self.side
        self.draw.ellipse(((x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s), fill=colour)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: RGB) -> None:
        s = self.side
        self.draw.rectangle((x0 * s, y0 * s, x1 * s, y1 * s), fill=colour)

    def polygon(self, points: list[tuple[float, float]], colour: RGB) -> None:
        self.draw.polygon([(x * self.side, y * self.side) for x, y in points], fill=colour)

    def ridge(self, y: float, height: float, colour: RGB, waves: float = 2.0) -> None:
        """A rolling outline, filled down to the bottom of the frame."""
        x = np.linspace(0, 1, 33)
        phase = self.rng.uniform(0, 6.28, 2)
        swell = 0.65 * np.sin(waves * 3.1 * x + phase[0]) + 0.35 * np.sin(waves * 6.7 * x + phase[1])
        top = y - height * (0.5 + 0.5 * swell)
        self.polygon([(0, 1.0), *zip(x.tolist(), top.tolist(), strict=True), (1, 1.0)], colour)

    def sky(self, horizon: float, clouds: bool = True) -> None:
        """The sky of the time of day, with sun or moon, clouds or stars, down to the horizon."""
        top, bottom = _SKIES[self.time]
        self.gradient(self.varied(top, 5), self.varied(bottom, 4), 0, horizon + 0.08)
        rng = self.rng
        side = 0.14 if rng.random() < 0.5 else 0.86
        x, y = side + rng.normal(0, 0.03), 0.14 + rng.normal(0, 0.02)
        if self.time == "night":
            self.stars(18, horizon)
            shadow = self.image.getpixel((round(np.clip(x, 0, 0.99) * self.side), round(y * self.side)))
            self.disc(x, y, 0.065, 0.065, (250, 240, 205))
            self.disc(x + 0.032, y - 0.018, 0.056, 0.056, shadow if isinstance(shadow, tuple) else top)  # type: ignore[arg-type]
        elif self.time == "sunset":
            self.disc(0.5 + rng.normal(0, 0.2), horizon - 0.03, 0.12, 0.12, (255, 226, 140))
        elif rng.random() < 0.75:
            self.disc(x, y, 0.068, 0.068, (255, 216, 84))
        if clouds and self.time != "night":
            colour: RGB = (255, 255, 255) if self.time == "day" else (250, 200, 180)
            for _ in range(int(rng.integers(1, 4))):
                self.cloud(
                    rng.uniform(0.1, 0.9), rng.uniform(0.08, max(0.12, horizon - 0.25)), rng.uniform(0.7, 1.2), colour
                )

    def cloud(self, x: float, y: float, scale: float, colour: RGB) -> None:
        for dx, dy, r in ((-0.07, 0.012, 0.04), (0, -0.012, 0.055), (0.065, 0.01, 0.043), (0, 0.02, 0.05)):
            self.disc(x + dx * scale, y + dy * scale, r * 1.25 * scale, r * 0.85 * scale, colour)

    def stars(self, count: int, below: float) -> None:
        for x, y, r in self.rng.uniform((0, 0, 0.003), (1, below, 0.007), (count, 3)).tolist():
            self.disc(x, y, r, r, (255, 250, 225))

    def ground(self, y: float, near: RGB, far: RGB) -> None:
        self.gradient(self.lit(far), self.lit(near), y, 1.0)

    def tree(self, x: float, base: float, height: float, colour: RGB) -> None:
        self.box(x - 0.012, base - height * 0.3, x + 0.012, base, self.lit((112, 76, 48)))
        if self.rng.random() < 0.5:
            self.disc(x, base - height * 0.6, height * 0.3, height * 0.38, self.lit(colour))
        else:
            for low, width in ((0.2, 0.3), (0.45, 0.23), (0.68, 0.16)):
                y = base - height * low
                self.polygon(
                    [(x - height * width, y), (x + height * width, y), (x, y - height * 0.36)], self.lit(colour)
                )


def _grass(c: _Canvas) -> None:
    c.sky(0.58)
    c.ridge(0.58, 0.10, c.lit(c.varied((132, 194, 110))), 1.6)
    c.ground(0.58, c.varied((72, 152, 62)), c.varied((122, 194, 88)))


def _farm(c: _Canvas) -> None:
    c.sky(0.55)
    c.ridge(0.55, 0.08, c.lit((158, 196, 104)), 1.2)
    x = c.rng.choice([0.16, 0.84]) + c.rng.normal(0, 0.02)
    c.box(x - 0.11, 0.42, x + 0.11, 0.56, c.lit((178, 60, 52)))
    c.polygon([(x - 0.13, 0.43), (x + 0.13, 0.43), (x + 0.07, 0.34), (x - 0.07, 0.34)], c.lit((122, 74, 62)))
    c.box(x - 0.035, 0.47, x + 0.035, 0.56, c.lit((240, 226, 200)))
    c.ground(0.55, c.varied((92, 158, 62)), c.varied((168, 200, 92)))
    for y in (0.555, 0.59):
        c.box(0, y, 1, y + 0.012, c.lit((236, 222, 196)))
    for post in np.arange(0.04, 1.0, 0.12).tolist():
        c.box(post, 0.535, post + 0.016, 0.62, c.lit((236, 222, 196)))


def _garden(c: _Canvas) -> None:
    c.sky(0.55)
    c.ridge(0.57, 0.14, c.lit((96, 164, 84)), 4.0)
    c.ground(0.57, c.varied((80, 164, 72)), c.varied((134, 204, 100)))
    petals: tuple[RGB, ...] = ((238, 84, 112), (250, 206, 70), (244, 244, 250), (176, 110, 220), (250, 140, 190))
    places = c.rng.uniform((0, 0.54), (1, 0.99), (26, 2)).tolist()
    for i, (x, y) in enumerate(sorted(places, key=lambda place: place[1])):
        r = 0.008 + 0.016 * (y - 0.5)
        colour = petals[i % len(petals)]
        for dx, dy in ((-r, 0), (r, 0), (0, -r), (0, r)):
            c.disc(x + dx, y + dy, r, r, colour)
        c.disc(x, y, r * 0.7, r * 0.7, (255, 226, 110))


def _forest(c: _Canvas) -> None:
    c.sky(0.62, clouds=False)
    c.ridge(0.62, 0.22, c.lit((112, 164, 118)), 5.0)
    for x in np.linspace(0.0, 1.0, 9).tolist():
        c.tree(x + c.rng.normal(0, 0.03), 0.63, c.rng.uniform(0.38, 0.58), c.varied((62, 128, 74), 10))
    c.ground(0.62, c.varied((66, 116, 54)), c.varied((104, 156, 76)))


def _mountains(c: _Canvas) -> None:
    c.sky(0.62)
    for x in sorted(c.rng.uniform(-0.05, 1.05, 4).tolist(), key=lambda v: abs(v - 0.5), reverse=True):
        w, h = c.rng.uniform(0.26, 0.4), c.rng.uniform(0.28, 0.46)
        base = 0.64
        c.polygon([(x - w, base), (x + w, base), (x, base - h)], c.lit(c.varied((120, 130, 158), 7)))
        t = 0.32
        cap = base - h * (1 - t)
        c.polygon(
            [(x - w * t, cap), (x - w * t * 0.4, cap - 0.02), (x, cap + 0.02), (x + w * t * 0.5, cap - 0.02),
             (x + w * t, cap), (x, base - h)],
            c.lit((246, 248, 252)),
        )  # fmt: skip
    c.ridge(0.63, 0.05, c.lit((112, 168, 102)), 1.5)
    c.ground(0.63, c.varied((84, 144, 78)), c.varied((128, 184, 106)))


def _desert(c: _Canvas) -> None:
    c.sky(0.56, clouds=False)
    if c.time == "day":
        c.gradient((250, 208, 140), (254, 232, 190), 0, 0.56)
        c.disc(c.rng.choice([0.15, 0.85]), 0.15, 0.075, 0.075, (255, 244, 190))
    c.ridge(0.58, 0.16, c.lit(c.varied((228, 178, 108))), 1.3)
    c.ridge(0.66, 0.12, c.lit(c.varied((218, 164, 92))), 1.8)
    c.ridge(0.74, 0.08, c.lit(c.varied((206, 150, 82))), 1.5)


def _beach(c: _Canvas) -> None:
    c.sky(0.46)
    c.ground(0.44, (52, 140, 204), (72, 164, 222))
    c.ridge(0.64, 0.035, c.lit((246, 250, 252)), 3.0)
    c.ridge(0.66, 0.035, c.lit(c.varied((242, 214, 158), 5)), 3.0)
    c.ridge(0.86, 0.04, c.lit((234, 202, 142)), 2.0)


def _sea(c: _Canvas) -> None:
    c.sky(0.52)
    c.ground(0.52, c.varied((24, 92, 172)), c.varied((62, 150, 220)))
    for y in np.linspace(0.57, 0.97, 6).tolist():
        for x in c.rng.uniform(0, 1, 3).tolist():
            c.disc(x, y, 0.07 * (0.4 + y), 0.006, c.lit((150, 206, 244)))


def _river(c: _Canvas) -> None:
    c.sky(0.5)
    c.ridge(0.50, 0.12, c.lit((104, 164, 96)), 3.0)
    c.ground(0.5, (64, 150, 216), (132, 200, 240))
    for y in (0.55, 0.60, 0.65):
        for x in c.rng.uniform(0, 1, 2).tolist():
            c.disc(x, y, 0.09, 0.005, c.lit((210, 236, 250)))
    c.ridge(0.76, 0.08, c.lit(c.varied((146, 202, 98))), 1.4)
    c.ridge(0.86, 0.05, c.lit((112, 178, 78)), 1.4)


def _underwater(c: _Canvas) -> None:
    top, bottom = c.varied((92, 196, 232), 5), c.varied((16, 72, 148), 5)
    c.gradient(top, bottom)
    light = c.image.copy()
    for x in c.rng.uniform(0.05, 0.9, 3).tolist():
        c.polygon([(x, 0), (x + 0.06, 0), (x + 0.2, 0.7), (x + 0.02, 0.7)], (170, 226, 244))
    # The rays fade with depth.
    fade = np.linspace(90, 0, c.side, dtype=np.float32).clip(0).astype(np.uint8)
    mask = Image.fromarray(fade[:, None]).resize((c.side, c.side), Image.Resampling.NEAREST)
    c.image.paste(Image.composite(c.image, light, mask))
    for x in c.rng.choice([0.05, 0.12, 0.88, 0.95], 3, replace=False).tolist():
        for i in range(7):
            c.disc(x + 0.015 * (-1) ** i, 0.96 - i * 0.045, 0.016, 0.03, c.varied((42, 150, 104), 5))
    c.ridge(0.95, 0.05, c.varied((226, 202, 146), 5), 2.0)
    for x, y, r in c.rng.uniform((0, 0.05, 0.006), (1, 0.85, 0.016), (10, 3)).tolist():
        c.disc(x, y, r, r, (184, 228, 246))
        c.disc(x, y, r * 0.6, r * 0.6, (110, 190, 228))


def _snow(c: _Canvas) -> None:
    c.sky(0.56)
    if c.time == "day":
        c.gradient(c.varied((176, 196, 226), 5), (226, 234, 246), 0, 0.6)
    c.ridge(0.58, 0.12, c.lit((226, 234, 246)), 1.5)
    for x in c.rng.uniform(0, 1, 4).tolist():
        height = c.rng.uniform(0.12, 0.2)
        for low, width in ((0.1, 0.34), (0.45, 0.24)):
            y = 0.58 - height * low
            c.polygon(
                [(x - height * width, y), (x + height * width, y), (x, y - height * 0.55)], c.lit((168, 196, 204))
            )
    c.ground(0.58, (232, 238, 248), (250, 252, 255))
    for x, y, r in c.rng.uniform((0, 0, 0.004), (1, 0.98, 0.01), (34, 3)).tolist():
        c.disc(x, y, r, r, (255, 255, 255))


def _city(c: _Canvas) -> None:
    c.sky(0.6, clouds=False)
    x = -0.02
    walls: tuple[RGB, ...] = ((148, 160, 190), (176, 164, 178), (130, 150, 172), (188, 176, 164))
    light: RGB = (255, 222, 120) if c.time != "day" else (216, 232, 246)
    while x < 1.0:
        width, height = c.rng.uniform(0.1, 0.17), c.rng.uniform(0.2, 0.52)
        top = 0.66 - height
        c.box(x, top, x + width, 0.67, c.lit(walls[int(c.rng.integers(len(walls)))]))
        for row in np.arange(top + 0.03, 0.60, 0.055).tolist():
            for column in np.arange(x + 0.018, x + width - 0.025, 0.036).tolist():
                if c.rng.random() < 0.7:
                    c.box(column, row, column + 0.018, row + 0.026, light)
        x += width + c.rng.uniform(0.0, 0.012)
    c.ground(0.66, (150, 152, 160), (176, 178, 184))
    c.box(0, 0.655, 1, 0.675, c.lit((206, 208, 212)))


def _road(c: _Canvas) -> None:
    c.sky(0.56)
    c.ridge(0.56, 0.08, c.lit((140, 196, 116)), 1.5)
    c.ground(0.56, (104, 168, 84), (132, 190, 100))
    c.gradient(c.lit((112, 115, 124)), c.lit((88, 91, 100)), 0.64, 1.0)
    c.box(0, 0.64, 1, 0.652, c.lit((224, 224, 220)))
    shift = c.rng.uniform(0, 0.2)
    for x in np.arange(-0.2 + shift, 1.0, 0.24).tolist():
        c.box(x, 0.925, x + 0.13, 0.945, c.lit((246, 232, 150)))


def _rails(c: _Canvas) -> None:
    c.sky(0.58)
    c.ridge(0.58, 0.10, c.lit((146, 190, 116)), 1.5)
    c.ground(0.58, (108, 160, 84), (138, 188, 104))
    c.gradient(c.lit((168, 156, 142)), c.lit((142, 130, 118)), 0.8, 1.0)
    for x in np.arange(0.0, 1.05, 0.09).tolist():
        c.box(x, 0.845, x + 0.035, 0.955, c.lit((118, 84, 58)))
    for y in (0.86, 0.925):
        c.box(0, y, 1, y + 0.014, c.lit((206, 210, 218)))


def _room(c: _Canvas) -> None:
    walls: tuple[RGB, ...] = ((246, 226, 200), (214, 228, 220), (226, 218, 238), (250, 222, 212))
    wall = walls[int(c.rng.integers(len(walls)))]
    c.gradient(c.varied(wall, 4), c.varied(wall, 4), 0, 0.68)
    x = c.rng.choice([0.2, 0.8]) + c.rng.normal(0, 0.03)
    c.box(x - 0.125, 0.1, x + 0.125, 0.4, (252, 252, 250))
    c.box(x - 0.105, 0.12, x + 0.105, 0.38, (170, 212, 244))
    c.box(x - 0.008, 0.12, x + 0.008, 0.38, (252, 252, 250))
    c.box(x - 0.105, 0.243, x + 0.105, 0.257, (252, 252, 250))
    if c.rng.random() < 0.6:
        y = 1.0 - x
        c.box(y - 0.09, 0.14, y + 0.09, 0.3, (168, 116, 76))
        c.box(y - 0.075, 0.155, y + 0.075, 0.285, c.varied((166, 198, 184), 14))
    c.gradient((190, 134, 88), (156, 104, 66), 0.66, 1.0)
    c.box(0, 0.645, 1, 0.668, (250, 246, 238))


def _table(c: _Canvas) -> None:
    tints: tuple[RGB, ...] = ((252, 236, 208), (222, 236, 230), (250, 226, 216))
    wall = tints[int(c.rng.integers(len(tints)))]
    c.gradient(wall, c.varied(wall, 4), 0, 0.62)
    pale: RGB = (min(255, wall[0] + 3), min(255, wall[1] + 8), min(255, wall[2] + 12))
    for x in np.arange(0.0, 1.0, 0.2).tolist():
        for y in np.arange(0.0, 0.6, 0.2).tolist():
            c.box(x + 0.006, y + 0.006, x + 0.194, y + 0.194, pale)
    c.gradient((206, 152, 98), (172, 118, 72), 0.6, 1.0)
    c.box(0, 0.6, 1, 0.615, (224, 176, 122))
    for y in (0.72, 0.86):
        c.box(0, y, 1, y + 0.006, (178, 126, 78))


def _sky(c: _Canvas) -> None:
    top, bottom = _SKIES[c.time]
    c.gradient(c.varied(top, 5), c.varied(bottom, 5))
    colour: RGB = (255, 255, 255) if c.time == "day" else (250, 196, 172)
    for x, y, scale in c.rng.uniform((0, 0.06, 0.8), (1, 0.98, 1.6), (5, 3)).tolist():
        c.cloud(x, y, scale, colour)


def _space(c: _Canvas) -> None:
    c.gradient(c.varied((14, 12, 40), 3), c.varied((42, 24, 78), 5))
    c.stars(46, 1.0)
    x = c.rng.choice([0.1, 0.9])
    c.disc(x, c.rng.choice([0.1, 0.9]), 0.055, 0.055, c.varied((170, 120, 150), 25))


def _rain(c: _Canvas) -> None:
    c.gradient(c.varied((112, 126, 148), 5), (176, 186, 200), 0, 0.62)
    for x, y, scale in c.rng.uniform((0, 0.02, 1.2), (1, 0.14, 1.9), (5, 3)).tolist():
        c.cloud(x, y, scale, (142, 152, 170))
    c.ridge(0.61, 0.08, (116, 146, 118), 1.5)
    c.gradient((112, 142, 104), (82, 116, 84), 0.6, 1.0)
    c.disc(c.rng.uniform(0.2, 0.8), 0.93, 0.2, 0.025, (148, 172, 188))
    for x, y in c.rng.uniform((0, 0.1), (1.05, 0.98), (46, 2)).tolist():
        s = c.side
        c.draw.line((x * s, y * s, (x - 0.012) * s, (y + 0.045) * s), fill=(206, 220, 236), width=max(1, c.side // 140))


def _stage(c: _Canvas) -> None:
    c.gradient((70, 26, 46), (104, 36, 58), 0, 0.72)
    for x in np.arange(0.0, 1.0, 0.1).tolist():
        c.box(x, 0, x + 0.045, 0.7, c.varied((126, 40, 62), 3))
    x = 0.5 + c.rng.normal(0, 0.04)
    c.polygon([(x - 0.06, 0), (x + 0.06, 0), (x + 0.36, 0.72), (x - 0.36, 0.72)], (176, 96, 104))
    c.gradient((168, 116, 76), (128, 84, 54), 0.7, 1.0)
    c.disc(x, 0.88, 0.42, 0.09, (222, 178, 124))


_PAINTERS: dict[str, Callable[[_Canvas], None]] = {
    "grass": _grass, "farm": _farm, "garden": _garden, "forest": _forest, "mountains": _mountains, "desert": _desert,
    "beach": _beach, "sea": _sea, "river": _river, "underwater": _underwater, "snow": _snow, "city": _city,
    "road": _road, "rails": _rails, "room": _room, "table": _table, "sky": _sky, "space": _space, "rain": _rain,
    "stage": _stage,
}  # fmt: skip


@dataclass(frozen=True)
class Ink:
    """How a style paints its grounds.

    Attributes:
        colour: what is left of the colours, 0 to 1.
        strength: what is left of the whole on the paper, 0 to 1.
        paper: what it is painted on.
    """

    colour: float
    strength: float
    paper: RGB


INKS: dict[str, Ink] = {"outline": Ink(0.0, 0.35, (255, 255, 255)), "sketch": Ink(0.6, 0.5, (251, 247, 238))}
"""How the styles paint that don't paint in full colour."""


def paint(setting: str, time: Time, seed: int, size: int, style: str = "") -> npt.NDArray[np.uint8]:
    """Paint a setting.

    Args:
        setting: a key of `SETTINGS`.
        time: one of the setting's times.
        seed: decides the details; the same seed gives the same picture.
        size: pixels a side.
        style: of what will stand there.

    Returns:
        `(size, size, 3)` uint8.

    Raises:
        KeyError: there is no such setting.
    """
    frame = _paint(setting, time, seed, size)
    # A plain ground that is asked for by its colour has that colour in every style.
    if style not in INKS or setting.startswith("plain "):
        return frame
    ink, full = INKS[style], frame.astype(np.float32)
    grey = full.mean(2, keepdims=True)
    washed = grey + ink.colour * (full - grey)
    paper = np.asarray(ink.paper, np.float32)
    return np.asarray(np.rint(paper + ink.strength * (washed - paper)).clip(0, 255), dtype=np.uint8)


def _paint(setting: str, time: Time, seed: int, size: int) -> npt.NDArray[np.uint8]:
    if setting.startswith("plain "):
        return np.broadcast_to(np.asarray(PLAIN[setting.removeprefix("plain ")], np.uint8), (size, size, 3)).copy()
    canvas = _Canvas(size, time, np.random.default_rng(seed))
    _PAINTERS[setting](canvas)
    return np.asarray(canvas.image.reduce(_OVERSAMPLE), dtype=np.uint8)
