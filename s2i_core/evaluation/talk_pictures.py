"""What the pictures of a lecture show: something that is named in their scene, or something else?

By the product's own steps, all but the drawing: the scenes are planned, and their layouts looked up in the library. The
cascade's things go through the same planner and decoder.
"""

from __future__ import annotations

from collections.abc import Sequence

from s2i_core.config import RunConfig, changed
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.lectures import shown
from s2i_core.evaluation.lectures.calibrate import PRECISIONS
from s2i_core.evaluation.lectures.heard import HeardLectures, Hearing, Peer, told
from s2i_core.evaluation.lectures.score import PRECISION, score
from s2i_core.evaluation.lectures.spoken import CHANNELS, Channel
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, share
from s2i_core.weights import least_confidence

_COLUMNS = (
    "pictures",
    "by",
    "show something named in their scene",
    "of what they show, named",
    "a minute",
    "a minute where things are named",
)
_CHANNELS = {"clean": "lectures, neural voices", "noise": "10 dB noise", "telephone": "over a telephone"}
_PEER: Peer = "base"


def run(exam: Examination) -> Part:
    """Measure it."""
    talk = exam.talk
    figures: dict[str, Figure] = {}
    return Part([_by_channel(talk, figures), _curve(talk, figures)], figures)


def _by_channel(talk: HeardLectures, figures: dict[str, Figure]) -> Table:
    rows: list[list[Cell]] = []
    by_sentences = _with_precision(talk.config, None)
    for channel in CHANNELS:
        talk.tell(f"pictures of lectures, {channel}")
        hearings = talk.by_model("neural", channel)
        ways: list[tuple[str, str, Sequence[Hearing], RunConfig]] = [
            ("", "model", hearings, talk.config),
            ("_cascade", f"cascade, {_PEER}", _by_cascade(talk, hearings, channel), talk.config),
            ("_by_sentences", "model, by sentences", hearings, by_sentences),
        ]
        for suffix, who, heard, config in ways:
            found = shown.measure(talk.model, config, heard)
            right, things = share(found.right), share(found.things_right)
            rates = [_rate(found.a_minute, found.pictures), _rate(found.a_minute_of_names, found.of_naming)]
            rows.append([_CHANNELS[channel] if not suffix else "", who, right, things, *rates])
            figures[f"{channel}_right{suffix}"] = right
            figures[f"{channel}_things_right{suffix}"] = things
            figures[f"{channel}_a_minute_of_names{suffix}"] = rates[1]
    note = (
        "Looked up, not drawn. The cascade: its things in place of the model's, from the limit at which it has a "
        f"precision of {PRECISION} on these very recordings, through the same planner and decoder. By sentences: "
        "scenes.precision = none, as models plan that hear no single things."
    )
    return Table("Pictures of lectures", _COLUMNS, rows, note)


def _by_cascade(talk: HeardLectures, hearings: Sequence[Hearing], channel: Channel) -> list[Hearing]:
    guesses = talk.guesses(_PEER, "neural", channel)
    said = [hearing.lecture.said for hearing in hearings]
    limit = score(list(zip(guesses, said, strict=True)), 1.0).limit
    least = least_confidence(talk.config)
    assert least is not None
    return [told(hearing, own, talk.library, limit, least) for hearing, own in zip(hearings, guesses, strict=True)]


def _curve(talk: HeardLectures, figures: dict[str, Figure]) -> Table:
    rows: list[list[Cell]] = []
    hearings = talk.by_model("neural")
    for precision in PRECISIONS:
        talk.tell(f"pictures of lectures, precision {precision}")
        found = shown.measure(talk.model, _with_precision(talk.config, precision), hearings)
        right = share(found.right)
        a_minute = _rate(found.a_minute_of_names, found.of_naming)
        rows.append([precision, right, share(found.things_right), a_minute])
        figures |= {f"precision_{precision}_right": right, f"precision_{precision}_a_minute": a_minute}
    note = "scenes.precision is set; clean lectures, neural voices. Higher makes fewer pictures, with fewer things."
    columns = ("scenes.precision", _COLUMNS[2], _COLUMNS[3], _COLUMNS[5])
    return Table("Precision against pictures a minute", columns, rows, note)


def _with_precision(config: RunConfig, precision: float | None) -> RunConfig:
    return changed(config, {"scenes.precision": precision})


def _rate(value: float, pictures: int) -> Figure:
    return Figure(value, pictures, value, value)
