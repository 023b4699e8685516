"""Utterances over time → scenes: where what is said changes, the picture changes.

The cuts are optimal change points, found by dynamic programming (Jackson et al., "An algorithm for optimal partitioning
of data on an interval", 2005). The cost of a scene is how far its utterances are from their common direction,

    sum over its utterances of  duration_s * (1 - cosine(utterance, mean of the scene))  +  change_cost,

and the sum over all scenes is the least possible. With vectors of unit length the first term is `D - |S|`, D the
scene's seconds of speech and S the sum of `duration_s * vector`: prefix sums give the cost of any scene at once.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2i_core import identity
from s2i_core.config import SceneConfig
from s2i_core.records import Gap, Scene, Skip, Status, now

_SAME_TIME_S = 1e-6
_SHORTFALL_COST = 1e6
"""Of a second that a scene lacks to `min_s`: outweighs any distance, yet never leaves no way at all."""


@dataclass(frozen=True)
class Embedded:
    """An utterance as the model sees it.

    Attributes:
        start_s: start in the recording.
        end_s: end in the recording.
        tokens: condition tokens, float16 `(K, C)`.
        pooled: float32 `(E,)`, L2-normalised.
        confidence: cosine to the nearest image of the library.
        speech_share: share of the encoder's input that is speech, 0 to 1.
    """

    start_s: float
    end_s: float
    tokens: NDArray[np.float16]
    pooled: NDArray[np.float32]
    confidence: float
    speech_share: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class _Part:
    """A part of the recording: one scene of talk, or a long gap with its reason."""

    start_s: float
    end_s: float
    utterances: Sequence[Embedded] = ()
    reason: Skip | None = None


def plan_scenes(
    utterances: Sequence[Embedded],
    gaps: Sequence[Gap],
    config: SceneConfig,
    *,
    recording_id: str,
    model_digest: str,
    plan_digest: str,
    run_id: str,
) -> list[Scene]:
    """The scenes of a recording, in order, without holes or overlap.

    A scene begins with the first word of its first utterance and lasts until the next begins. It is made of whole
    utterances, is at most `max_s` long unless one utterance alone is longer, and at least `min_s` wherever the talk
    between two long gaps allows it. Its picture is made from its focus, the utterance of the highest confidence. Scenes
    below `min_confidence` and gaps of `gap_s` or more are rows with status `skipped`.

    Args:
        utterances: in order, without overlap.
        gaps: in order; with the utterances they cover the recording.
        config: lengths and costs.
        recording_id: of the recording that all rows name.
        model_digest: of the model that embedded the utterances.
        plan_digest: of the settings.
        run_id: of the run that plans.
    """
    created_at = now()
    scenes: list[Scene] = []
    for part in _parts(utterances, gaps, config):
        focus = max(part.utterances, key=lambda utterance: utterance.confidence, default=None)
        reason = part.reason
        if focus is not None and focus.confidence < config.min_confidence:
            reason = Skip.BELOW_CONFIDENCE
        start_ms, end_ms = round(part.start_s * 1000), round(part.end_s * 1000)
        scenes.append(
            Scene(
                scene_id=identity.scene_id(recording_id, start_ms, end_ms, model_digest, plan_digest),
                recording_id=recording_id,
                index=len(scenes),
                start_s=part.start_s,
                end_s=part.end_s,
                focus_start_s=focus.start_s if focus else part.start_s,
                focus_end_s=focus.end_s if focus else part.start_s,
                status=Status.SKIPPED.value if reason else Status.OK.value,
                reason=reason.value if reason else None,
                confidence=focus.confidence if focus else 0.0,
                speech_share=focus.speech_share if focus else 0.0,
                pooled=_direction(part.utterances).tolist() if focus else [],
                focus_pooled=focus.pooled.astype("<f2").tobytes() if focus else b"",
                focus_tokens=focus.tokens.astype("<f2").tobytes() if focus else b"",
                model_digest=model_digest,
                plan_digest=plan_digest,
                run_id=run_id,
                created_at=created_at,
            )
        )
    return scenes


def _parts(utterances: Sequence[Embedded], gaps: Sequence[Gap], config: SceneConfig) -> list[_Part]:
    """Scenes and long gaps, in order; short gaps belong to the talk around them."""
    starts_s = [utterance.start_s for utterance in utterances]
    ends_s = [utterance.end_s for utterance in utterances[-1:]] + [gap.end_s for gap in gaps[-1:]]
    end_s = max(ends_s, default=0.0)
    parts: list[_Part] = []
    talk_from_s, first = 0.0, 0
    for run in [*_long_runs(gaps, config.gap_s if utterances else 0.0), []]:
        talk_to_s = run[0].start_s if run else end_s
        last = bisect.bisect_left(starts_s, talk_to_s)
        if first < last:
            parts += _divide(talk_from_s, talk_to_s, utterances[first:last], config)
        parts += [_Part(gap.start_s, gap.end_s, reason=gap.kind) for gap in run]
        if run:
            talk_from_s, first = run[-1].end_s, last
    return parts


def _long_runs(gaps: Sequence[Gap], shortest_s: float) -> list[list[Gap]]:
    """Gaps that touch, such as music and then silence, taken together where they reach `shortest_s`."""
    runs: list[list[Gap]] = []
    for gap in gaps:
        if runs and abs(gap.start_s - runs[-1][-1].end_s) < _SAME_TIME_S:
            runs[-1].append(gap)
        else:
            runs.append([gap])
    return [run for run in runs if run[-1].end_s - run[0].start_s >= shortest_s]


def _divide(start_s: float, end_s: float, utterances: Sequence[Embedded], config: SceneConfig) -> list[_Part]:
    """Scenes that cover the talk between two long gaps, at the least cost."""
    count = len(utterances)
    edges_s = np.array([start_s, *(utterance.start_s for utterance in utterances[1:]), end_s])
    duration_s = np.array([utterance.duration_s for utterance in utterances])
    weighted = duration_s[:, None] * np.stack([utterance.pooled for utterance in utterances]).astype(np.float64)
    speech_s = np.concatenate([[0.0], np.cumsum(duration_s)])
    summed = np.concatenate([np.zeros((1, weighted.shape[1])), np.cumsum(weighted, axis=0)])
    earliest = np.searchsorted(edges_s, edges_s - config.max_s - _SAME_TIME_S)

    least = np.zeros(count + 1)
    begin = np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        begins = np.arange(min(earliest[end], end - 1), end)
        spread = (speech_s[end] - speech_s[begins]) - np.linalg.norm(summed[end] - summed[begins], axis=1)
        shortfall_s = np.maximum(config.min_s - (edges_s[end] - edges_s[begins]), 0.0)
        cost = least[begins] + spread + config.change_cost + _SHORTFALL_COST * shortfall_s
        least[end], begin[end] = cost.min(), begins[cost.argmin()]

    parts: list[_Part] = []
    end = count
    while end > 0:
        first = int(begin[end])
        parts.append(_Part(float(edges_s[first]), float(edges_s[end]), utterances[first:end]))
        end = first
    return parts[::-1]


def _direction(utterances: Sequence[Embedded]) -> NDArray[np.float32]:
    """Mean of the utterances' vectors by their duration, L2-normalised `(E,)`; of opposed ones, the first."""
    total = np.sum([utterance.duration_s * utterance.pooled for utterance in utterances], axis=0, dtype=np.float64)
    length = float(np.linalg.norm(total))
    return np.asarray(total / length if length > 1e-9 else utterances[0].pooled, dtype=np.float32)
