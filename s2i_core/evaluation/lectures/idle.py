"""Talk of development that names nothing, drawn by code: what a confidence must hold for beside the lectures.

Names that are words, letters and numbers, sentences of other languages, laughter, remarks and phrases of a dictionary,
two people at once; by the DEV voices. None of it is what `unnamed` says, which is for reporting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal

import numpy as np

from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.corpus import lexicon
from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.nothing_said import NothingSaid, empty
from s2i_core.evaluation.lectures.passages import Line, Marked, Script, accepted_for, called
from s2i_core.evaluation.lectures.spoken import NEURAL, ROBOTIC, Lecture, speak

SENTENCES, VOICES = 2, 4
"""Of each kind by each voice, so that it is some third of what the lectures of development are."""
_AT_ONCE = ("remarks", "names")


def recordings(kind: Literal["neural", "robotic"]) -> Iterator[Lecture]:
    """A recording of each kind by each DEV voice of this kind, the same every time; its title is what it is."""
    names = (NEURAL if kind == "neural" else ROBOTIC)["dev"]
    names = names[:: len(names) // VOICES]
    for number, voice in enumerate(names):
        rng = np.random.default_rng([7, number, len(kind)])
        said = {title: _speak(title, texts, voice) for title, texts in texts_of(_lexicon(), rng, SENTENCES)}
        yield from said.values()
        first, second = (said[title] for title in _AT_ONCE)
        length = min(len(first.sound), len(second.sound))
        both = np.asarray((first.sound[:length] + second.sound[:length]) / 2, np.float32)
        mentions = (*first.said, *second.said)
        words = (word for one in (first, second) for word in one.words if word[2] <= length / SAMPLING_RATE_HZ)
        yield Lecture("two at once", "nothing", voice, both, mentions, tuple(sorted(words, key=lambda word: word[1])))


def texts_of(things: Lexicon, rng: np.random.Generator, count: int) -> Iterator[tuple[str, list[str]]]:
    """What is said of each kind, so many sentences."""
    nothing = NothingSaid(things, rng)
    kinds: dict[str, Callable[[], str]] = {
        "names": nothing.about_people,
        "letters and numbers": nothing.spelled,
        "other languages": nothing.foreign,
        "laughter": nothing.uttered,
    }
    for title, say in kinds.items():
        yield title, [say() for _ in range(count)]
    yield "remarks", empty(things, 2 * count, rng)


@cache
def _lexicon() -> Lexicon:
    return lexicon.shipped()


def _speak(title: str, texts: list[str], voice: str) -> Lecture:
    return speak(Script(title, "nothing", tuple(_line(text) for text in texts)), voice)


def _line(text: str) -> Line:
    """A sentence; a thing that it names by the way ("the Miller family") may be told and need not."""
    marked = []
    for named in _lexicon().named_in(text):
        words = text[named.start : named.end]
        thing = _lexicon().of(words) if named.thing is None else named.thing
        own = frozenset([_lexicon().things[thing].names[0].singular]) if thing is not None else frozenset()
        marked.append(Marked(named.start, named.end, called(words) | accepted_for(words) | own, needed=False))
    return Line(text, tuple(marked))
