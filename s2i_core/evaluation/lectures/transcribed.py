"""The peer: a recogniser's words, and pairs of them, by the text teacher's vectors. Evaluation only.

Whisper tells no times here, so each of its words gets the time of the word that was really said, and a word that it
made up gets that of its neighbours. So in time the peer is as good as it could be.
"""

from __future__ import annotations

import difflib
import itertools
import re
import time
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
        lecture: the words that are said in it give those of the transcript their times; where it has none, they are
            spread evenly.
        sound: `(T,)` at 16 kHz.
        titles: of the library.
        vectors: the teacher's of the titles `(N, E)`.
    """
    transcript: list[str] = []
    for clip in _clips(sound):
        transcript += _words(cascade.transcripts([log_mel(clip)])[0])
    if lecture.words:
        times = timed(transcript, lecture.words)
    else:
        edges = np.linspace(0, len(sound) / SAMPLING_RATE_HZ, len(transcript) + 1).tolist()
        times = list(itertools.pairwise(edges))
    asked = _asked(transcript)
    if not asked:
        return []
    cosines = cascade.embed([text for text, _, _ in asked]) @ vectors.T
    best = cosines.argmax(1)
    heard = [
        Guess(titles[best[row]], (times[first][0] + times[last][1]) / 2, float(cosines[row, best[row]]))
        for row, (_, first, last) in enumerate(asked)
    ]
    return distinct(heard)


def cost_s(cascade: Cascade, sound: NDArray[np.float32]) -> float:
    """Seconds of CPU that a cascade takes to read a sound `(T,)` at 16 kHz, nothing of which it knows."""
    since = time.process_time()
    transcript: list[str] = []
    for clip in _clips(sound):
        transcript += _words(cascade.recognise([log_mel(clip)])[0])
    if asked := _asked(transcript):
        cascade.teacher([text for text, _, _ in asked])
    return time.process_time() - since


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _asked(transcript: Sequence[str]) -> list[tuple[str, int, int]]:
    """Words and pairs of words that may name something, with the places of the first and the last."""
    asked: list[tuple[str, int, int]] = []
    for place, word in enumerate(transcript):
        if word not in _LITTLE_WORDS:
            asked.append((word, place, place))
            if place + 1 < len(transcript) and transcript[place + 1] not in _LITTLE_WORDS:
                asked.append((f"{word} {transcript[place + 1]}", place, place + 1))
    return asked


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
    for known in times:
        last = known or (last[1], last[1])
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
