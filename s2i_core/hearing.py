"""Hearing single things in talk, with their times: windows of a second or less, moved over an utterance's frames.

The encoder runs once over a recording, in crops that overlap; a window is a slice of its frames. One window holds a
word or two, so its vector is that of a thing and not, as a whole sentence's is, something between several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.errors import ModelError
from s2i_core.models.contracts import F16, ThingHearer
from s2i_core.models.speech.grounding import Grounding, Vocabulary
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.records import SpeechEmbedding, Thing

FRAMES_HZ = 25
CROP_S = 13.0
"""With the second of silence that follows a clip, this is as long as the features are padded to."""
OVERLAP_S = 1.0
"""What a crop shares with each of its neighbours: at its ends the encoder has no context."""
WIDTHS_S = (0.56, 0.8, 1.2)
HOP_S = 0.12
_APART_S = 0.4
"""Two things are said at least so far apart; of two that seem to be nearer, the surer one is meant."""
_AGAIN_S = 1.0
"""The same thing so soon after is the same mention."""
_NEAR_S = 0.3
"""How far from its middle windows of all widths are asked whether they hear a thing, too."""
_LEAST_SHARE = 0.02
_ENCODE_CROPS = 8
_WINDOWS = 256


@torch.inference_mode()
def frames_of(encoder: SpeechEncoder, waveform: NDArray[np.float32]) -> torch.Tensor:
    """The frames `(T, D)` of a recording of any length, at 25 Hz: each of its moments is encoded once with context.

    Args:
        encoder: of speech.
        waveform: `(T,)`, mono at 16 kHz.
    """
    inner_s = CROP_S - 2 * OVERLAP_S
    duration_s = len(waveform) / SAMPLING_RATE_HZ
    starts = np.arange(0.0, max(duration_s, 1 / FRAMES_HZ), inner_s)
    pieces: list[torch.Tensor] = []
    parameter = next(encoder.parameters())
    for first in range(0, len(starts), _ENCODE_CROPS):
        chosen = starts[first : first + _ENCODE_CROPS]
        features = np.stack([log_mel(_crop(waveform, start_s - OVERLAP_S)) for start_s in chosen])
        made = QueryTransformer.halve_rate(encoder(torch.from_numpy(features).to(parameter.device, parameter.dtype)))
        skipped, kept = round(OVERLAP_S * FRAMES_HZ), round(inner_s * FRAMES_HZ)
        pieces += list(made[:, skipped : skipped + kept])
    return torch.cat(pieces)[: max(1, round(duration_s * FRAMES_HZ))]


def _crop(waveform: NDArray[np.float32], start_s: float) -> NDArray[np.float32]:
    """`CROP_S` seconds from there, silent before the beginning and after the end."""
    length, start = round(CROP_S * SAMPLING_RATE_HZ), round(start_s * SAMPLING_RATE_HZ)
    part = waveform[max(0, start) : max(0, start + length)]
    before = max(0, -start)
    return np.pad(part, (before, length - before - len(part)))


def windows(frames: torch.Tensor, width_s: float, hop_s: float = HOP_S) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """Slices of frames `(T, D)`: `(N, W, D)`, and the middle of each in seconds `(N,)`.

    The last frame is repeated where a recording ends before the window does.
    """
    chosen, middles = _slices(len(frames), width_s, hop_s)
    return frames[chosen], middles


def _slices(frames: int, width_s: float, hop_s: float = HOP_S) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """As `windows`, the numbers of the frames `(N, W)`."""
    width = round(width_s * FRAMES_HZ)
    starts = np.round(np.arange(0.0, frames / FRAMES_HZ, hop_s) * FRAMES_HZ).astype(np.int64)
    chosen = torch.from_numpy(starts)[:, None] + torch.arange(width)
    return chosen.clamp(max=frames - 1), (starts + width / 2) / FRAMES_HZ


@torch.inference_mode()
def named(grounding: Grounding, vocabulary: Vocabulary, frames: torch.Tensor, least: float) -> list[Thing]:
    """What is named in a clip, in the order of time from its start.

    Args:
        grounding: what listens.
        vocabulary: what for.
        frames: of the clip at 25 Hz `(T, D)`.
        least: what is less probable is left out.
    """
    things = vocabulary.everything.to(frames.device, frames.dtype)
    read = grounding.read(frames)
    by_width = []
    for width_s in WIDTHS_S:
        chosen, middles = _slices(len(frames), width_s)
        share = torch.cat(
            [
                grounding.logits(grounding.slide(read, some), things).softmax(1)[:, :-1]
                for some in torch.split(chosen.to(frames.device), _WINDOWS)
            ]
        )
        by_width.append((vocabulary.of_titles(share.float().cpu().numpy()), middles))
    found = [
        replace(thing, confidence=float(grounding.confidence(np.array(_agreed(thing, by_width, vocabulary.titles)))))
        for thing in peaks(by_width, vocabulary.titles, _LEAST_SHARE, vocabulary.vectors)
    ]
    return [thing for thing in found if thing.confidence >= least]


def _agreed(
    thing: Thing, by_width: Sequence[tuple[NDArray[np.float32], NDArray[np.float64]]], titles: Sequence[str]
) -> float:
    """The mean over the widths of a thing's best share near its middle.

    What only sounds like a thing ("four" like a door) is heard in the narrowest windows, which hold nothing else.
    """
    own = [place for place, title in enumerate(titles) if title == thing.title]
    middle_s = (thing.start_s + thing.end_s) / 2
    return float(np.mean([s[np.abs(m - middle_s) <= _NEAR_S][:, own].max(initial=0.0) for s, m in by_width]))


def hear(
    encoder: ThingHearer, clips: Sequence[tuple[float, float, F16]], least: float
) -> tuple[SpeechEmbedding, list[list[Thing]]]:
    """The embeddings of clips of a recording, and what is named in each.

    Args:
        encoder: with a grounding.
        clips: start and end in the recording in seconds, and features.
        least: what is less probable is left out.

    Returns:
        The embeddings, and for each clip the things in the order of time, with their times in the recording.
    """
    assert encoder.grounding is not None
    speech, frames = encoder.encode_with_frames([features for _, _, features in clips])
    found = []
    for (start_s, end_s, _), own in zip(clips, frames, strict=True):
        placed = [
            replace(thing, start_s=start_s + thing.start_s, end_s=min(start_s + thing.end_s, end_s))
            for thing in named(*encoder.grounding, own, least)
        ]
        found.append([thing for thing in placed if thing.start_s < thing.end_s])
    return speech, found


def no_grounding(subject: str) -> ModelError:
    """The error of a model that hears no single things."""
    return ModelError(
        subject,
        "it hears whole sentences and no single things: it has no grounding",
        "Use a checkpoint that has one, or train one: python -m s2i_core.training.grounding.",
    )


def titled(things: Sequence[Thing], titles: Sequence[str], vectors: NDArray[np.float32] | None) -> list[Thing]:
    """The things by the names of another library's N entries, whose vectors are `(N, E)`: the nearest one's."""
    if vectors is None or not things:
        return list(things)
    nearest = (np.stack([np.asarray(thing.vector, np.float32) for thing in things]) @ vectors.T).argmax(1)
    return [replace(thing, title=titles[place]) for thing, place in zip(things, nearest, strict=True)]


def peaks(
    by_width: Sequence[tuple[NDArray[np.float32], NDArray[np.float64]]],
    titles: Sequence[str],
    least: float,
    vectors: NDArray[np.float32] | None = None,
) -> list[Thing]:
    """What is named: the strongest windows, none of them beside a stronger one.

    Args:
        by_width: for each width of window, the confidence of each title `(W, N)`, and the middles of the windows.
        titles: of the N things; several may have the same.
        least: what is less sure is left out.
        vectors: of the things `(N, E)`.

    Returns:
        The things in the order of time.
    """
    found: list[tuple[float, float, int, int]] = []
    for width, (confidence, middles) in enumerate(by_width):
        best = confidence.argmax(1)
        sure = confidence[np.arange(len(best)), best]
        found += [
            (float(sure[row]), float(middles[row]), width, int(best[row])) for row in np.flatnonzero(sure >= least)
        ]
    kept: list[Thing] = []
    known: list[tuple[str, float]] = []
    for sure, at_s, width, place in sorted(found, reverse=True):
        title = titles[place]
        if any(abs(at_s - other_s) < (_AGAIN_S if title == other else _APART_S) for other, other_s in known):
            continue
        if any(title == each.title and each.start_s <= at_s <= each.end_s for each in kept):
            continue
        known.append((title, at_s))
        confidence, middles = by_width[width]
        start_s, end_s = _extent(confidence[:, place], middles, at_s)
        for other in (each for each in kept if each.title == title):
            # Two mentions share no moment.
            if other.start_s > at_s:
                end_s = min(end_s, other.start_s)
            else:
                start_s = max(start_s, other.end_s)
        vector = None if vectors is None else vectors[place].astype(np.float16)
        kept.append(Thing(title, start_s, end_s, sure, vector))
    return sorted(kept, key=lambda thing: thing.start_s)


def _extent(confidence: NDArray[np.float32], middles: NDArray[np.float64], at_s: float) -> tuple[float, float]:
    """From where to where a title stays at half of its peak."""
    peak = int(np.abs(middles - at_s).argmin())
    low = np.flatnonzero(confidence < confidence[peak] / 2)
    first = low[low < peak].max(initial=-1) + 1
    last = low[low > peak].min(initial=len(middles)) - 1
    return max(0.0, float(middles[first]) - HOP_S), float(middles[last]) + HOP_S
