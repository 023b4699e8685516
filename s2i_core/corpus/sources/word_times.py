"""When each word of a text is heard, out of what a synthesiser knows: the lengths of its phonemes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Waveform = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TimedWord:
    """A word of a text and when it is heard.

    Attributes:
        start, end: its place in the text, as of a slice.
        start_s, end_s: its time in the waveform.
    """

    start: int
    end: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Spoken:
    """What a voice made of a text.

    Attributes:
        waveform: `(T,)`, float32 in [-1, 1].
        rate_hz: its sampling rate.
        words: in the order of the text; a word that the voice swallows is missing.
    """

    waveform: Waveform
    rate_hz: int
    words: tuple[TimedWord, ...]


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def timed_words(
    text: str, phonemes: str, times: Sequence[tuple[float, float]], spell: Callable[[str], str]
) -> tuple[TimedWord, ...]:
    """The words of a text by the times of its phonemes, one a character.

    Phonemes of a sentence don't tell which word they are of: "of the" is said in one, "1984" in four. So each word is
    turned into phonemes alone, and both strings are aligned with the fewest edits (Levenshtein).

    Args:
        text: what is said.
        phonemes: of the text, with spaces and stops.
        times: from when to when each phoneme is heard, in seconds.
        spell: gives the phonemes of a single word.
    """
    places = [place for place, phoneme in enumerate(phonemes) if phoneme.isalpha()]
    words = list(_WORD.finditer(text))
    alone: list[str] = []
    owners: list[int] = []
    for number, word in enumerate(words):
        sounds = [phoneme for phoneme in spell(word[0]) if phoneme.isalpha()]
        alone += sounds
        owners += [number] * len(sounds)
    bounds: dict[int, tuple[float, float]] = {}
    for row, column in aligned(alone, [phonemes[place] for place in places]):
        start_s, end_s = times[places[column]]
        before = bounds.get(owners[row], (start_s, end_s))
        bounds[owners[row]] = (min(before[0], start_s), max(before[1], end_s))
    return tuple(TimedWord(*words[number].span(), *bounds[number]) for number in sorted(bounds))


def aligned(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places in `a` and `b` that the cheapest edit of one into the other sets against each other."""
    costs = np.zeros((len(a) + 1, len(b) + 1), np.int32)
    costs[:, 0], costs[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    same = np.array([*a], dtype=object)[:, None] == np.array([*b], dtype=object)[None]
    columns = np.arange(len(b) + 1)
    for row in range(1, len(a) + 1):
        best = np.minimum(costs[row - 1, 1:] + 1, costs[row - 1, :-1] + ~same[row - 1])
        # An insertion costs one a column: the running minimum of what is left when that is taken away.
        costs[row] = np.minimum.accumulate(np.concatenate([[row], best]) - columns) + columns
    pairs, row, column = [], len(a), len(b)
    while row and column:
        if costs[row, column] == costs[row - 1, column - 1] + (not same[row - 1, column - 1]):
            row, column = row - 1, column - 1
            pairs.append((row, column))
        elif costs[row, column] == costs[row - 1, column] + 1:
            row -= 1
        else:
            column -= 1
    return pairs[::-1]


def with_output(model: bytes, name: str) -> bytes:
    """An ONNX model that also returns an inner value.

    Protocol buffers that stand one after the other are read as one message, in which lists are joined; so the new
    output follows as a model of its own (field 7, the graph, with field 12, an output, with field 1, its name).
    """

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    return model + field(7, field(12, field(1, name.encode())))
