"""Sentences that people wrote about something else and that name one thing to draw: the dictionary's example phrases.

Ordinary talk (`talk.py`) has its patterns, and a listener may learn these instead of listening. The example phrases of
a dictionary have none: "he made a break for the open door" holds other nouns, idioms, any order. Most things are named
in few of them or in none; so a phrase is also said with another thing of the same kind in the place of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from s2i_core.corpus.lexicon import BEFORE, DETERMINERS, is_determined
from s2i_core.english.vocabulary import Concept, Name, article

WRAPPED = 1 / 3
"""Share of the sentences that stand between two others that name nothing."""
_LONGEST_NAME = 4
_DETERMINERS = DETERMINERS - {"any"}
_UNCOUNTED = frozenset(["a", "an", "each", "every", "no", "another"])
"""Determiners that do not go with what cannot be counted."""


@dataclass(frozen=True)
class Mention:
    """A phrase with one thing in it.

    Attributes:
        concept: what is named.
        named: as what.
        before, after: the words around it.
        several: whether it is named in the plural.
    """

    concept: str
    before: tuple[str, ...]
    named: str
    after: tuple[str, ...]
    several: bool

    @property
    def text(self) -> str:
        """The phrase as it was."""
        return " ".join((*self.before, self.named, *self.after))

    def about(self, name: Name) -> str | None:
        """The phrase about another thing; None where that is not named in the same number.

        >>> Mention("cat", ("feed", "a"), "cat", ("first",), False).about(Name("owl", "owls", "count"))
        'feed an owl first'
        """
        noun = name.plural or (name.singular if name.is_plural else None) if self.several else name.singular
        counted = not self.several and not _UNCOUNTED.isdisjoint(self.before[-BEFORE:])
        if noun is None or (not self.several and (name.is_plural or (counted and name.number == "mass"))):
            return None
        before = self.before
        if before and before[-1] in {"a", "an"}:
            before = (*before[:-1], article(noun))
        return " ".join((*before, noun, *self.after))


class Mentions:
    """What phrases say about concepts.

    Args:
        phrases: in lower case, without punctuation at the end.
        concepts: those that can be drawn; a phrase that names several of them is left out.
    """

    def __init__(self, phrases: Sequence[str], concepts: Sequence[Concept]) -> None:
        self._forms = _forms(concepts)
        self._concepts = {concept.name: concept for concept in concepts}
        self._of: dict[str, list[Mention]] = {}
        self._kin: dict[str, list[Mention]] = {}
        self._empty: list[str] = []
        for phrase in phrases:
            places = self._named(phrase.split())
            if not places:
                self._empty.append(phrase)
            elif len(places) == 1 and (mention := self._mention(phrase.split(), *places[0])):
                self._of.setdefault(mention.concept, []).append(mention)
                self._kin.setdefault(self._concepts[mention.concept].category, []).append(mention)

    def say(self, concept: str, count: int, rng: np.random.Generator) -> list[str]:
        """At most `count` different sentences that name it: half of them its own, where there are so many."""
        own = [mention.text for mention in self._of.get(concept, ())]
        said = [own[n] for n in rng.permutation(len(own))[: (count + 1) // 2]]
        kin = self._kin.get(self._concepts[concept].category, [])
        names = self._concepts[concept].names
        for n in rng.permutation(len(kin)):
            if len(said) >= count:
                break
            if kin[n].concept != concept:
                text = kin[n].about(names[len(said) // 2 % len(names)])
                said += [text] if text and text not in said else []
        return [self._wrapped(text, rng) for text in said]

    def _wrapped(self, text: str, rng: np.random.Generator) -> str:
        if rng.random() >= WRAPPED or not self._empty:
            return text
        first, last = (self._empty[int(rng.integers(len(self._empty)))] for _ in range(2))
        return f"{first}. {text}. {last}"

    def _named(self, words: Sequence[str]) -> list[tuple[int, int]]:
        """Where names stand in it, start and end, the longest at each place; those of any concept."""
        found, start = [], 0
        while start < len(words):
            ends = range(min(start + _LONGEST_NAME, len(words)), start, -1)
            end = next((end for end in ends if _plain(words[start:end]) in self._forms), 0)
            if end:
                found.append((start, end))
            start = end or start + 1
        return found

    def _mention(self, words: Sequence[str], start: int, end: int) -> Mention | None:
        """None where the name may be a verb ("trains a dog") or part of another noun's ("the train station")."""
        if not is_determined(words, start, end, _DETERMINERS):
            return None
        concept, several = self._forms[_plain(words[start:end])]
        return Mention(concept, tuple(words[:start]), _plain(words[start:end]), tuple(words[end:]), several)


def _plain(words: Sequence[str]) -> str:
    return " ".join(words).removesuffix(",")


def _forms(concepts: Sequence[Concept]) -> Mapping[str, tuple[str, bool]]:
    """Every name in singular and plural with its concept, and whether it is the plural; a plain name goes first."""
    forms: dict[str, tuple[str, bool]] = {}
    ordered = [(concept, name) for concept in concepts for name in concept.names[:1]]
    ordered += [(concept, name) for concept in concepts for name in concept.names[1:]]
    for concept, name in ordered:
        for form, several in ((name.singular, name.is_plural), (name.plural, True)):
            if form:
                forms.setdefault(form, (concept.name, several))
    return forms
