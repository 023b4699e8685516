"""Sentences of ordinary talk about one thing: the thing's name among words that can't be drawn.

Captions say what is to be seen and little else. People say it in passing: "For years she wanted a violin, and then …".
These sentences are put together at random, so that the name of the thing is all that they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2i_core.training.sources.captions import Name

# fmt: off
_OPENINGS = (
    "in the morning", "at first", "for many years", "long ago", "once upon a time", "every weekend", "as you know",
    "to be honest", "by the way", "in those days", "after a while", "most of the time", "last summer", "in the end",
    "of course", "to our surprise", "some people think that", "they say that", "I remember how", "nobody knows why",
    "if you are lucky", "when we were young", "before the lesson begins", "only yesterday", "and now", "then", "but",
    "deep down", "far away from here", "not far from us", "on the other side", "at the very end", "here",
    "over there", "in this part of the country", "for the first time", "a hundred years ago", "one evening",
    "sometimes", "suddenly", "did you know that", "it is true that", "for example", "in the middle of it all",
    "in my opinion", "high above us", "next week", "on the way back", "without any warning", "at last", "so", "well",
    "first of all", "right behind it",
)
_DOES = (
    "is waiting for us", "makes everybody happy", "was already known to the ancients", "can be very loud",
    "is always late", "came as a surprise", "is what we need", "stays where it is", "moves slowly", "is quite old",
    "disappears again", "has changed a lot", "is the oldest of all", "needs a lot of care", "belongs to my brother",
    "was never found again", "is easy to recognise", "looks even better in the evening", "costs a fortune",
    "is not what it seems", "is gone", "tells us a lot about the past", "turns around", "is my favourite",
    "is resting", "can do that much better", "was invented by accident", "is heavier than you think", "comes first",
    "comes next", "is looking for company", "does not care at all", "is hidden somewhere", "makes a strange sound",
    "is very useful", "is the largest of its kind", "goes up and down", "has many different names",
    "lives longer than you think", "is made by hand", "shines in the light", "wakes everybody up",
    "is getting smaller and smaller", "has a long history", "is full of secrets", "falls over", "appears on the left",
    "is too small for that", "was a present from a friend", "stops for a moment", "is ready",
)
_WHO = (
    "I", "we", "they", "she", "he", "you", "my sister", "my uncle", "the children", "our teacher", "everybody",
    "people", "nobody", "somebody", "a friend of mine", "the whole family", "the visitors", "our neighbour",
    "the old lady", "Anna", "Peter", "the others", "the two of us", "most people", "his cousin", "the young man",
    "the experts", "our guide",
)
_DID = (
    "saw", "found", "wanted", "bought", "drew", "remembered", "talked about", "looked at", "dreamed of", "forgot",
    "loved", "carried", "followed", "noticed", "asked for", "photographed", "lost", "described", "sold", "borrowed",
    "showed us", "admired", "touched", "chose", "studied", "waited for", "heard of", "pointed at", "wrote about",
    "paid for", "brought", "laughed about", "could not find", "had never seen", "would like to have",
    "learned everything about", "went to see",
)
_TAILS = (
    "", "", "", "", "again", "today", "all day long", "every single day", "at the same time", "in a very short time",
    "after all", "as quickly as possible", "without saying a word", "for the rest of the week",
    "and it was wonderful", "and nobody noticed", "because it was late", "before anybody else",
    "more than anything else", "in the afternoon", "when the weather is good", "and that is the whole story",
    "for a very good reason", "at the end of the day", "once or twice a year", "and I agree", "but only for a moment",
    "so we had to wait", "which is not so easy", "too", "if you ask me", "as everybody knows", "with great care",
    "just in time", "and that is why we are here", "at once",
)
_ADJECTIVES = (
    "", "", "", "", "", "old", "new", "little", "big", "beautiful", "famous", "strange", "small", "great",
    "favourite", "enormous", "simple", "real", "second", "other", "first", "lovely", "good", "tired", "heavy",
    "wonderful", "single",
)
_QUESTIONS = (
    "have you ever seen {np}", "can you see {np}", "where is {np}", "do you remember {np}",
    "what would we do without {np}", "look over there, {np}", "just imagine {np}", "let me tell you about {np}",
    "who does not like {np}", "this is {np}", "that was {np}", "speaking of which, there is {np}",
    "let us go and find {np}", "there is {np}", "all I need is {np}", "I would rather have {np}", "careful, {np}",
    "here we have {np}", "nothing is better than {np}", "next to it is {np}",
)
# fmt: on


def sentence(name: Name, rng: np.random.Generator) -> str:
    """A sentence that names the thing, in the singular or the plural, in lower case and without a full stop.

    >>> sentence(Name("dog", "dogs", "count"), np.random.default_rng(3))

    """
    several = name.plural is not None and rng.random() < 0.25
    adjective = _pick(rng, _ADJECTIVES)
    noun = name.plural if several and name.plural else name.singular
    words = f"{adjective} {noun}".strip()
    chance = rng.random()
    if several:
        thing = words if chance < 0.5 else f"{_pick(rng, ('the', 'these', 'many', 'some', 'our'))} {words}"
    elif chance < 0.45:
        thing = name.indefinite(adjective)
    else:
        thing = f"{_pick(rng, ('the', 'the', 'the', 'my', 'this', 'his', 'their'))} {words}"
    form = rng.random()
    tail = _pick(rng, _TAILS)
    if form < 0.25:
        said = _pick(rng, _QUESTIONS).format(np=thing)
    elif form < 0.6 and not several and not name.is_plural:
        said = f"{thing} {_pick(rng, _DOES)}"
    else:
        said = f"{_pick(rng, _WHO)} {_pick(rng, _DID)} {thing}"
    opening = _pick(rng, _OPENINGS) if form >= 0.25 and rng.random() < 0.45 else ""
    return " ".join(part for part in (opening, said, tail) if part)


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
