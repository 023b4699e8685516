"""Readings: what an utterance may mean where it is not sure what it means, the likeliest first.

`hearing.named` tells the best thing of each moment; here everything that could be named competes, and what is nearly
the same is one reading. So whoever spoke can say which was meant.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from s2i_core.hearing import FRAMES_HZ, HOP_S, WIDTHS_S, windows
from s2i_core.models.contracts import F16, ThingHearer
from s2i_core.models.speech.grounding import Grounding, Vocabulary
from s2i_core.records import Thing

SAME = 0.8
"""Cosine above which two things are one to the eye: a prince and a princess are no choice."""
_WHOLE = 4.0
"""Weight of the cosine to the utterance as a whole, beside the logarithm of the share that the windows of its words
give. Any from 2 to 16 has as many recorded names of things among the first three; without, fewer come first."""
_LEAST_SHARE = 1e-6


@torch.inference_mode()
def readings(
    encoder: ThingHearer,
    features: Sequence[F16],
    most: int,
    *,
    first: Sequence[str] = (),
    without: Sequence[str] = (),
) -> list[Thing]:
    """What utterances may mean: up to `most` things that a picture can show, no two of them nearly the same.

    Args:
        encoder: with a grounding.
        features: of the utterances, as its frontend gave them.
        most: how many are wanted.
        first: titles that come before all others; those that the vocabulary lacks are passed over.
        without: titles that were not meant, nor anything like them.

    Returns:
        The things, the likeliest first. Their confidence is the share that their best windows have, on the mean over
        the widths: it is not calibrated. Times are in the utterance that names them.
    """
    assert encoder.grounding is not None
    grounding, vocabulary = encoder.grounding
    speech, frames = encoder.encode_with_frames(features)
    pooled = speech.pooled.float().cpu().numpy()
    ranks, shares, middles_s = zip(
        *(_ranked(grounding, vocabulary, own, whole) for own, whole in zip(frames, pooled, strict=True)), strict=True
    )
    rank = np.max(ranks, axis=0)
    spoken = np.argmax(ranks, axis=0)
    order = np.argsort(-rank, kind="stable")
    titles = list(vocabulary.titles)
    barred = [place for place, title in enumerate(titles) if title in without]
    kept: list[int] = []
    for place in itertools.chain((titles.index(title) for title in first if title in titles), order.tolist()):
        if len(kept) == most:
            break
        if not any(_same(vocabulary, place, other) for other in (*kept, *barred)):
            kept.append(place)
    things = []
    for place in kept:
        own = int(spoken[place])
        middle_s, end_s = float(middles_s[own][place]), len(frames[own]) / FRAMES_HZ
        start_s = max(0.0, min(middle_s, end_s) - HOP_S)
        vector = vocabulary.vectors[place].astype(np.float16)
        share = float(shares[own][place])
        things.append(Thing(titles[place], start_s, start_s + 2 * HOP_S, share, vector))
    return things


def _same(vocabulary: Vocabulary, one: int, other: int) -> bool:
    same_title = vocabulary.titles[one] == vocabulary.titles[other]
    return same_title or float(vocabulary.vectors[one] @ vocabulary.vectors[other]) > SAME


def _ranked(
    grounding: Grounding, vocabulary: Vocabulary, frames: torch.Tensor, whole: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of an utterance with frames `(T, D)` and vector `(E,)`: each title's rank, share and middle in seconds."""
    things = vocabulary.everything.to(frames.device, frames.dtype)
    best, at_s = [], []
    for width_s in WIDTHS_S:
        cut, middles = windows(frames, width_s)
        share = grounding.logits(grounding(cut), things).softmax(1)[:, :-1]
        own = vocabulary.of_titles(share.float().cpu().numpy())
        best.append(own.max(0))
        at_s.append(middles[own.argmax(0)])
    shares = np.stack(best).astype(np.float64).mean(0)
    rank = np.log(shares + _LEAST_SHARE) + _WHOLE * (vocabulary.vectors @ whole)
    return rank, shares, np.median(np.stack(at_s), axis=0)
