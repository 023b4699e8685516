"""Hearing single things in talk, with their times: windows of a second or less, moved over an utterance's frames.

The encoder runs once over a recording, in crops that overlap; a window is a slice of its frames. One window holds a
word or two, so its vector is that of a thing and not, as a whole sentence's is, something between several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.models.speech.grounding import Grounding
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder

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
_ENCODE_CROPS = 8
_WINDOWS = 256
_BLOCK = 60 * FRAMES_HZ
_WIDEST = 2 * FRAMES_HZ


@dataclass(frozen=True)
class Thing:
    """Something that is named in a recording.

    Attributes:
        title: of the library's entry that is nearest.
        start_s, end_s: when it is named.
        confidence: how probable it is that this is named there, 0 to 1.
    """

    title: str
    start_s: float
    end_s: float
    confidence: float


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
    width = round(width_s * FRAMES_HZ)
    padded = torch.cat([frames, frames[-1:].expand(width, -1)])
    starts = np.round(np.arange(0.0, len(frames) / FRAMES_HZ, hop_s) * FRAMES_HZ).astype(np.int64)
    slices = padded[torch.from_numpy(starts)[:, None] + torch.arange(width)]
    return slices, (starts + width / 2) / FRAMES_HZ


@torch.inference_mode()
def shares(
    grounding: Grounding, frames: torch.Tensor, things: torch.Tensor, width_s: float
) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """For each window of frames `(T, D)` the share of each of N things `(N, E)`: `(W, N)`, and the windows' middles."""
    pieces, middles = [], []
    # A block at a time: the windows of an hour overlap in gigabytes.
    for first in range(0, len(frames), _BLOCK):
        slices, middles_s = windows(frames[first : first + _BLOCK + _WIDEST], width_s)
        kept = middles_s < (_BLOCK + slices.shape[1] / 2) / FRAMES_HZ
        pieces += [
            grounding.logits(grounding(part), things).softmax(1)[:, :-1]
            for part in torch.split(slices[torch.from_numpy(kept)], _WINDOWS)
        ]
        middles.append(middles_s[kept] + first / FRAMES_HZ)
    return torch.cat(pieces), np.concatenate(middles)


def peaks(
    by_width: Sequence[tuple[NDArray[np.float32], NDArray[np.float64]]], titles: Sequence[str], least: float
) -> list[Thing]:
    """What is named: the strongest windows, none of them beside a stronger one.

    Args:
        by_width: for each width of window, the confidence of each title `(W, N)`, and the middles of the windows.
        titles: of the N things; several may have the same.
        least: what is less sure is left out.

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
        known.append((title, at_s))
        confidence, middles = by_width[width]
        start_s, end_s = _extent(confidence[:, place], middles, at_s)
        kept.append(Thing(title, start_s, end_s, sure))
    return sorted(kept, key=lambda thing: thing.start_s)


def _extent(confidence: NDArray[np.float32], middles: NDArray[np.float64], at_s: float) -> tuple[float, float]:
    """From where to where a title stays at half of its peak."""
    peak = int(np.abs(middles - at_s).argmin())
    low = np.flatnonzero(confidence < confidence[peak] / 2)
    first = low[low < peak].max(initial=-1) + 1
    last = low[low > peak].min(initial=len(middles)) - 1
    return max(0.0, float(middles[first]) - HOP_S), float(middles[last]) + HOP_S


def hear(
    encoder: SpeechEncoder,
    grounding: Grounding,
    waveform: NDArray[np.float32],
    titles: Sequence[str],
    vectors: NDArray[np.float32],
    least: float = 0.5,
) -> list[Thing]:
    """What is named in a recording, in the order of time.

    Args:
        encoder: of speech.
        grounding: what listens to its frames.
        waveform: `(T,)`, mono at 16 kHz, of any length.
        titles: of the library's N entries.
        vectors: of the same `(N, E)`, unit length.
        least: what is less probable is left out.
    """
    frames = frames_of(encoder, waveform)
    things = torch.from_numpy(vectors).to(frames.device, frames.dtype)
    by_width = []
    for width_s in WIDTHS_S:
        share, middles = shares(grounding, frames, things, width_s)
        by_width.append((grounding.confidence(share.float().cpu().numpy()), middles))
    return peaks(by_width, titles, least)
