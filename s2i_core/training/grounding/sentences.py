"""Talk in which several things are named among much else, for a listener that learns to find them.

Phrases of a dictionary, which people wrote for other ends and which hold any syntax; talk composed of the frames below,
so that every thing of the library is named among others, often and at any place of a sentence; things beside words that
sound like them; and talk that names nothing, though its names, letters and numbers may sound as if it did. Where things
are named is asked of the lexicon, not of the composer, so that a frame may itself name things.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.near_sounding import neighbours
from s2i_core.corpus.nothing_said import NothingSaid, empty
from s2i_core.corpus.sources import wordnet
from s2i_core.corpus.talk import remark
from s2i_core.english.vocabulary import Name

OF_LIBRARY = 0.7
"""Share of the things in composed talk that the library shows."""
_LONG_NAME = 0.15
"""Weight of names of three words and more ("bus seen from the front"), which nobody says, against others."""
_SECOND_NAME = 0.5
_TWO_SENTENCES = 0.3
_SLOT = re.compile(r"\[(a|the|s|my|-) (\w+)\]")

#: Slots of frames to kinds of things, of the library's vocabulary and of WordNet.
_KINDS: Mapping[str, frozenset[str]] = {
    "animal": frozenset({"animal", "bird", "sea"}),
    "food": frozenset({"food", "fruit", "drink"}),
    "vehicle": frozenset({"vehicle", "air", "boat", "space"}),
    "person": frozenset({"person"}),
    "place": frozenset({"building", "place"}),
    "object": frozenset({"thing", "toy", "clothing", "instrument", "artifact"}),
    "nature": frozenset({"plant", "weather", "phenomenon", "object"}),
    "body": frozenset({"body", "face"}),
}

# fmt: off
FRAMES = (
    "now what happens when [a animal] meets [a animal] is really not what the books would tell you",
    "think of [a object] that you have at home, and then think of [a object], and ask yourself which one came first",
    "they had sold [the vehicle] by then, so she walked to [the place] with [a object] under her arm",
    "it is the kind of [- food] that you get with [- food] on a cold day",
    "and if you ask [a person], he will tell you that without [the object] none of it makes sense",
    "we drove past [a place], past [a place] and two or three of these [s vehicle], and nobody said a word",
    "the first thing that I noticed was [the object] next to [the person]",
    "there were [s animal] everywhere, [s animal] too, and once in a while you would hear [a animal]",
    "so I took [the object], put it into [the object], and hoped for the best",
    "what you want to do is cut [the food] first and only then add [the food]",
    "my grandmother kept [a object] and [a object] on the shelf above [the object]",
    "imagine that you are [a person] in the fifteenth century and somebody shows you [a object]",
    "in the north it was all [s nature], in the south you had [s nature] and hardly anything else",
    "[the animal], unlike [the animal], does not really care about [the nature]",
    "I am going to use [a object] as an example, because everybody knows what [a object] looks like",
    "he lost [the object] somewhere between [the place] and [the place]",
    "by the time that [the vehicle] arrived, [the person] had eaten all of [the food]",
    "the trade was mostly in [s food] and [s object], with the odd [- animal] here and there",
    "you have seen it in films, [the person] climbs out of [the vehicle] and there is [the nature] behind",
    "she could not decide whether it was [a animal] or [a object]",
    "look at the way [a animal] uses its [- body], it is quite different from what [a person] would do",
    "they found [s object], they found [a object], they even found what was left of [a animal]",
    "one of the reasons why [s animal] are so successful is that they eat [s food]",
    "and suddenly there it was, [a vehicle], right in front of [the place]",
    "when it comes to [s object], the price has gone up by about a third",
    "a good [- object] is hard to find, and a good [- person] is harder",
    "it smelled of [s food] and of [s nature], and from the kitchen you could hear [the person]",
    "we tend to forget that [the object] was invented long before [the vehicle]",
    "for breakfast there is [- food], for lunch there is [- food], and in the evening they bring out [the food]",
    "what [the person] did next surprised everybody, he picked up [the object] and threw it at [the object]",
    "under [the nature] lay [a object], half covered with sand",
    "the signal goes from [the body] to [the body] in less than a tenth of a second",
    "[s animal] have been seen as far north as that, and so have [s animal]",
    "if I had to choose between [a vehicle] and [a vehicle], I would still take the older one",
    "in the picture on the left you see [a person] with [a object], and behind him, rather small, [a animal]",
    "there is a story about [a animal] that falls in love with [a nature]",
    "nobody wants [a place] next to their [- place], that is the whole problem",
    "it began with [a object] and it ended with [the person] in front of a judge",
    "every [- person] in town had one, even [the person] who lived behind [the place]",
    "the children drew [a animal], [a vehicle] and, for some reason, [a object]",
    "you need three things for that, [a object], [- food], and a lot of patience",
    "at night you hear [the animal], and when the wind is right you hear [the object] as well",
    "he described it as something between [a object] and [a nature]",
    "there is not a single [- object] in the whole of [the place]",
    "that was the year when [the nature] came and took [the place] with it",
    "she used to say that [a animal] never forgets, which is of course not true",
    "the temperature inside [the vehicle] reached that of [a object]",
    "the same goes for [the object], for [the object] and, to a degree, for [the person]",
    "out of [the object] came [a animal], and after it another one",
    "most of what we know about [the animal] comes from [s body] that somebody kept in a drawer",
    "I would not give you [a object] for it, let alone [a vehicle]",
    "the company made [s object] before it turned to [s vehicle]",
    "so far we have talked about [the object], and I promise that we will get to [the animal]",
    "at the end of the street there is [a place] where they sell [s food]",
    "people bring [s nature] and [s food], they light a candle and they go home again",
    "with [a object] like that you can open [a object] in no time",
    "a week later [the person] returned, this time on [a vehicle]",
    "the body of [a animal] is mostly water, and so is that of [a animal]",
    "the sound of [a object] carries much further than that of [a object]",
    "they say that [the person] still walks around in [the place], carrying [a object]",
    "then the king sent for [the person], and the two of them went to see [the animal]",
    "do you remember [the object] that used to stand in front of [the place]",
    "no [- person] has ever explained to me why there are [s animal] on it",
    "what looks like [a nature] is in fact the back of [a animal]",
    "you can put [a object] on top of it, or [a object], it does not matter at all",
    "the law treats [a vehicle] as if it were [a object]",
    "[my person] had [a animal], and [my person] had [a vehicle], and I had nothing",
    "they grow [s food] up there, some [s food], and they keep [s animal]",
    "my first job was to clean [the object] and to feed [the animal]",
    "the road goes through [the nature] and then along [the place] for a while",
    "somebody had painted [a animal] on [the object], quite well actually",
    "and here comes the interesting part, [the animal] does not even have [a body]",
    "it weighs about as much as [a animal], or two of these [s object]",
    "[the person] laughed, put [the object] back on [the object] and left",
    "take away [the nature] and you take away [the animal], it is as simple as that",
    "the museum has [a object], a rather fine [- object], and one [- vehicle] that still works",
    "half of the budget went into [a object] that nobody uses any more",
    "when [the nature] is gone, [the animal] will come down to [the place]",
    "in our language the word for [a object] is the same as the word for [a animal]",
    "without [s object] you would not get a single [- food] out of that field",
    "think about [the body], think about how it is held by [the body]",
    "there was an argument about [a object] and somebody got hurt by [a object]",
    "on the stage you saw no more than [a object], [a object] and a single actor",
    "from above, [the place] looks like [a object]",
    "let me compare it to [a object], no, better, let me compare it to [a vehicle]",
    "you wash [the food], you dry it, and you keep [the food] for later",
    "the winner gets [a object] and the loser gets [- food]",
    "we slept in [a place], and in the morning there was [a animal] at the door",
    "not [a object], not [a object], but plain [- food] is what they asked for",
    "after the war [the place] was turned into [a place] for [s person]",
    "it took one [- person] and one [- object] to change all of that",
    "we are not talking about [a vehicle] here, we are talking about [a nature]",
    "[a object]",
    "[the animal]",
    "well, [a food], I suppose",
    "and then [the vehicle]",
    "[s object] and [s object]",
    "[a person], [a animal], and so on",
    "maybe it was [the nature]",
    "with or without [the object]",
)
#: Two words that sound nearly alike.
_CONTRASTS = (
    "{a}, not {b}", "I said {a}, I did not say {b}", "is it {a} or {b}", "{b}, {a}, {b} again", "{a}",
    "one is {a} and the other one is {b}", "it sounds like {b}, but it is {a}", "{a} and {b}", "{a}. {b}",
    "write {a} first and then {b}", "first {b}, then {a}", "say {a} slowly, and now say {b}", "{b}, {a}",
    "she meant {a} where you heard {b}", "so much for {b}, now for {a}", "if it is not {a}, it may be {b}",
    "there was {a} again", "with {a} or with {b}",
)
_NEIGHBOURS = 6
_FREQUENT = 4_000
"""Words of the language, beside the nouns, that may sound like a thing."""
# fmt: on


class Composer:
    """Composed talk about the things of a lexicon.

    Args:
        lexicon: what may be named; the library's things are named in turn, so that each is named equally often.
        rng: decides everything.
    """

    def __init__(self, lexicon: Lexicon, rng: np.random.Generator) -> None:
        self._lexicon, self._rng = lexicon, rng
        self._of_kind = {
            slot: [
                [n for n in numbers if lexicon.things[n].kind in kinds]
                for numbers in (range(lexicon.drawn), range(lexicon.drawn, len(lexicon)))
            ]
            for slot, kinds in _KINDS.items()
        }
        self._turns: dict[tuple[str, int], list[int]] = {}

    def sentence(self) -> str:
        """One sentence, or two with a remark before or after, in lower case and without a full stop."""
        rng = self._rng
        said = self.filled(_pick(rng, FRAMES))
        if rng.random() < _TWO_SENTENCES:
            parts = [said, remark(rng)]
            said = ". ".join(parts if rng.random() < 0.5 else parts[::-1])
        return said

    def filled(self, frame: str) -> str:
        """A frame with things in its slots: "[a animal]", "[the vehicle]"."""
        return _SLOT.sub(lambda match: self._phrase(match[1], match[2]), frame)

    def _phrase(self, form: str, slot: str) -> str:
        name = self._name(self._next(slot))
        plain = name.singular
        match form:
            case "a":
                return name.indefinite()
            case "s":
                return name.plural or plain
            case "the" | "my":
                return f"{form} {plain}"
        return plain

    def _next(self, slot: str) -> int:
        """A thing of this kind; all of them come before any comes again."""
        drawn, others = self._of_kind[slot]
        of_others = int(bool(others) and (not drawn or self._rng.random() >= OF_LIBRARY))
        turn = self._turns.setdefault((slot, of_others), [])
        if not turn:
            turn.extend(int(n) for n in self._rng.permutation(others if of_others else drawn))
        return turn.pop()

    def _name(self, number: int) -> Name:
        names = self._lexicon.things[number].names
        weights = np.array([_LONG_NAME if name.singular.count(" ") > 1 else 1.0 for name in names])
        weights[1:] *= _SECOND_NAME if len(names[0].singular.split()) < 3 else 1.0
        return names[int(self._rng.choice(len(names), p=weights / weights.sum()))]


def phrases(lexicon: Lexicon, count: int, rng: np.random.Generator) -> list[str]:
    """Example phrases of the dictionary that name something, and some of its definitions."""
    texts = [*wordnet.examples(100_000), *wordnet.definitions(10_000)]
    naming = [text for text in texts if any(named.thing is not None for named in lexicon.named_in(text))]
    return [naming[place] for place in rng.permutation(len(naming))[:count]]


class Contrasts:
    """Short talk of a thing and of what sounds nearly like it, which is how one learns to tell them apart.

    Args:
        lexicon: its library's things are contrasted, in turn, with its other names and with words that name nothing.
        spell: gives the phonemes of a word.
        rng: decides everything.
    """

    def __init__(self, lexicon: Lexicon, spell: Callable[[str], str], rng: np.random.Generator) -> None:
        self._rng = rng
        self._names = {
            name.singular: name for thing in lexicon.things for name in thing.names if name.singular.isalpha()
        }
        drawn = [name for thing in lexicon.things[: lexicon.drawn] for name in thing.names if name.singular.isalpha()]
        words = [word for word in wordnet.words(_FREQUENT) if word.isalpha() and lexicon.of(word) is None]
        self._near = neighbours(
            sorted({name.singular for name in drawn}), sorted({*self._names, *words}), spell, _NEIGHBOURS
        )
        self._turn: list[str] = []

    def sentence(self) -> str:
        """A sentence with the next thing in it; all come before any comes again."""
        if not self._turn:
            words = sorted(word for word, near in self._near.items() if near)
            self._turn.extend(words[place] for place in self._rng.permutation(len(words)))
        word = self._turn.pop()
        other = _pick(self._rng, self._near[word])
        pair = {"a": self._said(word), "b": self._said(other)}
        return _pick(self._rng, _CONTRASTS).format(**pair)

    def _said(self, word: str) -> str:
        """With an article before a noun; a word that names nothing begins with a capital."""
        name = self._names.get(word)
        if name is None:
            return word.capitalize()
        if name.plural and self._rng.random() < 0.2:
            return f"the {name.plural}"
        return name.indefinite() if self._rng.random() < 0.6 else f"the {name.singular}"


def texts(lexicon: Lexicon, count: int, spell: Callable[[str], str], rng: np.random.Generator) -> list[str]:
    """All that a voice says, in its shares; the first of a larger count are those of a smaller one.

    Two fifths are composed, a quarter quoted; three twentieths tell apart what sounds alike, a tenth has people's names
    in it, a twentieth letters and numbers, and a twentieth names nothing at all.
    """
    composer = Composer(lexicon, rng)
    nothing_said = NothingSaid(lexicon, rng, composer.filled)
    contrasts = Contrasts(lexicon, spell, rng)
    quoted = phrases(lexicon, 30_000, rng)
    nothing = empty(lexicon, 10_000, rng)
    said = []
    for number in range(count):
        match number % 20:
            case 0 | 3 | 5 | 8 | 10 | 13 | 15 | 18:
                said.append(composer.sentence())
            case 1 | 6 | 11 | 14 | 16:
                said.append(quoted.pop() if quoted else composer.sentence())
            case 2 | 9 | 17:
                said.append(contrasts.sentence())
            case 4 | 12:
                said.append(nothing_said.about_people())
            case 7:
                said.append(nothing_said.spelled())
            case _:
                said.append(nothing[number // 20 % len(nothing)])
    return said


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
