"""Scenes on lectures with known changes of topic: boundary F1 within 3 s, beside a fixed window and the pauses alone.

The lectures of `scripts/` are composed and spoken (see `lectures.py`; needs the `train` extra), cut into utterances,
embedded by the shipped model and planned with the default settings: by the things that are named, and beside it by
sentences alone. A boundary counts as right when a change of topic
lies within 3 s of it, each change once. The window's length is the one that is best on the `dev` lectures; everything
is reported on the `test` lectures. `words_cut` counts words that an edge of a segment falls into, in speech without a
pause, made of single words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from s2i_core import steps
from s2i_core.audio.features import log_mel
from s2i_core.audio.listen import Utterance
from s2i_core.audio.vad import segment
from s2i_core.config import AudioConfig, RunConfig, SceneConfig
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.records import Gap, Segment
from s2i_core.scenes import Embedded, plan_scenes
from s2i_core.weights import least_confidence, least_heard
from tests.bench.lectures import RATE_HZ, SCRIPTS, Lecture, lectures, said
from tests.bench.results import Options

TOLERANCE_S = 3.0
WINDOWS_S = np.arange(6.0, 30.5, 0.5)
_BATCH = 4


@dataclass(frozen=True)
class Heard:
    """A lecture as the planner gets it."""

    lecture: Lecture
    utterances: list[Embedded]
    gaps: list[Gap]


Planner = Callable[[Heard], Sequence[float]]


def run(options: Options) -> dict[str, Any]:
    """Figures: F1, precision and recall of the planner and the baselines, by manner of pausing too."""
    pipeline = SpeechToImagePipeline.from_pretrained()
    torch.set_num_threads(1)
    heard = [_hear(lecture, pipeline) for lecture in lectures()]
    test = [each for each in heard if each.lecture.split == "test"]
    dev = [each for each in heard if each.lecture.split == "dev"]
    window_s = max(WINDOWS_S, key=lambda length_s: _score(_windows(length_s), dev)["f1"])
    planners: dict[str, Planner] = {
        "scenes": _planned(SceneConfig()),
        "scenes_by_sentences": _planned(SceneConfig(precision=None)),
        "fixed_window": _windows(float(window_s)),
        "scenes_without_pauses": _planned(SceneConfig(pause_gain=0)),
        "scenes_without_speech_content": lambda each: _planned(SceneConfig(precision=None))(_mute(each)),
    }
    table = {name: _score(planner, test) for name, planner in planners.items()}
    manners = sorted({each.lecture.pauses for each in test})
    return {
        "f1": table["scenes"]["f1"],
        "f1_over_sentences": round(table["scenes"]["f1"] - table["scenes_by_sentences"]["f1"], 3),
        "f1_over_fixed_window": round(table["scenes"]["f1"] - table["fixed_window"]["f1"], 3),
        "test": table,
        "test_by_pauses": {
            manner: {
                name: _score(planner, [each for each in test if each.lecture.pauses == manner])["f1"]
                for name, planner in planners.items()
            }
            for manner in manners
        },
        "dev": {name: _score(planner, dev) for name, planner in planners.items()},
        "fixed_window_s": float(window_s),
        "same_topic_cosine": _cosine(test, same=True),
        "other_topic_cosine": _cosine(test, same=False),
        "words_cut": _words_cut(),
        "lectures": {"test": len(test), "dev": len(dev)},
        "topics": sum(len(each.lecture.changes_s) + 1 for each in test),
        "model_digest": pipeline.model_digest,
    }


def _hear(lecture: Lecture, pipeline: SpeechToImagePipeline) -> Heard:
    parts = list(segment([lecture.sound], AudioConfig()))
    segments = [part for part in parts if isinstance(part, Segment)]
    utterances: list[Embedded] = []
    for start in range(0, len(segments), _BATCH):
        batch = segments[start : start + _BATCH]
        features = [log_mel(each.waveform) for each in batch]
        heard = [Utterance(each.start_s, each.end_s, one, 0.0) for each, one in zip(batch, features, strict=True)]
        utterances += steps.embed(heard, pipeline.model, least_heard(_run(SceneConfig())))
    return Heard(lecture, utterances, [part for part in parts if isinstance(part, Gap)])


def _planned(config: SceneConfig) -> Planner:
    def boundaries(heard: Heard) -> list[float]:
        scenes = plan_scenes(
            heard.utterances,
            heard.gaps,
            config,
            recording_id="r" * 32,
            model_digest="m",
            plan_digest="p",
            run_id="bench",
            least=least_confidence(_run(config)),
        )
        return [scene.start_s for scene in scenes[1:]]

    return boundaries


def _run(scenes: SceneConfig) -> RunConfig:
    return RunConfig(name="bench", scenes=scenes)


def _windows(length_s: float) -> Planner:
    return lambda heard: np.arange(length_s, heard.lecture.duration_s, length_s).tolist()


def _mute(heard: Heard) -> Heard:
    """The same utterances, each in a direction of its own: what is said counts for nothing."""
    directions = np.eye(len(heard.utterances), dtype=np.float32)
    utterances = [
        Embedded(each.start_s, each.end_s, each.tokens, direction, each.confidence, each.speech_share)
        for each, direction in zip(heard.utterances, directions, strict=True)
    ]
    return Heard(heard.lecture, utterances, heard.gaps)


def _score(planner: Planner, heard: Sequence[Heard]) -> dict[str, float]:
    right = found = wanted = 0
    for each in heard:
        boundaries, changes = planner(each), each.lecture.changes_s
        found, wanted = found + len(boundaries), wanted + len(changes)
        right += _matched(boundaries, changes)
    return {
        "f1": round(2 * right / max(1, found + wanted), 3),
        "precision": round(right / max(1, found), 3),
        "recall": round(right / max(1, wanted), 3),
    }


def _matched(boundaries: Sequence[float], changes: Sequence[float]) -> int:
    """Pairs within the tolerance, the nearest first, each boundary and each change once."""
    pairs = sorted(
        (abs(boundary - change), i, j)
        for i, boundary in enumerate(boundaries)
        for j, change in enumerate(changes)
        if abs(boundary - change) <= TOLERANCE_S
    )
    used_boundaries: set[int] = set()
    used_changes: set[int] = set()
    for _, i, j in pairs:
        if i not in used_boundaries and j not in used_changes:
            used_boundaries.add(i)
            used_changes.add(j)
    return len(used_changes)


def _cosine(heard: Sequence[Heard], *, same: bool) -> float:
    """Mean over pairs of utterances at most four apart, of the same topic or of different ones."""
    cosines = []
    for each in heard:
        topics = [_topic(each.lecture, utterance) for utterance in each.utterances]
        for i, one in enumerate(each.utterances):
            for j in range(max(0, i - 4), i):
                if (topics[i] == topics[j]) is same:
                    cosines.append(float(one.pooled @ each.utterances[j].pooled))
    return round(float(np.mean(cosines)), 3)


def _topic(lecture: Lecture, utterance: Embedded) -> str:
    middle_s = (utterance.start_s + utterance.end_s) / 2
    return min(lecture.sentences, key=lambda each: abs((each.start_s + each.end_s) / 2 - middle_s)).topic


def _words_cut() -> dict[str, int]:
    """Words said one by one with hardly a gap, for a minute, so that segments have to be cut within speech."""
    script = (SCRIPTS / "test-science-hour.toml").read_text()
    words = [word.strip('".,') for line in script.splitlines() if line.startswith('  "') for word in line.split()]
    random = np.random.default_rng(0)
    pieces, edges = [], []
    at = 0
    for word in words[:180]:
        spoken = said("espeak:en+paul", word)
        gap = np.zeros(round(random.uniform(0.04, 0.12) * RATE_HZ), np.float32)
        edges.append((at / RATE_HZ, (at + len(spoken)) / RATE_HZ))
        pieces += [spoken, gap]
        at += len(spoken) + len(gap)
    segments = [part for part in segment([np.concatenate(pieces)], AudioConfig()) if isinstance(part, Segment)]
    cuts = [edge for each in segments for edge in (each.start_s, each.end_s)]
    # The ends of a word have 50 ms of near silence as margin.
    cut = sum(any(start + 0.05 < edge < end - 0.05 for edge in cuts) for start, end in edges)
    return {"words": len(edges), "cuts": len(segments) - 1, "words_cut": cut}
