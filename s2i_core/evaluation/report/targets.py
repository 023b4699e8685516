"""What the model has to reach on a CPU, and how the figures compare: for talk first, then for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s2i_core.evaluation.statistics import Figure


@dataclass(frozen=True)
class Target:
    """A bound for a figure.

    Attributes:
        part, name: which figure.
        title: what it is.
        bound: the least, or, with `at_most`, the greatest value.
        over: a second figure of the same part that it is divided by.
    """

    part: str
    name: str
    title: str
    bound: float
    at_most: bool = False
    over: str = ""


@dataclass(frozen=True)
class Comparison:
    """A target with what was measured; `figure` is None where it was not."""

    target: Target
    figure: Figure | None

    @property
    def met(self) -> bool | None:
        """Whether the value is within the bound; None if there is none."""
        if self.figure is None:
            return None
        value = self.figure.value
        return value <= self.target.bound if self.target.at_most else value >= self.target.bound


TARGETS = (
    Target("talk", "neural_recall", "things named in lectures, neural voices: recall at precision 0.85", 0.60),
    Target("talk", "neural_recall_of_cascade", "the same over that of the cascade with Whisper base", 1.0),
    Target("talk", "people_recall_of_cascade", "the same, people", 0.8),
    Target("talk", "neural_off_s", "time of a thing, median error in seconds", 0.25, at_most=True),
    Target("talk-pictures", "clean_right", "pictures of a lecture that show a thing named in their scene", 0.85),
    Target("talk-pictures", "clean_a_minute_of_names", "such pictures a minute, where things are named", 4.0),
    Target("talk-pictures", "noise_right", "pictures that show a thing named in their scene, at 10 dB noise", 0.75),
    Target("talk-pictures", "telephone_right", "the same, over a telephone", 0.75),
    Target(
        "talk", "hearing_s_a_minute", "hearing a minute of talk, all included, seconds of one core", 6.0, at_most=True
    ),
    Target(
        "talk", "hearing_of_cascade_base", "the same over the cascade's time, with Whisper base", 1 / 3, at_most=True
    ),
    Target("retrieval", "neural_caption_r1", "speech → caption in 1,000, neural voices, new phrases: R@1", 0.65),
    Target("retrieval", "neural_caption_r10", "the same: R@10", 0.88),
    Target("retrieval", "human_caption_r1", "human speech, single short phrases in 800: R@1", 0.50),
    Target("retrieval", "human_caption_r10", "the same: R@10", 0.80),
    Target(
        "retrieval",
        "neural_caption_r10",
        "R@10 against the cascade's on the same clips, neural voices",
        0.6,
        over="neural_caption_r10_cascade",
    ),
    Target("retrieval", "human_caption_r10", "the same, human speech", 0.6, over="human_caption_r10_cascade"),
    Target(
        "robustness",
        "neural_noise_0_dB_r10",
        "the same, neural voices at 0 dB noise",
        0.6,
        over="neural_noise_0_dB_r10_cascade",
    ),
    Target("passages", "synthetic_topic_top10", "topic of a passage (17 s on average), top 10, synthetic voices", 0.5),
    Target("passages", "neural_topic_top10", "the same, neural voices", 0.5),
    Target(
        "latency",
        "understanding_share_of_cascade_crop",
        "understanding time against the cascade's, on the same crop",
        1 / 3,
        at_most=True,
    ),
    Target(
        "latency",
        "understanding_share_of_cascade_published",
        "the same, Whisper padded to 30 s as published",
        1 / 3,
        at_most=True,
    ),
    Target("composition", "references_object", "composition, unseen combinations: object", 0.75),
    Target("composition", "references_setting", "the same: setting", 0.90),
    Target("composition", "references_colour", "the same: colour", 0.60),
    Target("composition", "references_number", "the same: number", 0.60),
    Target("composition", "references_relation", "the same: relation", 0.50),
    Target("latency", "speech_to_picture_s", "speech of 5 s → picture on 2 cores, seconds", 1.0, at_most=True),
)


def compare(parts: Mapping[str, Mapping[str, Any]]) -> list[Comparison]:
    """Every target beside the figure of its part, as a result file has them."""
    found = []
    for target in TARGETS:
        figures: Mapping[str, Any] = parts.get(target.part, {}).get("figures", {})
        value = figures.get(target.name)
        figure = Figure(**value) if value else None
        if figure and target.over:
            peer = figures[target.over]["value"]
            figure = Figure(figure.value / peer, figure.n, figure.low / peer, figure.high / peer) if peer else None
        found.append(Comparison(target, figure))
    return found
