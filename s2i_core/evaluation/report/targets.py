"""What the model has to reach on a CPU, and how the figures compare."""

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
    Target("retrieval", "neural_caption_r1", "speech → caption in 1,000, neural voices, new phrases: R@1", 0.65),
    Target("retrieval", "neural_caption_r10", "the same: R@10", 0.88),
    Target("retrieval", "human_caption_r1", "human speech, single short phrases in 800: R@1", 0.25),
    Target("retrieval", "human_caption_r10", "the same: R@10", 0.50),
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
    Target("latency", "speech_to_picture_s", "speech of 5 s → picture on 2 cores, seconds", 2.5, at_most=True),
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
