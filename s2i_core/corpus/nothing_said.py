"""Talk that names nothing, though it may sound as if it did: names, letters, numbers, other tongues, laughter, remarks.

What surely names nothing begins with a capital (`Lexicon.nothing_in`). Whom the evaluation names, and its phrases of
other languages, are kept out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.sources import wordnet
from s2i_core.corpus.talk import remark

# fmt: off
#: Somebody's name stands for {n}; there are things in the rest, or nobody would need to tell them from it.
_OF_NAMES = (
    "{n} said that it would take another week", "I spoke to {n} yesterday, and then I spoke to {n}",
    "as {n} once put it, nobody is ever quite ready for that", "dear {n}, thank you so much for your letter",
    "this is {n}, and I am calling about [a object]", "{n} came in with [a object] and put it next to [the object]",
    "according to {n}, [the animal] was there first", "we owe that to {n} and her brother {n}",
    "when {n} left, {n} took over, and that was the end of it", "{n}, would you like to say something about [the food]",
    "my colleagues {n}, {n} and {n} will answer your questions", "the theory goes back to {n}, who never married",
    "have you met {n}", "{n} lives with [a animal] and two of her sons", "it was {n} who found [the object]",
    "so I asked {n}, and {n} asked {n}, and so on", "please welcome {n}", "{n} and {n} disagree about that",
    "it belongs to {n}, or it did until last year", "that was written by {n} a very long time ago",
    "{n} is not here today", "[the vehicle] was bought by {n}, of all people", "they married in May, {n} and {n}",
    "thank you, {n}", "the work of {n} is hardly known", "our guest tonight is {n}, the author of three novels",
    "both {n} and {n} have seen [a nature] like that", "I never believed {n}", "is that you, {n}",
    "for years {n} had been working on it with {n}, somewhere near [a place]",
)
_NAME_FORMS = (
    "{t} {s}", "{t} {s}", "{f} {s}", "{f} {s}", "{f} {s}", "{f}", "{t} {f} {s}", "the {s} family", "{f} and {f} {s}",
)
_TITLES = ("Mr", "Mrs", "Miss", "Doctor", "Professor", "Mr", "Mrs", "Sir", "Captain", "Judge", "President", "Mister")
#: First names that are words as well.
_WORDS_AS_NAMES = (
    "Rose", "Lily", "Daisy", "Ruby", "Iris", "Jay", "Pearl", "Basil", "Holly", "Olive", "Ginger", "Heather",
    "Violet", "Hazel", "Ivy", "Jasmine", "Bill", "Jack", "Ray", "Rod", "Penny", "Rusty", "Buck", "Chip", "Art", "Mark",
    "Frank", "Grace", "Hope", "Joy", "Dawn", "Summer", "Amber", "Coral", "Cliff", "Rocky", "Buddy", "Bear", "Wolf",
)
_THINGS_AS_NAMES = 0.5
"""Share of surnames that are also what a thing is called, as Fox and Bell are: half of them known ones."""
#: Whom the evaluation names (`evaluation/lectures/unnamed.py`).
_KEPT_FOR_TESTS = frozenset(["Fox", "Wood", "Robin", "Bell", "Alan", "Baker", "Finch", "Carpenter", "Pierce"])

#: Letters {l}, digits {d}, numbers below a hundred {b} and above {h}, years {y}, ordinals {o}, months {m}, names {n}.
_OF_NUMBERS = (
    "{l}, {l}, {l}, {l}, {l}, {l}, {l}, {l}", "{l}, {l}, {l}, {l}", "that is {l}, {l}, {l}, {l}, {l}", "the letter {l}",
    "the code is {l}, {d}, {l}, {d}, {l}, {d}", "it begins with {l} and ends with {l}", "{l} as in {n}, then {l}, {l}",
    "{d}, {d}, {d}, {d}, {d}, {d}, {d}", "{d}, {d}, Double {d}, {d}, {d}", "my number is {d}, {d}, {d}, {d}, {d}",
    "call {d}, {d}, {d}, {d}, {d}, {d}, {d}", "{b}, {b}, {b}, and then {b}", "{b} out of {b}, or {b} percent",
    "{b} plus {b} makes {b}", "on the {o} of {m} {y}", "{m} the {o}, {y}", "it was {y}, no, it was {y}",
    "from {y} to {y}", "between {b} and {b} of them", "it comes to {h} and {b}", "the amount is {h}",
    "at {b} past {d}", "section {b}, line {d}", "flight {l}, {l}, {b}", "{h} people, give or take", "room {h}",
    "version {d} point {d}", "case {b}, {l}", "{b}, and then {l}, {l}, {b}", "please dial {d} now, or {d}, or {d}",
)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Oh")
_TEENS = ("Ten", "Eleven", "Twelve", "Thirteen", "Fourteen", "Fifteen", "Sixteen", "Seventeen", "Eighteen", "Nineteen")
_TENS = ("Twenty", "Thirty", "Forty", "Fifty", "Sixty", "Seventy", "Eighty", "Ninety")
_ORDINALS = (
    "First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth", "Twelfth",
    "Fifteenth", "Twentieth",
)
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)
_PLAIN_NUMBERS = {"d": _DIGITS, "l": _LETTERS, "o": _ORDINALS, "m": _MONTHS}

#: By language, as espeak-ng calls it; said by English voices, too.
FOREIGN = {
    "de": (
        "Entschuldigung, können Sie mir bitte helfen", "Das habe ich leider nicht verstanden",
        "Wir müssen morgen früh wieder los", "Vielen Dank für die Einladung, bis nächste Woche",
        "Ich weiß nicht, ob er heute noch kommt",
    ),
    "fr": (
        "Excusez moi, pourriez vous répéter plus lentement", "Il faut que nous partions avant midi",
        "Je vous remercie beaucoup de votre réponse", "On ne peut pas tout avoir dans la vie",
        "Elle a dit qu'elle reviendrait la semaine prochaine",
    ),
    "es": (
        "Disculpe, podría decirme qué hora es", "Mañana tenemos que salir muy temprano",
        "Muchas gracias por todo lo que has hecho", "No sé si llegará hoy o la semana que viene",
        "Hay que pensar bien antes de decidir",
    ),
    "it": (
        "Mi dispiace, non ho capito quello che hai detto", "Domani dobbiamo partire molto presto",
        "Grazie mille per la vostra risposta", "Non so se verrà ancora oggi",
    ),
    "pt": (
        "Desculpe, não percebi o que disse", "Amanhã temos de sair muito cedo", "Obrigado por tudo, até para a semana",
        "Não sei se ele ainda vem hoje",
    ),
    "nl": (
        "Sorry, dat heb ik niet helemaal begrepen", "We moeten morgen vroeg weer weg",
        "Hartelijk bedankt voor uw antwoord", "Ik weet niet of hij vandaag nog komt",
    ),
    "sv": (
        "Ursäkta, kan ni hjälpa mig", "Vi måste åka tidigt i morgon", "Tack så mycket för svaret",
        "Jag vet inte om han kommer i dag",
    ),
    "pl": (
        "Przepraszam, nie zrozumiałem pytania", "Musimy jutro wcześnie wyjechać", "Dziękuję bardzo za odpowiedź",
        "Nie wiem, czy on dzisiaj przyjdzie",
    ),
    "tr": (
        "Özür dilerim, ne dediğinizi anlamadım", "Yarın sabah erken çıkmamız gerekiyor",
        "Cevabınız için teşekkür ederim",
    ),
    "fi": (
        "Anteeksi, en ymmärtänyt kysymystä", "Meidän täytyy lähteä huomenna aikaisin", "Kiitos paljon vastauksesta",
    ),
    "la": ("Nemo ante mortem beatus dici potest", "Quod erat demonstrandum, ut omnes iam sciunt"),
}
#: What people utter that is no word.
_SOUNDS = (
    "Ha", "Ha", "Ha", "Hah", "Heh", "Hee", "Hee", "Ho", "Oh", "Oh", "Ah", "Aha", "Um", "Uh", "Er", "Mm", "Hm", "Wow",
    "Oops", "Yeah", "Whoa", "Ooh", "Eh", "Huh", "Phew", "Ugh",
)
# fmt: on


class NothingSaid:
    """Talk with words in it that sound like things and name none: people's names, letters, numbers.

    Args:
        lexicon: its things are surnames, too: Mr Fox, Mrs Kettle.
        rng: decides everything.
        fill: puts things into the slots of sentences; without it, none have any.
    """

    def __init__(self, lexicon: Lexicon, rng: np.random.Generator, fill: Callable[[str], str] | None = None) -> None:
        self._rng, self._fill = rng, fill
        self._frames = _OF_NAMES if fill else tuple(frame for frame in _OF_NAMES if "[" not in frame)
        first, last = wordnet.persons()
        self._first, self._last = ([name for name in names if name not in _KEPT_FOR_TESTS] for names in (first, last))
        self._known = [name for name in self._last if lexicon.of(name) is not None]
        self._things = [name.singular.capitalize() for thing in lexicon.things for name in thing.names[:1]]
        self._things = [name for name in self._things if name.isalpha() and name not in _KEPT_FOR_TESTS]

    def name(self) -> str:
        """Somebody's: "Mrs Fox", "Alan Bell"."""
        return re.sub(r"\{(\w)\}", lambda match: self._part(match[1]), _pick(self._rng, _NAME_FORMS))

    def about_people(self) -> str:
        """A sentence with names in it."""
        frame = _pick(self._rng, self._frames)
        said = self._fill(frame) if self._fill else frame
        return re.sub(r"\{n\}", lambda _: self.name(), said)

    def spelled(self) -> str:
        """A sentence of letters and numbers, a date, a telephone number."""
        return re.sub(r"\{(\w)\}", lambda match: self._number(match[1]), _pick(self._rng, _OF_NUMBERS))

    def uttered(self) -> str:
        """Laughter and hesitation: no words at all, mostly the same again and again."""
        said: list[str] = []
        while len(said) < 6 + int(self._rng.integers(10)):
            said += [_pick(self._rng, _SOUNDS)] * int(self._rng.integers(1, 5))
        marks = [", " if self._rng.random() < 0.3 else " " for _ in said]
        return "".join(sound + mark for sound, mark in zip(said, marks, strict=True)).rstrip(" ,")

    def foreign(self) -> str:
        """A sentence of another language, no word of which is an English one."""
        return _pick(self._rng, FOREIGN[_pick(self._rng, tuple(FOREIGN))]).title()

    def _part(self, part: str) -> str:
        match part:
            case "t":
                return _pick(self._rng, _TITLES)
            case "f":
                return _pick(self._rng, self._first if self._rng.random() < 0.7 else _WORDS_AS_NAMES)
        if self._rng.random() >= _THINGS_AS_NAMES:
            return _pick(self._rng, self._last)
        return _pick(self._rng, self._known if self._rng.random() < 0.5 else self._things)

    def _number(self, form: str) -> str:
        rng = self._rng
        if form in _PLAIN_NUMBERS:
            return _pick(rng, _PLAIN_NUMBERS[form])
        match form:
            case "n":
                return self.name()
            case "y":
                return f"{'Twenty' if rng.random() < 0.3 else _pick(rng, _TEENS)} {self._below_hundred()}"
            case "h":
                unit = _pick(rng, ("Hundred", "Thousand", "Hundred Thousand", "Million"))
                return f"{self._below_hundred() if rng.random() < 0.4 else _pick(rng, _DIGITS[1:10])} {unit}"
        return self._below_hundred()

    def _below_hundred(self) -> str:
        chance = self._rng.random()
        if chance < 0.25:
            return _pick(self._rng, _TEENS)
        tens = _pick(self._rng, _TENS)
        return tens if chance < 0.4 else f"{tens} {_pick(self._rng, _DIGITS[1:10])}"


def empty(lexicon: Lexicon, count: int, rng: np.random.Generator) -> list[str]:
    """Talk that names nothing: half remarks, half phrases of the dictionary."""
    quoted = [text for text in wordnet.examples(100_000) if not lexicon.named_in(text)]
    chosen = [quoted[place] for place in rng.permutation(len(quoted))[: count // 2]]
    return chosen + [remark(rng) for _ in range(count - len(chosen))]


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
