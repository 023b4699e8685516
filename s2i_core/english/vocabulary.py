"""What illustrations are called in plain spoken English.

The names are written by hand in `vocabulary.tsv`, one concept a line, because they go to a speech synthesiser and to a
text teacher: the CLDR names ("sport utility vehicle", "cut of meat") are not what people say. A concept that is not in
the table, such as one of a customer's own library, gets its plural by rule.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

Number = Literal["count", "mass", "plural"]
Stature = Literal["small", "medium", "large"]

NUMERALS = ("zero", "one", "two", "three", "four", "five", "six")
_AN_BEFORE_CONSONANT = ("hour", "honest", "heir")
_A_BEFORE_VOWEL = ("uni", "use", "euro", "ukulele", "ufo", "one")
_AN_ABBREVIATIONS = ("x ray", "x-ray")


@dataclass(frozen=True)
class Name:
    """One way to name a concept.

    Attributes:
        singular: the bare noun; of a plural-only noun ("scissors") and a mass noun ("rice") its only form.
        plural: several of it; `None` where one can't count it.
        number: how it takes articles and verbs.
    """

    singular: str
    plural: str | None
    number: Number

    @property
    def is_plural(self) -> bool:
        """Whether the noun by itself takes a plural verb."""
        return self.number == "plural"

    def indefinite(self, modifiers: str = "") -> str:
        """The noun with an article: "a dog", "an old dog", "rice"."""
        words = f"{modifiers} {self.singular}".strip()
        return words if self.number != "count" else f"{article(words)} {words}"

    def counted(self, count: int, modifiers: str = "") -> str:
        """The noun with a number: "two dogs", "three red cars".

        Raises:
            ValueError: the noun can't be counted.
        """
        if count == 1:
            return self.indefinite(modifiers)
        if self.plural is None:
            raise ValueError(f"{self.singular!r} can't be counted: ask for one")
        return " ".join(word for word in (NUMERALS[count], modifiers, self.plural) if word)


@dataclass(frozen=True)
class Concept:
    """A thing that can be drawn, with its names; the first is the plain one.

    Attributes:
        hexcode: the emoji that shows it, as hyphenated code points; empty where an icon does.
        category: what kind of thing it is: animal, fruit, vehicle ...
        home: the setting where one expects it, or `plain`; "grass@night" is a setting and a time of day.
        stature: how large it is among things of its kind.
        drawing: the icon that shows it, as `SET/NAME` (`corpus/sources/icons.py`); empty where an emoji does.
        colour: of the thing, `#rrggbb`, for an icon.
    """

    hexcode: str
    names: tuple[Name, ...]
    category: str
    home: str
    stature: Stature = "medium"
    drawing: str = ""
    colour: str = ""

    @property
    def name(self) -> str:
        """The plain bare noun, which is also the key of the concept."""
        return self.names[0].singular

    @property
    def countable(self) -> bool:
        """Whether two or more of it can be named."""
        return self.names[0].plural is not None


def article(words: str) -> str:
    """ "a" or "an", by the sound of the first word.

    >>> article("owl"), article("unicorn"), article("x ray")
    ('an', 'a', 'an')
    """
    if words.startswith((*_AN_BEFORE_CONSONANT, *_AN_ABBREVIATIONS)):
        return "an"
    if words.startswith(_A_BEFORE_VOWEL):
        return "a"
    return "an" if words[0] in "aeiou" else "a"


_IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "mouse": "mice", "goose": "geese", "foot": "feet",
    "tooth": "teeth", "ox": "oxen", "knife": "knives", "leaf": "leaves", "wolf": "wolves", "scarf": "scarves",
    "loaf": "loaves", "lady": "ladies", "wife": "wives", "shelf": "shelves", "fish": "fish", "sheep": "sheep",
    "deer": "deer", "reindeer": "reindeer", "elk": "elk", "bison": "bison", "shrimp": "shrimp", "dice": "dice",
    "person": "people", "cactus": "cacti", "hero": "heroes", "tomato": "tomatoes", "potato": "potatoes",
    "mango": "mangoes", "mosquito": "mosquitoes", "volcano": "volcanoes", "tornado": "tornadoes",
    "spaceman": "spacemen",
        "fireman": "firemen", "policeman": "policemen", "gentleman": "gentlemen", "repairman": "repairmen",
    "businessman": "businessmen", "snowman": "snowmen", "aircraft": "aircraft", "spacecraft": "spacecraft",
    "headphones": "headphones", "glasses": "glasses",
}  # fmt: skip


def plural_of(noun: str) -> str:
    """The plural of a noun phrase: its head is the last word before "of", "with", "in", "on", "at" or "from".

    >>> plural_of("wild wolf"), plural_of("bunch of grapes"), plural_of("cherry")
    ('wild wolves', 'bunches of grapes', 'cherries')
    """
    words = noun.split()
    head = next((i for i, word in enumerate(words) if i and word in {"of", "with", "in", "on", "at", "from"}), None)
    position = (head if head is not None else len(words)) - 1
    words[position] = _plural_word(words[position])
    return " ".join(words)


def _plural_word(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in set("aeiou"):
        return word[:-1] + "ies"
    return word + "s"


class Vocabulary:
    """The concepts and their names."""

    def __init__(self, concepts: Iterable[Concept]) -> None:
        self.concepts = {concept.name: concept for concept in concepts}

    def __getitem__(self, name: str) -> Concept:
        """The concept of that name; one that is not in the table is a countable thing shown on plain ground."""
        found = self.concepts.get(name)
        return found or Concept(
            hexcode="", names=(Name(name, plural_of(name), "count"),), category="thing", home="plain"
        )

    def __len__(self) -> int:
        return len(self.concepts)


@cache
def english() -> Vocabulary:
    """The vocabulary of `vocabulary.tsv` and `things.tsv`, in this order."""
    return Vocabulary(_concept(table, row) for table in ("vocabulary.tsv", "things.tsv") for row in _rows(table))


def _rows(table: str) -> list[dict[str, str]]:
    with files(__package__).joinpath(table).open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _concept(table: str, row: dict[str, str]) -> Concept:
    plain = Name(row["name"], row["plural"] or None, _one_of(table, row, "number", Number))
    synonyms = (_synonym(words) for words in row["synonyms"].split("|") if words)
    return Concept(
        hexcode=row.get("hexcode", ""),
        names=(plain, *synonyms),
        category=row["category"],
        home=row["home"],
        stature=_one_of(table, row, "stature", Stature),
        drawing=row.get("drawing", ""),
        colour=row.get("colour", ""),
    )


def _one_of(table: str, row: dict[str, str], column: str, choices: Any) -> Any:
    if row[column] not in get_args(choices):
        raise ValueError(f"{table}, {row['name']}: {row[column]!r} is not one of {get_args(choices)}")
    return row[column]


def _synonym(words: str) -> Name:
    """A synonym carries its number as a suffix where it is not an ordinary countable noun: "milk~", "swords+"."""
    if words.endswith("~"):
        return Name(words[:-1], None, "mass")
    if words.endswith("+"):
        return Name(words[:-1], None, "plural")
    return Name(words, plural_of(words), "count")
