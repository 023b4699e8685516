"""What talk may name: every thing of the library, and some thousand other things that can be seen.

A listener that knows the library's things alone would take every other noun for one of them. So it learns to tell all
of these apart, each by the text teacher's vector of what it is called; which picture comes nearest is asked afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from s2i_core.corpus.sources import wordnet
from s2i_core.english.vocabulary import Concept, Name, english, plural_of

_LONGEST_NAME = 5
BEFORE = 2
"""How many words before a name may hold its determiner: "the old door"."""
# fmt: off
DETERMINERS = frozenset([
    "a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "this", "that", "these", "those", "some",
    "many", "few", "two", "three", "four", "five", "six", "several", "each", "every", "no", "another", "any",
])
# fmt: on
#: Nouns to a dictionary, and hardly ever to a speaker.
_SELDOM_NOUNS = frozenset(["nobody", "somebody", "have", "see", "can", "will", "may", "might", "must", "need", "left"])
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True)
class Nameable:
    """Something that may be named.

    Attributes:
        caption: what the text teacher is asked for: "a dog".
        kind: what it is, by WordNet's broad classes, or, for a thing of the library, by its vocabulary.
        names: what it is called; the first is the plain one.
    """

    caption: str
    kind: str
    names: tuple[Name, ...]


@dataclass(frozen=True)
class Named:
    """A place in a text, as of a slice, where something is named.

    `thing` is None where nobody can tell without understanding the sentence: "they watch the train" and "a watch", "to
    train". Such a place teaches neither that something is named nor that nothing is.
    """

    start: int
    end: int
    thing: int | None


class Lexicon:
    """Things by number, those of the library first, and where texts name them.

    Args:
        concepts: what the library shows.
        others: further nouns with their kind.
    """

    def __init__(self, concepts: Iterable[Concept], others: Mapping[str, str]) -> None:
        self.things = [Nameable(c.names[0].indefinite(), c.category, c.names) for c in concepts]
        self.drawn = len(self.things)
        self._forms: dict[str, int] = {}
        # A plain name goes before another concept's synonym, and a singular before a plural.
        for name_of in (lambda t: t.names[:1], lambda t: t.names[1:]):
            for number, thing in enumerate(self.things):
                for name in name_of(thing):
                    self._forms.setdefault(name.singular, number)
                    if name.plural:
                        self._forms.setdefault(name.plural, number)
        for noun, kind in others.items():
            if noun not in self._forms and noun not in _SELDOM_NOUNS and noun not in wordnet.adverbs():
                number, name = len(self.things), Name(noun, plural_of(noun), "count")
                self.things.append(Nameable(name.indefinite(), kind, (name,)))
                for form in (name.singular, name.plural):
                    self._forms.setdefault(str(form), number)

    def __len__(self) -> int:
        return len(self.things)

    def of(self, words: str) -> int | None:
        """The thing that is called so, in the singular or the plural."""
        return self._forms.get(words.lower())

    def beyond(self, drawn: Collection[str]) -> list[Nameable]:
        """What may be named and is not among these plain names: what a library of them cannot show."""
        return [thing for thing in self.things if not any(name.singular in drawn for name in thing.names)]

    def named_in(self, text: str) -> list[Named]:
        """Where a text names things, the longest name at each place.

        What is not in lower case names none: see `nothing_in`.
        """
        words = [word for word in _WORD.finditer(text) if word[0][0].islower()]
        plain = [word[0].replace("’", "'").removesuffix("'s") for word in words]
        found, start = [], 0
        while start < len(words):
            for end in range(min(start + _LONGEST_NAME, len(words)), start, -1):
                thing = self._forms.get(" ".join(plain[start:end]))
                if thing is not None and not _is_broken(text, words[start:end]):
                    certain = end - start > 1 or self._is_noun(plain, start)
                    found.append(Named(words[start].start(), words[end - 1].end(), thing if certain else None))
                    start = end
                    break
            else:
                start += 1
        return found

    @staticmethod
    def nothing_in(text: str) -> list[tuple[int, int]]:
        """Where words stand that sound like things and name none, as of slices: Mr Fox, the letter B, 8.

        Talk for training is in lower case but for these, which begin with a capital or a digit ("I" aside).
        """
        return [word.span() for word in _WORD.finditer(text) if not word[0][0].islower() and word[0] != "I"]

    def _is_noun(self, words: list[str], place: int) -> bool:
        """Whether the word is a noun for sure: it is nothing else, or a determiner goes before and no noun follows."""
        if wordnet.other_words().isdisjoint(_stems(words[place])):
            return True
        return is_determined(words, place, place + 1)


def is_determined(words: Sequence[str], start: int, end: int, determiners: frozenset[str] = DETERMINERS) -> bool:
    """Whether a determiner goes before these words, and no noun follows, of whose compound they might be a part."""
    following = words[end] if end < len(words) else ""
    compound = following in wordnet.nouns() and following not in wordnet.other_words()
    return not compound and not determiners.isdisjoint(words[max(0, start - BEFORE) : start])


def shipped() -> Lexicon:
    """The things of the shipped library, and WordNet's."""
    return Lexicon(english().concepts.values(), wordnet.concrete_nouns())


def _stems(word: str) -> set[str]:
    return {word, word.removesuffix("s"), word.removesuffix("es")}


def _is_broken(text: str, words: list[re.Match[str]]) -> bool:
    """Whether a stop or a comma stands between the words."""
    return any(not text[a.end() : b.start()].isspace() for a, b in pairwise(words))
