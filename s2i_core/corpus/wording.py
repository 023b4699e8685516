"""Words a scene in plain spoken English: from the bare noun to a sentence as in a talk.

Every wording says all that the spec tells (number, colour, size, relation, told setting and time) and nothing that the
picture contradicts; verbs and carriers vary freely, as speech does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from s2i_core.corpus.backgrounds import SETTINGS, TIME_PHRASES
from s2i_core.corpus.spec import Group, SceneSpec
from s2i_core.english.vocabulary import NUMERALS, Name, Vocabulary
from s2i_core.models.decoders.native.recolour import COLOURS

T = TypeVar("T")

MAX_WORDS = 14
COLOUR_WORDS = frozenset({*COLOURS, "grey", "golden", "gold", "dark", "blond"})
_SIZES: Mapping[str, tuple[str, ...]] = {
    "big": ("big", "big", "large", "huge", "giant"),
    "small": ("small", "small", "little", "tiny"),
}
SIZE_WORDS = frozenset({"big", "large", "giant", "small", "little", "tiny", "tall", "long", "young"})
#: How often the plain name is taken where there are synonyms.
_PLAIN_NAME = 0.65

#: What things do: (one, several).
_VERBS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "animal": (("is standing", "are standing"), ("is resting", "are resting"), ("is waiting", "are waiting"),
               ("lives", "live"), ("is eating", "are eating"), ("can be found", "can be found")),
    "bird": (("is sitting", "are sitting"), ("is resting", "are resting"), ("lives", "live"),
             ("is singing", "are singing")),
    "sea": (("is swimming", "are swimming"), ("lives", "live"), ("can be found", "can be found")),
    "plant": (("is growing", "are growing"), ("grows", "grow"), ("stands", "stand")),
    "person": (("is standing", "are standing"), ("is waiting", "are waiting"), ("was seen", "were seen"),
               ("is smiling", "are smiling")),
    "building": (("stands", "stand"), ("was built", "were built"), ("can be seen", "can be seen")),
    "vehicle": (("is parked", "are parked"), ("is waiting", "are waiting"), ("has stopped", "have stopped")),
    "boat": (("is floating", "are floating"), ("is sailing", "are sailing")),
    "air": (("is flying", "are flying"), ("can be seen", "can be seen")),
    "space": (("can be seen", "can be seen"), ("is floating", "are floating")),
    "weather": (("can be seen", "can be seen"), ("appears", "appear")),
}  # fmt: skip
_STILL = (
    ("is waiting", "are waiting"),
    ("can be seen", "can be seen"),
    ("was found", "were found"),
    ("stands", "stand"),
)

#: What one may call a thing without showing it.
_EPITHETS: Mapping[str, tuple[str, ...]] = {
    "animal": ("friendly", "hungry", "wild", "beautiful"),
    "bird": ("beautiful", "hungry"),
    "sea": ("strange", "beautiful"),
    "plant": ("beautiful", "lovely"),
    "building": ("old", "famous", "beautiful"),
    "vehicle": ("new", "old", "fast"),
    "boat": ("old", "new"),
    "fruit": ("fresh", "ripe", "delicious"),
    "food": ("fresh", "delicious", "tasty"),
    "person": ("friendly", "happy", "kind"),
    "instrument": ("old", "new", "wonderful"),
}

#: How the first stands to the second, and the second to the first.
_RELATIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "next": (("next to", "next to", "beside", "near", "by"), ()),
    "front": (("in front of",), ("behind",)),
    "above": (("above", "above", "over"), ("below", "under")),
}

#: Said before something new.
_NEW = (
    "this is", "here is", "there is", "we see", "we can see", "i can see", "you can see", "look at", "it is", "that is",
    "a picture of", "a drawing of", "an image of", "imagine", "think of", "show me", "i saw", "we found",
    "once there was", "here we have", "what you see is", "it looks like", "in this picture there is", "next comes",
    "she is talking about", "he told us about", "my favourite is", "do you see", "and then we saw",
)  # fmt: skip
#: Said before something known.
_KNOWN = (
    "let us look at", "look at", "now we come to", "let me tell you about", "this story is about", "and here is",
    "do you remember", "let us talk about", "have a look at", "we have heard about", "everybody knows", "what about",
    "the next one is", "today it is all about", "our subject is", "it all began with",
)  # fmt: skip
_BE_FORMS = {"this is": "these are", "it is": "they are", "that is": "those are"}


def word_scene(spec: SceneSpec, vocabulary: Vocabulary, rng: np.random.Generator) -> str:
    """One wording, in lower case and without a full stop; of at most `MAX_WORDS` unless the scene takes more."""
    shortest = ""
    for _ in range(8):
        wording = _word(spec, vocabulary, rng)
        if len(wording.split()) <= MAX_WORDS:
            return wording
        if not shortest or len(wording) < len(shortest):
            shortest = wording
    return shortest


def _word(spec: SceneSpec, vocabulary: Vocabulary, rng: np.random.Generator) -> str:
    if len(spec.groups) > 1:
        return _phrase(spec, vocabulary, rng, carrier=rng.random() < 0.35)
    group = spec.groups[0]
    place = _place(spec, rng)
    name = _name(group, vocabulary, rng)
    modifiers = _modifiers(group, vocabulary, rng)
    several = group.count > 1 or name.is_plural
    verbs = _VERBS.get(vocabulary[group.concept].category, _STILL)
    new, known = _new(group, name, modifiers), _known(group, name, modifiers)
    bare = f"{modifiers} {name.singular}".strip() if group.count == 1 else new
    if not place:
        return _weighted(rng, (0.16, bare), (0.30, new), (0.08, known), (0.46, _carry(rng, new, known, several)))
    verb = _pick(rng, verbs)[several]
    subject = new if rng.random() < 0.55 else known
    return _weighted(
        rng,
        (0.30, f"{new} {place}"),
        (0.06, f"{bare} {place}"),
        (0.20, f"{_carry(rng, new, known, several)} {place}"),
        (0.20, f"{subject} {verb} {place}"),
        (0.12, f"{place} {subject} {verb}"),
        (0.12, f"{place} there {'are' if several else 'is'} {new}"),
    )


def _phrase(spec: SceneSpec, vocabulary: Vocabulary, rng: np.random.Generator, carrier: bool) -> str:
    """All groups with their relation, and the place."""
    names = [_name(group, vocabulary, rng) for group in spec.groups]
    said = [_new(g, n, _modifiers(g, vocabulary, rng, plain=True)) for g, n in zip(spec.groups, names, strict=True)]
    several = spec.groups[0].count > 1 or names[0].is_plural
    if len(said) == 1:
        body = said[0]
    elif len(said) > 2 or spec.relation is None:
        joint = "and" if len(said) > 2 else _pick(rng, ("and", "and", "and", "with", "together with"))
        body = f"{', '.join(said[:-1])} {joint} {said[-1]}"
    else:
        body, turned = _relate(rng, spec.relation, *said)
        if turned:
            several = spec.groups[1].count > 1 or names[1].is_plural
    place = _place(spec, rng)
    if carrier:
        if place and rng.random() < 0.3:
            return f"{place} there {'are' if several else 'is'} {body}"
        body = _carry(rng, body, body, several)
    return f"{body} {place}".strip()


def _relate(rng: np.random.Generator, relation: str, a: str, b: str) -> tuple[str, bool]:
    """Two things in their relation, and whether the second is named first."""
    if relation in {"left", "right"}:
        side, other = ("left", "right") if relation == "left" else ("right", "left")
        turned = rng.random() < 0.2
        first, second, at = (b, a, other) if turned else (a, b, side)
        if not turned and rng.random() < 0.3:
            return f"{a} on the {side} and {b} on the {other}", False
        return f"{first} {_pick(rng, (f'to the {at} of', f'on the {at} of', f'{at} of'))} {second}", turned
    turned = relation != "next" and rng.random() < 0.3
    first, second = (b, a) if turned else (a, b)
    return f"{first} {_pick(rng, _RELATIONS[relation][turned])} {second}", turned


def _place(spec: SceneSpec, rng: np.random.Generator) -> str:
    words = [_pick(rng, SETTINGS[spec.setting].phrases)] if spec.told_setting else []
    if spec.told_time:
        words.append(_pick(rng, TIME_PHRASES[spec.time]))
    return " ".join(words)


def _name(group: Group, vocabulary: Vocabulary, rng: np.random.Generator) -> Name:
    names = vocabulary[group.concept].names
    if len(names) > 1 and rng.random() > _PLAIN_NAME:
        # "a blue red fox" and "a small big truck" are no wordings.
        allowed = [
            name
            for name in names[1:]
            if not (group.colour and COLOUR_WORDS & set(name.singular.split()))
            and not (group.size and SIZE_WORDS & set(name.singular.split()))
            and (group.count == 1 or name.plural is not None)
        ]
        if allowed:
            return _pick(rng, allowed)
    return names[0]


def _modifiers(group: Group, vocabulary: Vocabulary, rng: np.random.Generator, plain: bool = False) -> str:
    words = [_pick(rng, _SIZES[group.size])] if group.size else []
    epithets = _EPITHETS.get(vocabulary[group.concept].category, ())
    if not words and not group.colour and epithets and not plain and rng.random() < 0.1:
        words.append(_pick(rng, epithets))
    if group.colour:
        words.append(group.colour)
    return " ".join(words)


def _new(group: Group, name: Name, modifiers: str) -> str:
    return name.counted(group.count, modifiers)


def _known(group: Group, name: Name, modifiers: str) -> str:
    if group.count == 1:
        return " ".join(word for word in ("the", modifiers, name.singular) if word)
    return " ".join(word for word in ("the", NUMERALS[group.count], modifiers, name.plural or name.singular) if word)


def _carry(rng: np.random.Generator, new: str, known: str, several: bool) -> str:
    if known != new and rng.random() < 0.35:
        carrier, words = _pick(rng, _KNOWN), known
    else:
        carrier, words = _pick(rng, _NEW), new
    if several:
        for one, many in _BE_FORMS.items():
            if carrier == one:
                return f"{many} {words}"
        carrier = carrier.removesuffix(" is") + " are" if carrier.endswith(" is") else carrier
        carrier = carrier.replace("there was", "there were").replace("next comes", "next come")
        carrier = carrier.replace("the next one are", "the next ones are")
        carrier = carrier.replace("favourite are", "favourites are")
        carrier = carrier.replace("our subject are", "our subjects are")
    return f"{carrier} {words}"


def _weighted(rng: np.random.Generator, *options: tuple[float, str]) -> str:
    chance = rng.random() * sum(weight for weight, _ in options)
    for weight, wording in options:
        chance -= weight
        if chance < 0:
            return wording
    return options[-1][1]


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]
