"""Words that sound nearly alike: an owl and a howl, a ship and a sheep, and a cat in a caterpillar.

How far two words are apart is the cheapest edit of the phonemes of one into those of the other (Levenshtein 1966),
where a vowel for a vowel, or a consonant for one that is made at the same place, costs half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

_VOWELS = frozenset("aeiouæɐɑɒɔəɚɛɜɝɪʊʌᵻyøœ")
#: Consonants that differ in voice or manner alone.
_KIN = ("pbm", "tdn", "kɡŋ", "fvw", "θð", "szʃʒ", "lɹɫ")
_KIN_COST = 0.5
_FEWEST = 2
"""A word of fewer phonemes is near too many others."""
_WHOLE = 3
"""Phonemes of a word, at least, that is heard in a longer one."""
_LONGER = 3
"""Phonemes that what sounds alike may have more, at most."""
_INFLECTION = 3
"""Letters that another form of a word may have more than it."""


def neighbours(
    words: Sequence[str], among: Sequence[str], spell: Callable[[str], str], count: int
) -> dict[str, list[str]]:
    """For each of `words`, of `among` the `count` that sound most like it, and as many at most in which it is heard.

    Args:
        words: for whom; one of a single phoneme gets none.
        among: who may be one; what sounds the same is none, nor another form of a word ("books"), nor
            what is called by it ("goldfish").
        spell: gives the phonemes of a word, in the International Phonetic Alphabet.
        count: how many of each.
    """
    spelled = [_phonemes(spell(word)) for word in among]
    kept = [place for place, phonemes in enumerate(spelled) if len(phonemes) >= _FEWEST]
    among, spelled = [among[place] for place in kept], [spelled[place] for place in kept]
    alphabet = {phoneme: number for number, phoneme in enumerate(sorted(set("".join(spelled))), 1)}
    lengths = np.array([len(phonemes) for phonemes in spelled])
    codes = np.zeros((max(lengths, default=0), len(spelled)), np.int64)
    for place, phonemes in enumerate(spelled):
        codes[: len(phonemes), place] = [alphabet[phoneme] for phoneme in phonemes]
    found: dict[str, list[str]] = {}
    for word in words:
        own = _phonemes(spell(word))
        if len(own) < _FEWEST:
            continue
        near = np.flatnonzero(lengths <= len(own) + _LONGER)
        away = _distances(codes[: len(own) + _LONGER, near], lengths[near], _costs(own, alphabet))
        # What sounds the same is told apart by what is talked about, if at all.
        order = (among[place] for place in near[np.argsort(away, kind="stable")][np.count_nonzero(away == 0) :])
        alike = list(islice((other for other in order if not _is_kin(word, other)), count))
        whole = [
            other for other, sounds in zip(among, spelled, strict=True) if own in sounds != own and len(own) >= _WHOLE
        ]
        around = sorted((other for other in whole if not _is_kin(word, other)), key=len)
        found[word] = list(dict.fromkeys(alike + around[:count]))
    return found


def _phonemes(spelled: str) -> str:
    """Without stress, length and spaces; the flap in "water" is a t."""
    return "".join(sound for sound in spelled if sound.isalpha() and sound not in "ˈˌː").replace("ɾ", "t")


def _costs(phonemes: str, alphabet: dict[str, int]) -> NDArray[np.float32]:
    """What it costs to say a phoneme of the alphabet for each of a word: `(len(phonemes), len(alphabet) + 1)`."""
    costs = np.ones((len(phonemes), len(alphabet) + 1), np.float32)
    for row, own in enumerate(phonemes):
        for other, column in alphabet.items():
            if own == other:
                costs[row, column] = 0.0
            elif {own, other} <= _VOWELS or any(own in kin and other in kin for kin in _KIN):
                costs[row, column] = _KIN_COST
    return costs


def _distances(codes: NDArray[np.int64], lengths: NDArray[np.int64], costs: NDArray[np.float32]) -> NDArray[np.float32]:
    """From one word to each of N others, whose phonemes are `codes` `(L, N)`, as a share of the longer one's length."""
    longest, count = codes.shape
    edits = np.repeat(np.arange(longest + 1, dtype=np.float32)[:, None], count, axis=1)
    for row in range(1, len(costs) + 1):
        said = edits[:-1] + costs[row - 1][codes]
        diagonal, edits[0] = np.minimum(said, edits[1:] + 1), row
        for column in range(longest):
            np.minimum(diagonal[column], edits[column] + 1, out=edits[column + 1])
    return np.asarray(edits[lengths, np.arange(count)] / np.maximum(lengths, len(costs)), np.float32)


def _is_kin(word: str, other: str) -> bool:
    """Whether one is the other in another form, or called by its name."""
    short, long = sorted((word, other), key=len)
    inflected = len(short) >= _WHOLE and long.startswith(short) and len(long) - len(short) <= _INFLECTION
    return short == long or inflected or (len(short) >= _WHOLE and long.endswith(short) and len(long) > len(short) + 2)
