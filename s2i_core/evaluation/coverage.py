"""How many of the nouns that are written most have a picture in a library.

The nouns are WordNet's that name, in their first sense, something to be seen, by how often that sense was tagged in its
corpus; names of single persons and places are none. Many of them nobody can draw all the same ("area", "effect"): what
is reached is told by kind as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from s2i_core.corpus.sources import wordnet
from s2i_core.corpus.teacher import TextTeacher
from s2i_core.english.vocabulary import article, english
from s2i_core.models.speech.grounding import SAME

NOUNS = 2000


@dataclass(frozen=True)
class Reached:
    """Shares of the nouns, each way of reaching a picture beside those before it.

    Attributes:
        nouns: how many were asked for.
        named: by a name of a thing.
        synonyms: or by one that WordNet has for the same.
        near: or by one that means so nearly the same that the listener shows it.
        kinds: the last share by kind, with the number of nouns of it.
        missing: the most frequent nouns that reach none, but for kinds of people.
    """

    nouns: int
    named: float
    synonyms: float
    near: float
    kinds: dict[str, tuple[float, int]]
    missing: tuple[str, ...]


def measure(drawn: Collection[str], count: int = NOUNS, told: int = 100) -> Reached:
    """What of the `count` most frequent nouns a library reaches.

    Args:
        drawn: the plain names of what it shows.
        count: of nouns.
        told: how many of the missing ones are told.

    Raises:
        ConfigError: the training packages are not installed.
    """
    asked = list(wordnet.frequent_nouns(count).items())
    things = [english()[name] for name in sorted(drawn)]
    names = {form for thing in things for each in thing.names for form in (each.singular, each.plural) if form}
    alike = wordnet.synonyms()
    teacher = TextTeacher()
    plain = teacher([thing.names[0].indefinite() for thing in things])
    cosines = teacher([f"{article(noun)} {noun}" for noun, _ in asked]) @ plain.T
    named = np.array([noun in names for noun, _ in asked])
    same = named | np.array([not names.isdisjoint(alike.get(noun, ())) for noun, _ in asked])
    near = same | (cosines.max(1) >= SAME)
    return Reached(
        nouns=len(asked),
        named=float(named.mean()),
        synonyms=float(same.mean()),
        near=float(near.mean()),
        kinds=_by_kind([kind for _, kind in asked], near.tolist()),
        missing=tuple(noun for (noun, kind), has in zip(asked, near, strict=True) if not has and kind != "person")[
            :told
        ],
    )


def _by_kind(kinds: Sequence[str], reached: Sequence[bool]) -> dict[str, tuple[float, int]]:
    asked, found = Counter(kinds), Counter(kind for kind, has in zip(kinds, reached, strict=True) if has)
    return {kind: (round(found[kind] / number, 3), number) for kind, number in asked.most_common()}
