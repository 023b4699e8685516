"""WordNet 3.0: words, definitions and example phrases for a vocabulary beyond what can be drawn.

Captions hold some thousand words; people say any. The projection hears these texts too, and learns the teacher's vector
of each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from s2i_core.corpus.sources.packages import Package, fetch

DEBIAN = Package(
    "debian", "wordnet-base", "1:3.0-37", "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752"
)
MAX_WORDS = 12
_PARTS = ("noun", "verb", "adj")
#: Plain words only: no numbers, abbreviations or symbols, which voices read in different ways.
_SPEAKABLE = re.compile(r"[a-z][a-z' ,-]*[a-z]")
_NAME = re.compile(r"[A-Z][a-z]{2,}")


def words(count: int) -> list[str]:
    """The `count` most frequent words and short terms, by how often a sense of theirs is tagged; ties by alphabet.

    Nouns that were never tagged follow, a random choice that is always the same.
    """
    frequency: Counter[str] = Counter()
    for line in (_folder() / "cntlist.rev").read_text(encoding="latin-1").splitlines():
        key, _, tagged = line.split(" ")
        lemma, _, sense = key.partition("%")
        if int(sense[0]) in {1, 2, 3, 5}:
            frequency[lemma.replace("_", " ")] += int(tagged)
    found = [word for word, _ in sorted(frequency.items(), key=lambda item: (-item[1], item[0])) if _is_word(word)]
    if len(found) < count:
        known = set(found)
        nouns = sorted({word for word in _lemmas("noun") if _is_word(word) and word not in known})
        found += [nouns[place] for place in np.random.default_rng(0).permutation(len(nouns))]
    return found[:count]


@lru_cache(maxsize=1)
def nouns() -> frozenset[str]:
    """Every noun and noun phrase, in lower case, but for those that only name one person, place or work."""
    return frozenset(
        lemma
        for lemma, pointers in (
            (entry[0].replace("_", " "), entry[4 : 4 + int(entry[3])])
            for entry in (line.split(" ") for line in _lines("index.noun"))
        )
        if "@" in pointers or "@i" not in pointers
    )


#: What a thing that can be seen may be, and the number of the file that WordNet keeps it in (lexnames(5)).
_KINDS = {
    "05": "animal",
    "06": "artifact",
    "08": "body",
    "13": "food",
    "15": "place",
    "17": "object",
    "18": "person",
    "19": "phenomenon",
    "20": "plant",
}


@lru_cache(maxsize=1)
def concrete_nouns() -> dict[str, str]:
    """Nouns of one or two plain words that are, in their most frequent sense, something to be seen; with its kind.

    Only those that somebody met in a text: senses are tagged in a corpus, and example phrases are from texts. In the
    order of the alphabet.
    """
    kinds = {line[:8]: _KINDS.get(line.split(" ", 2)[1]) for line in _lines("data.noun")}
    tagged = {
        key.partition("%")[0]
        for key, sense, _ in (line.split(" ") for line in (_folder() / "cntlist.rev").read_text("latin-1").splitlines())
        if key.partition("%")[2].startswith("1:") and sense == "1"
    }
    met = tagged | {word for _, phrases in _glosses() for phrase in phrases for word in phrase.split(" ")}
    found = {}
    for line in _lines("index.noun"):
        entry = line.split(" ")
        # Lemma, part of speech, number of senses, number of pointers, pointers, two counts, senses by frequency.
        kind = kinds[entry[4 + int(entry[3]) + 2]]
        noun = entry[0].replace("_", " ")
        if kind and entry[0] in met and _is_word(noun) and _length(noun) <= 2 and noun in nouns():
            found[noun] = kind
    return found


_INSULTS = re.compile(r"\b(offensive|slur|disparag|derogat|insult|bastard)")
"""In what a sense means, or in its synonyms: nobody should be called so."""


def frequent_nouns(count: int) -> dict[str, str]:
    """The `count` most frequent of `concrete_nouns`, with their kinds: by how often their first sense is tagged.

    What is one person, place or work in that sense is none of them, and no insult; ties by alphabet.
    """
    tagged = {
        key.partition("%")[0].replace("_", " "): int(times)
        for key, sense, times in (
            line.split(" ") for line in (_folder() / "cntlist.rev").read_text("latin-1").splitlines()
        )
        if key.partition("%")[2].startswith("1:") and sense == "1"
    }
    left_out = {line[:8] for line in _lines("data.noun") if "@i" in line.split(" ") or _INSULTS.search(line)}
    first = _first_senses()
    found = {noun: kind for noun, kind in concrete_nouns().items() if first[noun] not in left_out and noun in tagged}
    return dict(sorted(found.items(), key=lambda item: (-tagged[item[0]], item[0]))[:count])


@lru_cache(maxsize=1)
def synonyms() -> dict[str, frozenset[str]]:
    """For each noun those of the same first sense, itself among them."""
    same: dict[str, set[str]] = {}
    for noun, sense in _first_senses().items():
        same.setdefault(sense, set()).add(noun)
    return {noun: frozenset(same[sense]) for noun, sense in _first_senses().items()}


@lru_cache(maxsize=1)
def _first_senses() -> dict[str, str]:
    """Of each noun the synset of its most frequent sense, by its number."""
    entries = (line.split(" ") for line in _lines("index.noun"))
    return {entry[0].replace("_", " "): entry[4 + int(entry[3]) + 2] for entry in entries}


@lru_cache(maxsize=1)
def other_words() -> frozenset[str]:
    """Every verb, adjective and adverb, in lower case."""
    return frozenset(lemma for part in ("verb", "adj", "adv") for lemma in _lemmas(part))


@lru_cache(maxsize=1)
def adverbs() -> frozenset[str]:
    """Every adverb, in lower case: "down", "there", "still"."""
    return frozenset(_lemmas("adv"))


_FIRST_NAMES_OF = 2
"""Persons who must share a first name, or it may be a title or somebody's only."""
_TITLES = frozenset(
    ["President", "Saint", "Sir", "King", "Queen", "Dame", "First", "Lord", "Prince", "Emperor", "Pope"]
)


@lru_cache(maxsize=1)
def persons() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """First names and surnames of persons, with a capital, each once and in the order of the alphabet."""
    first: Counter[str] = Counter()
    last = set()
    for line in _lines("data.noun"):
        # Offset, file, type, hexadecimal number of words, each word with a number, pointers.
        entry = line.split(" ")
        if _KINDS.get(entry[1]) == "person" and "@i" in entry:
            for name in entry[4 : 4 + 2 * int(entry[3], 16) : 2]:
                parts = name.split("_")
                if len(parts) in {2, 3} and all(_NAME.fullmatch(part) for part in (parts[0], parts[-1])):
                    first[parts[0]] += 1
                    last.add(parts[-1])
    shared = {name for name, count in first.items() if count >= _FIRST_NAMES_OF}
    return tuple(sorted(shared - _TITLES)), tuple(sorted(last))


def examples(count: int) -> list[str]:
    """Phrases that show how a word is used ("he was at the height of his career"); always the same choice."""
    return _choose({phrase for _, quoted in _glosses() for phrase in quoted}, count)


def definitions(count: int) -> list[str]:
    """What words mean, in short ("a tall structure with a light that warns ships"); always the same choice."""
    return _choose({definition for definition, _ in _glosses()}, count)


def _choose(texts: set[str], count: int) -> list[str]:
    fitting = sorted(text for text in texts if _SPEAKABLE.fullmatch(text) and _length(text) in range(2, MAX_WORDS + 1))
    return [fitting[place] for place in np.random.default_rng(0).permutation(len(fitting))[:count]]


def _length(text: str) -> int:
    return text.count(" ") + 1


def _is_word(word: str) -> bool:
    return bool(_SPEAKABLE.fullmatch(word)) and len(word) > 2 and _length(word) <= 3


def _lemmas(part: str) -> Iterator[str]:
    for line in _lines(f"index.{part}"):
        yield line.split(" ", 1)[0].replace("_", " ")


@lru_cache(maxsize=1)
def _glosses() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Every definition with its quoted examples, in lower case."""
    found = []
    for part in _PARTS:
        for line in _lines(f"data.{part}"):
            gloss = line.partition(" | ")[2].lower()
            definition = re.sub(r"\([^)]*\)", "", gloss.partition('"')[0]).partition(";")[0]
            quoted = tuple(" ".join(text.split()).rstrip(".,;!?") for text in re.findall(r'"([^"]+)"', gloss))
            found.append((" ".join(definition.split()), quoted))
    return tuple(found)


def _lines(name: str) -> Iterator[str]:
    """The entries of a file, without its licence at the top."""
    with (_folder() / name).open(encoding="latin-1") as file:
        for line in file:
            if not line.startswith(" "):
                yield line.rstrip("\n")


def _folder() -> Path:
    return fetch(DEBIAN) / "usr/share/wordnet"
