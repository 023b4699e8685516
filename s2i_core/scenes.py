"""Utterances over time → scenes: where what is said changes, the picture changes.

The cuts are optimal change points, found by dynamic programming (Jackson et al., "An algorithm for optimal partitioning
of data on an interval", 2005): the sum over all scenes of

    length_cost * log(length / usual_s) ** 2 + change_cost - likeness_gain * likeness - pause_gain * longer_pause

is the least possible; where things are heard, with a cost for those that a picture has no room for. The likeness of a
scene is the sum over all ordered pairs of its utterances of `duration * duration * cosine`, over its seconds of speech:
how much they say the same. A pair of unlike utterances adds nothing, so that a model that finds no likeness leaves the
decision to the other terms. The pause before a scene counts as the logarithm of its length over the recording's median:
speakers rest longer before a new topic (Swerts, "Prosodic features at discourse boundaries of different strength",
1997). Prefix sums give the cost of any scene at once, and `max_s` bounds the scenes to compare, so that the time grows
with the length of the recording only.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from s2i_core import identity
from s2i_core.config import SceneConfig
from s2i_core.records import NAMED, SHOWN_THINGS, Gap, Scene, Skip, Status, Thing, now

MOST_THINGS = 4
"""In one picture."""
_ALIKE = 0.8
"""Cosine above which two things are one to the eye."""
_CROWDED = 0.5
"""Cost of a thing that a scene names and its picture has no room for."""
_SAME_TIME_S = 1e-6
_HIGHEST_SCENE_COST = 1e4
_STEPS_TO_LIMIT = 8
_PAUSE_BOUND = 1.5
"""Past this, up or down, a pause says no more (logarithm of its ratio to the median)."""
_SHORTEST_PAUSE_S = 0.05
_SHORTFALL_COST = 1e6
"""Of a second that a scene lacks to `min_s`: outweighs any distance, yet never leaves no way at all."""


@dataclass(frozen=True)
class Embedded:
    """An utterance as the model sees it.

    Attributes:
        start_s: start in the recording.
        end_s: end in the recording.
        tokens: condition tokens, float16 `(K, C)`.
        extras: what the encoder says besides, by name, float16 `(K', C)`.
        pooled: float32 `(E,)`, L2-normalised.
        confidence: by the encoder's shared space.
        speech_share: share of the encoder's input that is speech, 0 to 1.
        things: what is named in it and when in the recording, where the model hears that.
    """

    start_s: float
    end_s: float
    tokens: NDArray[np.float16]
    pooled: NDArray[np.float32]
    confidence: float
    speech_share: float
    extras: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)
    things: Sequence[Thing] = ()

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
    least: float | None = None,
    recording_id: str,
    model_digest: str,
    plan_digest: str,
    run_id: str,
) -> list[Scene]:
    """The scenes of a recording, in order, without holes or overlap.

    A scene begins with the first word of its first utterance and lasts until the next begins. It is made of whole
    utterances, is at most `max_s` long unless one utterance alone is longer, and at least `min_s` wherever the talk
    between two long gaps allows it. Where there would be more than `images_per_hour`, scenes get longer, up to `max_s`.
    A picture is made from the focus of its scene, the utterance of the highest confidence. Scenes below
    `min_confidence`, where there is one, and gaps of `gap_s` or more are rows with status `skipped`.

    With `least`, what is named decides instead: a picture shows up to `MOST_THINGS` of the things that its scene names
    so surely, whichever of its utterances names them; the focus is the utterance that names them best, a scene that
    names nothing is skipped, and one that names more than a picture can show costs more.

    Args:
        utterances: in order, without overlap.
        gaps: in order; with the utterances they cover the recording.
        config: lengths and costs.
        least: the confidence from which things are shown; None plans without them.
        recording_id: of the recording that all rows name.
        model_digest: of the model that embedded the utterances.
        plan_digest: of the settings.
        run_id: of the run that plans.
    """
    created_at = now()
    scenes: list[Scene] = []
    if least is not None:
        utterances = [_sure(utterance, least) for utterance in utterances]
    for part in _limited_parts(utterances, gaps, config):
        things = [] if least is None else chosen_things(part.utterances)
        focus = max(part.utterances, key=lambda utterance: _fitness(utterance, things), default=None)
        reason = part.reason
        if focus is not None and _says_nothing(focus, things, config, least):
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
                focus_extras=_extras(focus, things),
                things=None if least is None else [thing.title for thing in things],
                model_digest=model_digest,
                plan_digest=plan_digest,
                run_id=run_id,
                created_at=created_at,
            )
        )
    return scenes


def chosen_things(utterances: Sequence[Embedded]) -> list[Thing]:
    """What a picture of these shows: the surest thing, and of the others those that are named nearest to it in time.

    Of things that are nearly the same, such as a prince and a princess, it is the surer one. In the order of time.
    """
    surest: dict[str, Thing] = {}
    for thing in sorted((each for one in utterances for each in one.things), key=lambda thing: -thing.confidence):
        if not any(_alike(thing, other) for other in surest.values()):
            surest.setdefault(thing.title, thing)
    if not surest:
        return []
    first = next(iter(surest.values()))
    nearest = sorted(surest.values(), key=lambda thing: abs(thing.start_s - first.start_s))
    return sorted(nearest[:MOST_THINGS], key=lambda thing: thing.start_s)


def _alike(one: Thing, other: Thing) -> bool:
    if one.vector is None or other.vector is None:
        return False
    return float(one.vector.astype(np.float32) @ other.vector.astype(np.float32)) > _ALIKE


def _sure(utterance: Embedded, least: float) -> Embedded:
    return replace(utterance, things=[thing for thing in utterance.things if thing.confidence >= least])


def _fitness(utterance: Embedded, things: Sequence[Thing]) -> tuple[float, float]:
    """How well a picture of these things is made from an utterance: by how much of them it names, then by how surely
    it is of something drawable."""
    own = {thing.title for thing in utterance.things}
    return sum(thing.confidence for thing in things if thing.title in own), utterance.confidence


def _says_nothing(focus: Embedded, things: Sequence[Thing], config: SceneConfig, least: float | None) -> bool:
    if least is not None:
        return not things
    return config.min_confidence is not None and focus.confidence < config.min_confidence


def _extras(focus: Embedded | None, things: Sequence[Thing]) -> bytes:
    """What the encoder says of the focus besides, with what its picture is to show."""
    extras: dict[str, NDArray[Any]] = dict(focus.extras) if focus else {}
    if things:
        extras[SHOWN_THINGS] = np.stack([np.asarray(thing.vector, np.float16) for thing in things])
        extras[NAMED] = np.array([(thing.confidence, thing.start_s) for thing in things], np.float32)
    return save(extras) if extras else b""


def _limited_parts(utterances: Sequence[Embedded], gaps: Sequence[Gap], config: SceneConfig) -> list[_Part]:
    """Scenes and long gaps; where there are too many scenes, one more costs just so much that they are few enough."""

    def scenes(parts: list[_Part]) -> int:
        return sum(part.reason is None for part in parts)

    parts = _parts(utterances, gaps, config)
    if config.images_per_hour is None or not parts:
        return parts
    most = max(1, math.floor(config.images_per_hour * parts[-1].end_s / 3600))
    low, high = 0.0, 1.0
    while scenes(parts) > most and high < _HIGHEST_SCENE_COST:
        low, high = high, 4 * high
        parts = _parts(utterances, gaps, config, high)
    for _ in range(_STEPS_TO_LIMIT if low else 0):
        middle = (low + high) / 2
        tried = _parts(utterances, gaps, config, middle)
        if scenes(tried) <= most:
            parts, high = tried, middle
        else:
            low = middle
    return parts


def _parts(
    utterances: Sequence[Embedded], gaps: Sequence[Gap], config: SceneConfig, scene_cost: float = 0.0
) -> list[_Part]:
    """Scenes and long gaps, in order; short gaps belong to the talk around them."""
    longer = _longer_pauses(utterances)
    starts_s = [utterance.start_s for utterance in utterances]
    ends_s = [utterance.end_s for utterance in utterances[-1:]] + [gap.end_s for gap in gaps[-1:]]
    end_s = max(ends_s, default=0.0)
    parts: list[_Part] = []
    talk_from_s, first = 0.0, 0
    for run in [*_long_runs(gaps, config.gap_s if utterances else 0.0), []]:
        talk_to_s = run[0].start_s if run else end_s
        last = bisect.bisect_left(starts_s, talk_to_s)
        if first < last:
            parts += _divide(talk_from_s, talk_to_s, utterances[first:last], longer[first:last], config, scene_cost)
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


def _longer_pauses(utterances: Sequence[Embedded]) -> NDArray[np.float64]:
    """How much longer than usual the pause before each utterance is: logarithm of its ratio to the median `(N,)`."""
    pauses_s = np.array([after.start_s - before.end_s for before, after in itertools.pairwise(utterances)])
    if not len(pauses_s):
        return np.zeros(len(utterances))
    pauses_s = np.maximum(pauses_s, _SHORTEST_PAUSE_S)
    longer = np.log(pauses_s / np.median(pauses_s)).clip(-_PAUSE_BOUND, _PAUSE_BOUND)
    return np.concatenate([[0.0], longer])


def _divide(
    start_s: float,
    end_s: float,
    utterances: Sequence[Embedded],
    longer_pauses: NDArray[np.float64],
    config: SceneConfig,
    scene_cost: float,
) -> list[_Part]:
    """Scenes that cover the talk between two long gaps, at the least cost."""
    count = len(utterances)
    edges_s = np.array([start_s, *(utterance.start_s for utterance in utterances[1:]), end_s])
    duration_s = np.array([utterance.duration_s for utterance in utterances])
    weighted = duration_s[:, None] * np.stack([utterance.pooled for utterance in utterances]).astype(np.float64)
    speech_s, alone = (np.concatenate([[0.0], np.cumsum(values)]) for values in (duration_s, duration_s**2))
    summed = np.concatenate([np.zeros((1, weighted.shape[1])), np.cumsum(weighted, axis=0)])
    earliest = np.searchsorted(edges_s, edges_s - config.max_s - _SAME_TIME_S)
    # What a change saves where it falls; the first scene's start is none.
    saved = config.pause_gain * longer_pauses
    saved[0] = 0.0

    least = np.zeros(count + 1)
    begin = np.zeros(count + 1, dtype=np.int64)
    for end in range(1, count + 1):
        begins = np.arange(min(earliest[end], end - 1), end)
        length_s = edges_s[end] - edges_s[begins]
        pairs = np.square(summed[end] - summed[begins]).sum(axis=1) - (alone[end] - alone[begins])
        likeness = pairs / np.maximum(speech_s[end] - speech_s[begins], _SAME_TIME_S)
        unusual = np.square(np.log(np.maximum(length_s, _SAME_TIME_S) / config.usual_s))
        shortfall_s = np.maximum(config.min_s - length_s, 0.0)
        crowd = _crowds(utterances[begins[0] : end])
        cost = least[begins] + config.length_cost * unusual + config.change_cost + scene_cost
        cost += _CROWDED * crowd + _SHORTFALL_COST * shortfall_s - config.likeness_gain * likeness - saved[begins]
        least[end], begin[end] = cost.min(), begins[cost.argmin()]

    parts: list[_Part] = []
    end = count
    while end > 0:
        first = int(begin[end])
        parts.append(_Part(float(edges_s[first]), float(edges_s[end]), utterances[first:end]))
        end = first
    return parts[::-1]


def _crowds(utterances: Sequence[Embedded]) -> NDArray[np.float64]:
    """How many things more than a picture shows are named from each utterance to the last `(N,)`."""
    named: set[str] = set()
    counts = np.zeros(len(utterances))
    for place in range(len(utterances) - 1, -1, -1):
        named.update(thing.title for thing in utterances[place].things)
        counts[place] = max(0, len(named) - MOST_THINGS)
    return counts


def _direction(utterances: Sequence[Embedded]) -> NDArray[np.float32]:
    """Mean of the utterances' vectors by their duration, L2-normalised `(E,)`; of opposed ones, the first."""
    total = np.sum([utterance.duration_s * utterance.pooled for utterance in utterances], axis=0, dtype=np.float64)
    length = float(np.linalg.norm(total))
    return np.asarray(total / length if length > 1e-9 else utterances[0].pooled, dtype=np.float32)
