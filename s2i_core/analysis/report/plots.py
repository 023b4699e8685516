"""Plots as static SVG for a page that has the classes of `report.css`: the same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 40
_TICKS = 4
_LABELS = 8
_KINDS = 6
_LETTER_PX = 6.6
_ROW_PX = 24


def stacked(names: Sequence[str], series: Mapping[str, Sequence[float]], title: str, unit: str = "") -> Markup:
    """Bars of several parts on each other, one a name. `series`: by what it is, a value for each name."""
    sums = [sum(values) for values in zip(*series.values(), strict=True)] or [0.0]
    plot = _Plot(names, max(sums), title, unit)
    below = [0.0] * len(names)
    for kind, (what, values) in enumerate(series.items()):
        for place, value in enumerate(values):
            if value > 0:
                top, bottom = plot.y(below[place] + value), plot.y(below[place])
                left, right = plot.bar(place)
                plot.add(
                    f'<rect class="k{kind % _KINDS}" x="{left}" y="{top}" width="{_tidy(right - left)}" '
                    f'height="{_tidy(max(0.5, bottom - top))}"><title>{escape(names[place])}: {escape(what)} '
                    f"{_short(value)}{escape(unit)}</title></rect>"
                )
                below[place] += value
    return plot.whole(list(series) if len(series) > 1 else [])


def bars(names: Sequence[str], values: Sequence[float | None], title: str, unit: str = "") -> Markup:
    """One bar for each name; none where there is no value."""
    return stacked(names, {title: [value or 0.0 for value in values]}, title, unit)


def band(names: Sequence[str], values: Sequence[tuple[float, float, float] | None], title: str) -> Markup:
    """A middle with what lies around it, one a name: the 10th, 50th and 90th percentile."""
    known = [each for each in values if each is not None]
    highest, lowest = max((high for _, _, high in known), default=1.0), min((low for low, _, _ in known), default=0.0)
    plot = _Plot(names, highest, title, "", min(0.0, lowest))
    middles = []
    for place, each in enumerate(values):
        if each is not None:
            left, right = plot.bar(place)
            low, middle, high = map(plot.y, each)
            told = f"{each[0]:.2f} to {each[2]:.2f}, median {each[1]:.2f}"
            plot.add(
                f'<rect class="k0 pale" x="{left}" y="{high}" width="{_tidy(right - left)}" '
                f'height="{_tidy(max(0.5, low - high))}"><title>{escape(names[place])}: {told}</title></rect>'
            )
            middles.append(f"M{left} {middle}H{right}")
    plot.add(f'<path class="line k0" d="{"".join(middles)}"/>')
    return plot.whole([])


def lines(
    names: Sequence[str], series: Mapping[str, Sequence[float | None]], title: str, bound: float | None = None
) -> Markup:
    """A line for each of several figures, a point a name, from 0 to 1; `bound`: a level that is marked."""
    plot = _Plot(names, 1.0, title, "")
    if bound is not None:
        plot.add(f'<path class="bound" d="M{LEFT} {plot.y(bound)}H{WIDTH - RIGHT}"/>')
    for kind, (what, values) in enumerate(series.items()):
        points = [
            (_tidy(sum(plot.bar(place)) / 2), plot.y(value), names[place], value)
            for place, value in enumerate(values)
            if value is not None
        ]
        if points:
            path = "L".join(f"{x} {y}" for x, y, _, _ in points)
            plot.add(f'<path class="line k{kind}" d="M{path}"/>')
        for x, y, name, value in points:
            told = f"{escape(name)}: {escape(what)} {value:.3f}"
            plot.add(f'<circle class="k{kind}" cx="{x}" cy="{y}" r="3.5"><title>{told}</title></circle>')
    return plot.whole(list(series), lines=True)


def rows(values: Sequence[tuple[str, float, float]], title: str, kinds: Sequence[str]) -> Markup:
    """Bars to the right, each with its name, of two parts: what is in the first is in the whole as well."""
    left = min(300, 16 + int(_LETTER_PX * max((len(name) for name, _, _ in values), default=0)))
    most = max((whole for _, _, whole in values), default=1.0) or 1.0
    height = len(values) * _ROW_PX + 8
    parts = []
    for place, (name, part, whole) in enumerate(values):
        y = 4 + place * _ROW_PX
        long, short = (_tidy((WIDTH - left - 60) * value / most) for value in (whole, part))
        shown = name if len(name) <= 44 else f"{name[:43]}…"
        parts.append(
            f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(shown)}</text>'
            f'<rect class="k0 pale" x="{left}" y="{y + 3}" width="{long}" height="{_ROW_PX - 8}"/>'
            f'<rect class="k0" x="{left}" y="{y + 3}" width="{short}" height="{_ROW_PX - 8}"/>'
            f'<text x="{_tidy(left + float(long) + 6)}" y="{y + 15}">{_short(whole)}</text>'
        )
    return _svg(parts, height, title, _legend([(f"k0{' pale' * place}", kind) for place, kind in enumerate(kinds)]))


def grid(names: Sequence[str], values: Sequence[tuple[str, Sequence[float]]], title: str) -> Markup:
    """A row for each thing, a cell for each name: the fuller, the more."""
    left = min(220, 16 + int(_LETTER_PX * max((len(name) for name, _ in values), default=0)))
    most = max((value for _, each in values for value in each), default=1.0) or 1.0
    step = (WIDTH - left - 50) / max(1, len(names))
    parts = []
    for place, (name, each) in enumerate(values):
        y = 4 + place * _ROW_PX
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        for column, value in enumerate(each):
            high = (_ROW_PX - 6) * value / most
            if value > 0:
                parts.append(
                    f'<rect class="k0" x="{_tidy(left + column * step + 0.5)}" y="{_tidy(y + _ROW_PX - 4 - high)}" '
                    f'width="{_tidy(min(26, max(0.5, step - 1)))}" height="{_tidy(max(1, high))}">'
                    f"<title>{escape(names[column])}: {escape(name)} {_short(value)}</title></rect>"
                )
        parts.append(
            f'<path class="grid" d="M{left} {y + _ROW_PX - 3}H{_tidy(left + len(names) * step)}"/>'
            f'<text x="{WIDTH - 4}" y="{y + 15}" text-anchor="end">{_short(sum(each))}</text>'
        )
    return _svg(parts, len(values) * _ROW_PX + 8, title, Markup(""))


def shares(samples: Sequence[tuple[str, Sequence[float]]], title: str) -> Markup:
    """Which share of each sample lies below a value, as steps: where the lines are far apart, they differ."""
    known = [(name, sorted(values)) for name, values in samples if len(values)]
    low = min((values[0] for _, values in known), default=0.0)
    high = max((values[-1] for _, values in known), default=1.0)
    low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
    plot = _Plot([], 1.0, title, "")

    def x(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low), 1)

    for kind, (_, values) in enumerate(known):
        every = max(1, len(values) // 200)
        points = [*values[::every], values[-1]]
        steps = [(value, min(1.0, place * every / len(values))) for place, value in enumerate(points)]
        path = "".join(
            f"{'L' if place else 'M'}{x(value)} {plot.y(share)}" for place, (value, share) in enumerate(steps)
        )
        plot.add(f'<path class="line k{kind}" d="{path}L{x(high)} {plot.y(1.0)}"/>')
    for tick in range(_TICKS + 1):
        value = low + (high - low) * tick / _TICKS
        anchor = "end" if tick == _TICKS else "middle"
        plot.add(f'<text x="{x(value)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{value:.2f}</text>')
    return plot.whole([name for name, _ in known], lines=True)


class _Plot:
    """An upright plot: its axis, and what is drawn over it."""

    def __init__(self, names: Sequence[str], highest: float, title: str, unit: str, lowest: float = 0.0) -> None:
        self._names = names
        self._title = title
        self._low = lowest
        self._step = _round_step((highest - lowest) or 1.0)
        self._high = lowest + self._step * ceil(((highest - lowest) or 1.0) / self._step - 1e-9)
        self._parts: list[str] = []
        value = lowest
        while value <= self._high + self._step / 2:
            y = self.y(value)
            self.add(
                f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
                f'<text x="{LEFT - 6}" y="{_tidy(y + 4)}" text-anchor="end">{_short(value)}{escape(unit)}</text>'
            )
            value += self._step
        every = max(1, ceil(len(names) / _LABELS))
        for place in range(0, len(names), every):
            left, right = self.bar(place)
            self.add(
                f'<text x="{_tidy((left + right) / 2)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
                f"{escape(names[place])}</text>"
            )

    def add(self, part: str) -> None:
        self._parts.append(part)

    def y(self, value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - self._low) / (self._high - self._low)), 1)

    def bar(self, place: int) -> tuple[float, float]:
        """Left and right edge; few bars are not as wide as a page."""
        step = (WIDTH - LEFT - RIGHT) / max(1, len(self._names))
        wide = min(0.8 * step, 48)
        middle = LEFT + (place + 0.5) * step
        return round(middle - wide / 2, 1), round(middle + wide / 2, 1)

    def whole(self, kinds: Sequence[str], lines: bool = False) -> Markup:
        keys = [(f"k{kind % _KINDS}", name) for kind, name in enumerate(kinds)]
        return _svg(self._parts, HEIGHT, self._title, _legend(keys, lines))


def _svg(parts: Sequence[str], height: int, title: str, legend: Markup) -> Markup:
    # Everything in the parts that comes from tables has been escaped.
    inner = Markup("\n".join(parts))
    return Markup('{}<svg viewBox="0 0 {} {}" role="img" aria-label="{}">\n{}\n</svg>').format(
        legend, WIDTH, height, title, inner
    )


def _legend(keys: Sequence[tuple[str, str]], lines: bool = False) -> Markup:
    if not keys:
        return Markup("")
    shape = "M0 5H12" if lines else "M0 0H12V10H0Z"
    kind = "line " if lines else ""
    one = Markup('<li><svg viewBox="0 0 12 10" aria-hidden="true"><path class="{}{}" d="{}"/></svg>{}</li>')
    return Markup('<ul class="legend">{}</ul>').format(
        Markup("").join(one.format(kind, name, shape, text) for name, text in keys)
    )


def _round_step(whole: float) -> float:
    """A step of 1, 2 or 5 times a power of ten, of which some four make the whole."""
    rough = whole / _TICKS
    power = 10.0 ** floor(log10(rough))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= rough - 1e-12)


def _short(value: float) -> str:
    """For an axis: three figures that count."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _tidy(value: float) -> float:
    return round(value, 1)
