"""Ordinary talk: sentences about one thing, remarks about nothing that can be drawn, and passages of both.

Captions say what is to be seen and little else. People say it in passing: "For years she wanted a violin, and then …".
These sentences are put together at random, so that the name of the thing is all that they have in common. A lecture
says a thing once among many remarks, and often without a pause: hence passages. Most remarks show nothing, and a model
that has heard many knows them from what it could draw.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2i_core.english.vocabulary import Name

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
_MATTERS = (
    "the reason", "the question", "the answer", "that opinion", "the whole idea", "the result", "this point of view",
    "the first version", "the rule", "the mistake", "the difference", "that kind of thing", "the same problem",
    "the explanation", "the truth about it", "the plan", "the agreement", "the evidence", "the method",
    "the meaning of it", "the theory", "the purpose", "your advice", "the cost of it", "the decision",
    "what happened then", "what you just said", "the quality", "the average", "the rest of it", "our knowledge of this",
    "the second half", "the request", "this sort of progress", "the discussion", "the delay", "their influence",
    "the law", "the subject", "her experience",
)
_REGARDED = (
    "understood", "never mentioned", "accepted", "doubted", "explained", "kept asking about", "argued about", "forgot",
    "misunderstood", "agreed with", "would rather avoid", "had expected", "believed in", "had to change", "discussed",
    "insisted on", "complained about", "was afraid of", "learned from", "changed", "repeated", "apologised for",
    "described", "questioned", "could not accept", "thought about", "defended", "paid no attention to",
)
_STANDS = (
    "is not that simple", "depends on many things", "has never been settled", "became clear much later",
    "was decided long before", "makes all the difference", "is only half of it", "can be said in one word",
    "takes patience", "will be dealt with tomorrow", "was worth it", "is hard to prove", "follows from the first",
    "remains to be seen", "is what I meant", "is missing", "gets better every year", "was wrong from the start",
    "does not apply to everybody", "came too late", "is known to most of you", "could not be confirmed",
    "was not available", "is the same as before", "sounds convincing", "needs more time", "does not matter any more",
)
_SAYINGS = (
    "thank you very much for coming", "let us go on", "I am not so sure about that", "that would be too easy",
    "are there any questions so far", "we have ten minutes left", "as I said before", "good morning everybody",
    "please take your time", "it does not matter", "that is all for today", "you are absolutely right",
    "what do you mean by that", "let me think about it", "sorry for the delay", "it was nice talking to you",
    "could you repeat that please", "I have no idea", "we will see", "not at all", "hello and welcome",
    "goodbye and take care", "yes of course", "no I do not think so", "is anybody listening", "see you next time",
    "hello", "good evening", "thanks a lot", "please wait a moment", "you are welcome", "excuse me",
    "please try again later", "one more time", "how are you today", "it is your turn now", "never mind",
    "that is very kind of you", "I beg your pardon", "please enter your number", "the line is busy",
    "nobody is available at the moment", "your request has been received", "this is the end of the message",
)
_UNITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_COUNTS = ("percent", "minutes", "years", "of them", "messages", "degrees", "points", "people", "times", "pages")
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


def remark(rng: np.random.Generator) -> str:
    """A sentence, a greeting or a number that names nothing to draw, in lower case and without a full stop."""
    form = rng.random()
    if form < 0.2:
        return _pick(rng, _SAYINGS)
    if form < 0.3:
        hundreds = f"{_pick(rng, _UNITS)} hundred and " if rng.random() < 0.4 else ""
        return f"{hundreds}{_pick(rng, _TENS)} {_pick(rng, _UNITS)} {_pick(rng, _COUNTS)}"
    matter, tail = _pick(rng, _MATTERS), _pick(rng, _TAILS)
    said = f"{matter} {_pick(rng, _STANDS)}" if form < 0.6 else f"{_pick(rng, _WHO)} {_pick(rng, _REGARDED)} {matter}"
    opening = _pick(rng, _OPENINGS) if rng.random() < 0.45 else ""
    return " ".join(part for part in (opening, said, tail) if part)


def passage(name: Name, rng: np.random.Generator) -> str:
    """Two to six sentences, one of which names the thing, or two; the others are remarks."""
    count = int(rng.integers(2, 7))
    sentences = [remark(rng) for _ in range(count)]
    for place in rng.choice(count, 1 + int(count > 3 and rng.random() < 0.5), replace=False):
        sentences[place] = sentence(name, rng)
    return ". ".join(sentences)


def remarks(rng: np.random.Generator) -> str:
    """One to three of them: talk with nothing to draw."""
    return ". ".join(remark(rng) for _ in range(int(rng.integers(1, 4))))


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
