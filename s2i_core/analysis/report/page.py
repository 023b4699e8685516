"""The page of a report: one HTML file without any external address, whose plots are in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from s2i_core.analysis.drift import Moved
from s2i_core.analysis.report import plots
from s2i_core.analysis.report.figures import Column, Figures, Reference

_POLICY = "default-src 'none'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'"
HTML = "text/html; charset=utf-8"
"""Its type."""
_WORDS = {
    "to draw": "gets a picture",
    "below_confidence": "nothing to draw",
    "no_speech": "music or noise",
    "silence": "silence",
}
_STATUS = ("ok", "skipped", "failed")


@dataclass(frozen=True)
class Part:
    """A plot with its heading, and a note below that says what is seen."""

    title: str
    plot: Markup
    note: str = ""


def page(figures: Figures) -> str:
    """The page, as HTML; the same figures give the same bytes."""
    style = files("s2i_core.publish").joinpath("player", "base.css").read_text("utf-8") + _read("report.css")
    return (
        _environment()
        .from_string(_read("report.html"))
        .render(
            figures=figures,
            facts=_facts(figures),
            parts=_parts(figures),
            drift=_drift(figures),
            style=Markup(style),
            policy=_POLICY.format(base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()),
        )
    )


def in_short(figures: Figures) -> str:
    """The gist, in Markdown."""
    lines = [f"**{figures.title}**, {figures.destination}", ""]
    lines += [f"- {number} {what}" for number, what in _facts(figures)]
    if figures.references:
        last = figures.references[-1]
        told = "; ".join(each.described() for each in last.moved) or "the first, with nothing to compare it with"
        lines.append(f"- reference recordings ({last.scenes} scenes): {told}")
    if figures.newest:
        lines.append(f"- the last {figures.by} beside those before: {'; '.join(map(Moved.described, figures.newest))}")
    return "\n".join(lines)


def _facts(figures: Figures) -> list[tuple[str, str]]:
    columns = figures.columns
    audio_h = sum(each.audio_s for each in columns) / 3600
    seconds = sum(sum(each.seconds.values()) for each in columns)
    covered = sum(each.seconds.get("to draw", 0.0) for each in columns)
    failed = sum(each.standing for each in figures.failures)
    return [
        (f"{len(columns)}", f"{figures.by}{'s' * (len(columns) != 1)}"),
        (f"{sum(sum(each.recordings.values()) for each in columns):,}", "recordings planned"),
        (f"{audio_h:,.1f} h" if audio_h >= 1 else f"{60 * audio_h:.0f} min", "of audio"),
        (f"{sum(each.pictures for each in columns):,}", "pictures"),
        (f"{100 * covered / seconds:.0f} %" if seconds else "–", "of it gets a picture"),
        (f"{failed:,}", "failed and still standing"),
    ]


def _parts(figures: Figures) -> list[Part]:
    columns, names = figures.columns, _labels(figures.columns)
    made: list[Part] = []

    def add(title: str, there: bool, plot: Markup, note: str = "") -> None:
        if there:
            made.append(Part(title, plot, note))

    outcomes = {status: [float(each.recordings.get(status, 0)) for each in columns] for status in _STATUS}
    add(
        "Recordings by outcome",
        any(each.recordings for each in columns),
        plots.stacked(names, outcomes, "Recordings by outcome"),
    )
    add("Pictures", True, plots.bars(names, [float(each.pictures) for each in columns], "Pictures"))
    kinds = sorted({what for each in columns for what in each.seconds}, key=lambda what: (what != "to draw", what))
    shares = {
        _WORDS.get(what, what): [
            100 * each.seconds.get(what, 0.0) / (sum(each.seconds.values()) or 1.0) for each in columns
        ]
        for what in kinds
    }
    add("Coverage", bool(kinds), plots.stacked(names, shares, "Coverage, percent of the seconds planned", " %"))
    similarity = [each.similarity for each in columns]
    add(
        "Similarity of pictures",
        any(similarity),
        plots.band(names, similarity, "Similarity of pictures"),
        "Cosine of a picture to what it is to show: the 10th to the 90th percentile, and the median.",
    )
    confidence = [each.confidence for each in columns]
    add(
        "Confidence of scenes",
        any(confidence),
        plots.band(names, confidence, "Confidence of scenes"),
        "That something is said which can be drawn: the 10th to the 90th percentile, and the median.",
    )
    speed = [each.pictures_per_minute for each in columns]
    add("Throughput: pictures a minute", any(speed), plots.bars(names, speed, "Pictures a minute"), _UNENDED)
    heard = [each.audio_per_hour for each in columns]
    add("Throughput: hours of audio an hour", any(heard), plots.bars(names, heard, "Hours of audio an hour"), _UNENDED)
    add(*_costs(columns, names))
    by_thing = [(each.thing, [float(times) for times in each.by_column]) for each in figures.things]
    add(
        "Things that are named most",
        bool(by_thing),
        plots.grid(names, by_thing, "Things that are named most"),
        "How often each was named, with a confidence of 0.6 at least; all of the period at the right.",
    )
    faults = [(f"{each.stage}: {each.error}", float(each.standing), float(each.subjects)) for each in figures.failures]
    add(
        "Failures by reason",
        bool(faults),
        plots.rows(faults, "Failures by reason", ("still standing", "mended since")),
        "Recordings and scenes that failed, by stage and error.",
    )
    return made


def _labels(columns: Sequence[Column]) -> list[str]:
    """For the axes: the days, with the time where a day has several."""
    days = [f"{each.started_at:%m-%d}" for each in columns]
    return days if len(set(days)) == len(days) else [f"{each.started_at:%m-%d %H:%M}" for each in columns]


_UNENDED = "By the time of the runs themselves; those that did not come to their end are left out."


def _costs(columns: Sequence[Column], names: Sequence[str]) -> tuple[str, bool, Markup, str]:
    """Money if runs had prices, else CPU- and GPU-hours."""
    money = [each.cost_per_audio for each in columns]
    if any(money):
        title = "Cost of an hour of audio"
        return title, True, plots.bars(names, money, title), "At the prices that the runs' limits name. " + _UNENDED
    hours = {
        "CPU-hours": [each.cpu_per_audio or 0.0 for each in columns],
        "GPU-hours": [each.gpu_per_audio or 0.0 for each in columns],
    }
    held = {name: values for name, values in hours.items() if any(values)}
    title = "Cost of an hour of audio: hours that workers held"
    note = "With limits.cpu_hour_price and limits.gpu_hour_price set, this is money."
    return title, bool(held), plots.stacked(names, held or {"": [0.0] * len(names)}, title), note


@dataclass(frozen=True)
class Drift:
    """What is said of drift: of the reference recordings, and of what came in last."""

    references: Sequence[Reference]
    last: Reference | None
    plot: Markup | None
    newest: Sequence[str]
    parts: Sequence[Part]


def _drift(figures: Figures) -> Drift:
    parts = []
    if figures.samples is not None:
        before, now = figures.samples
        for what in ("similarity", "confidence"):
            samples = [
                ("before", [float(each) for each in getattr(before, what) if np.isfinite(each)]),
                (f"the last {figures.by}", [float(each) for each in getattr(now, what) if np.isfinite(each)]),
            ]
            if all(values for _, values in samples):
                parts.append(
                    Part(f"Share with less {what}", plots.shares(samples, f"Share of scenes with less {what}"))
                )
    references = figures.references
    plot = None
    if any(each.moved for each in references):
        labels = {each.name: label for each, label in zip(figures.columns, _labels(figures.columns), strict=True)}
        names = [labels.get(each.run_id, each.at[5:10]) for each in references]
        amounts = {
            what: [next((one.amount for one in each.moved if one.what == what), None) for each in references]
            for what in ("vectors", "confidence", "similarity")
        }
        plot = plots.lines(
            names, amounts, "Distance of the reference recordings from the baseline", references[-1].bound
        )
    newest = [each.described() for each in figures.newest]
    return Drift(references, references[-1] if references else None, plot, newest, parts)


@cache
def _read(name: str) -> str:
    return files("s2i_core.analysis.report").joinpath(name).read_text("utf-8")


@cache
def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
