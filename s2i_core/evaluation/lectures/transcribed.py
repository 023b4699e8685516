"""The peer: a recogniser's words, and pairs of them, by the text teacher's vectors. Evaluation only.

Whisper tells no times here, so each of its words gets the time of the word that was really said, and a word that it
made up gets that of its neighbours. So in time the peer is as good as it could be.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s2i_core.audio.features import SAMPLING_RATE_HZ, log_mel
from s2i_core.evaluation.cascade import Cascade
from s2i_core.evaluation.lectures.score import Guess
from s2i_core.evaluation.lectures.spoken import Lecture

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_APART_S = 0.4
_AGAIN_S = 1.0
_CLIP_S = 27.0
"""Longer talk is cut in its quietest moment, as a voice activity detection would; a clip has 29 s at most."""
# fmt: off
_LITTLE_WORDS = frozenset([
    "a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "this", "that", "these", "those", "some", "of",
    "to", "in", "on", "at", "by", "for", "with", "from", "and", "or", "but", "so", "is", "was", "are", "were", "be",
    "been", "it", "he", "she", "they", "we", "you", "i", "not", "no", "if", "as", "than", "there", "here", "what",
    "who", "do", "did", "does", "had", "has", "have", "would", "could", "can", "will", "very", "only", "just", "all",
    "up",
])
# fmt: on


def hear(cascade: Cascade, lecture: Lecture, sound: NDArray[np.float32], titles: Sequence[str],
         vectors: NDArray[np.float32]) -> list[Guess]:  # fmt: skip
    """What a cascade makes of a lecture whose sound came through as `sound`.

    Args:
        cascade: recogniser and text teacher.
        lecture: the words that are said in it give those of the transcript their times.
        sound: `(T,)` at 16 kHz.
        titles: of the library.
        vectors: the teacher's of the titles `(N, E)`.
    """
    transcript: list[str] = []
    for clip in _clips(sound):
        transcript += [word.lower() for word in _WORD.findall(cascade.transcripts([log_mel(clip)])[0])]
    times = timed(transcript, lecture.words)
    asked: list[tuple[str, float]] = []
    for place, word in enumerate(transcript):
        if word not in _LITTLE_WORDS:
            asked.append((word, sum(times[place]) / 2))
            if place + 1 < len(transcript) and transcript[place + 1] not in _LITTLE_WORDS:
                asked.append((f"{word} {transcript[place + 1]}", (times[place][0] + times[place + 1][1]) / 2))
    if not asked:
        return []
    cosines = cascade.embed([text for text, _ in asked]) @ vectors.T
    best = cosines.argmax(1)
    heard = [Guess(titles[best[row]], at_s, float(cosines[row, best[row]])) for row, (_, at_s) in enumerate(asked)]
    return distinct(heard)


def distinct(heard: Sequence[Guess]) -> list[Guess]:
    """The surest of what is near to each other in time, as the model's own peaks are."""
    kept: list[Guess] = []
    for one in sorted(heard, key=lambda one: -one.confidence):
        if all(abs(one.at_s - other.at_s) >= (_AGAIN_S if one.title == other.title else _APART_S) for other in kept):
            kept.append(one)
    return kept


def timed(transcript: Sequence[str], words: Sequence[tuple[str, float, float]]) -> list[tuple[float, float]]:
    """The time of each word of a transcript, from those that were said."""
    times: list[tuple[float, float] | None] = [None] * len(transcript)
    matcher = difflib.SequenceMatcher(None, list(transcript), [word for word, _, _ in words], autojunk=False)
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if a == a_end or b == b_end:
            continue
        for place in range(a, a_end):
            # A replaced passage is shared out evenly.
            other = b + (place - a if tag == "equal" else (place - a) * (b_end - b) // (a_end - a))
            times[place] = words[other][1:]
    last = (0.0, 0.0)
    filled = []
    for time in times:
        last = time or (last[1], last[1])
        filled.append(last)
    return filled


def _clips(sound: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Pieces that the recogniser can take, cut where it is quietest in their last third."""
    clips, longest, step = [], round(_CLIP_S * SAMPLING_RATE_HZ), SAMPLING_RATE_HZ // 20
    while len(sound) > longest:
        search = sound[longest * 2 // 3 : longest]
        loudness = np.square(search[: len(search) // step * step].reshape(-1, step)).mean(1)
        # A pause is several steps long.
        smooth = np.convolve(loudness, np.ones(5) / 5, mode="same")
        cut = longest * 2 // 3 + (int(smooth.argmin()) * step + step // 2)
        clips.append(sound[:cut])
        sound = sound[cut:]
    return [*clips, sound]
