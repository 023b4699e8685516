"""Measure a listener on the lectures of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from s2i_core.evaluation.lectures.heard import Voices
from s2i_core.evaluation.lectures.listeners import ThingListener
from s2i_core.evaluation.lectures.passages import Split
from s2i_core.evaluation.lectures.people import clips
from s2i_core.evaluation.lectures.score import Score, score
from s2i_core.evaluation.lectures.spoken import Channel, Lecture, lectures, through

RECALLS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Where the precision is reported."""


def spoken_by(voices: Voices, split: Split) -> Iterable[Lecture]:
    """The recordings of a split by these voices."""
    return clips() if voices == "people" else lectures(split, voices)


def measure(
    listener: ThingListener,
    split: Split,
    voices: Voices,
    channel: Channel,
    tell: Callable[[str], None] = lambda _: None,
) -> Score:
    """How well it hears the passages of a split through a channel; people's clips are all for reporting."""
    recordings = []
    minutes = 0.0
    for lecture in spoken_by(voices, split):
        tell(f"{lecture.title}, {lecture.voice}")
        recordings.append((listener(lecture, through(lecture, channel)), lecture.said))
        minutes += lecture.duration_s / 60
    return score(recordings, minutes)


def summary(found: Score) -> dict[str, Any]:
    """What is reported of a score: all but its curve, and the precision at some recalls."""
    rest = {name: value for name, value in asdict(found).items() if name != "curve"}
    return rest | {"precision_at_recall": {str(recall): found.at_recall(recall) for recall in RECALLS}}


def line(who: str, found: Score, at: Sequence[float] = RECALLS) -> str:
    """The same for people, in one line."""
    precisions = "  ".join(f"{recall:.1f}:{found.at_recall(recall):.2f}" for recall in at)
    return (
        f"{who}: recall {found.recall:.2f} at precision 0.85, average precision {found.average_precision:.2f}, "
        f"{found.off_s:.2f} s off, {found.needed} named in {found.minutes:.0f} min; precision at recall {precisions}"
    )
