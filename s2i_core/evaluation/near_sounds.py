"""Words that sound nearly alike, a ship and a sheep, or a cat and a caterpillar: which is told where the other is said?

Pairs of the library's own one-word titles, the nearest in sound first, each said once by a robotic voice and, of some
pairs, by a neural one, in sentences that name nothing else; by voices that training never had.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from s2i_core.corpus.near_sounding import neighbours
from s2i_core.corpus.sources.voices import phonemes_of
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.lectures.heard import HeardLectures
from s2i_core.evaluation.lectures.passages import Line, Marked, Script
from s2i_core.evaluation.lectures.score import PRECISION, SLACK_S
from s2i_core.evaluation.lectures.spoken import NEURAL, ROBOTIC, Lecture, speak
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, share
from s2i_core.pipeline import SpeechToImagePipeline

ALIKE, WITHIN = 40, 20
"""Pairs that sound alike from end to end, and pairs of which one begins or ends the other, or stands within it."""
NEURAL_PAIRS = 5
"""Of each, said by a neural voice too, which takes seconds."""
WORST = 25
_NEIGHBOURS = 2
_SENTENCES = ("So I told them about {np}, and that was that.", "It is {np} that I keep coming back to, more or less.")
_SAME_MEANING = 0.7
"""The cosine of two titles from which the one may stand for the other."""
_TWO_WORDS = frozenset(" -'")


@dataclass(frozen=True)
class Asked:
    """A thing that was said in a sentence, and in which kind of voice."""

    title: str
    kind: str
    lecture: Lecture


@dataclass(frozen=True)
class Answer:
    """What was told where it was said; `right` if it was among that."""

    right: bool
    instead: tuple[str, ...]


def run(exam: Examination) -> Part:
    """Measure it."""
    talk = exam.talk
    vectors = _by_title(talk)
    alike, within = pairs(list(vectors), vectors)
    asked = list(_spoken(exam, alike, within))
    now = _answers(talk, asked, vectors)
    before: dict[int, Answer] = {}
    if exam.before is not None:
        exam.tell("near-sounding words, by the older model")
        older = SpeechToImagePipeline.from_pretrained(exam.before)
        library, kept = older.library.styled(exam.image.style), exam.folder / "models" / older.model_digest[:16]
        known = HeardLectures(older.model, exam.talk.config, library, exam.folder, kept)
        before = _answers(known, asked, vectors)
    figures: dict[str, Figure] = {}
    return Part([_summary(asked, now, before, figures), _worst(asked, now, before)], figures)


def pairs(
    titles: Sequence[str], vectors: Mapping[str, np.ndarray]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Titles of one word that sound alike, and those of which the one is heard in the other; each title once."""
    words = [title for title in titles if _TWO_WORDS.isdisjoint(title) and title.islower()]
    sounds = {word: _plain(phonemes_of(word)) for word in words}
    near = neighbours(words, words, phonemes_of, _NEIGHBOURS)
    found = {tuple(sorted((word, other))) for word, others in near.items() for other in others}
    apart = [(a, b) for a, b in found if float(vectors[a] @ vectors[b]) < _SAME_MEANING]
    within = [(a, b) for a, b in apart if sounds[a] in sounds[b] or sounds[b] in sounds[a]]

    def likeness(pair: tuple[str, str]) -> tuple[float, tuple[str, str]]:
        matcher = difflib.SequenceMatcher(None, sounds[pair[0]], sounds[pair[1]], autojunk=False)
        return -matcher.ratio(), pair

    return (
        _each_once(sorted(set(apart) - set(within), key=likeness))[:ALIKE],
        _each_once(sorted(within, key=likeness))[:WITHIN],
    )


def _each_once(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    taken: set[str] = set()
    kept = []
    for pair in found:
        if taken.isdisjoint(pair):
            taken.update(pair)
            kept.append(pair)
    return kept


def _plain(phonemes: str) -> str:
    return "".join(sound for sound in phonemes if sound.isalpha() and sound != "ː").replace("ɾ", "t")


def _by_title(talk: HeardLectures) -> dict[str, np.ndarray]:
    assert talk.library.vectors is not None
    return {info.concept: vector for info, vector in zip(talk.library.infos, talk.library.vectors, strict=True)}


def _spoken(exam: Examination, *groups: Sequence[tuple[str, str]]) -> Iterator[Asked]:
    robotic, neural = ROBOTIC["test"], NEURAL["test"]
    number = 0
    for group in groups:
        for place, title in enumerate(chain(*group)):
            exam.tell(f"near-sounding words: {title}")
            number += 1
            yield Asked(title, "robotic", _say(exam, title, robotic[number % len(robotic)], number))
            if place < 2 * NEURAL_PAIRS:
                yield Asked(title, "neural", _say(exam, title, neural[number % len(neural)], number))


def _say(exam: Examination, title: str, voice: str, number: int) -> Lecture:
    named = exam.tests.book.vocabulary[title].names[0].indefinite()
    text = _SENTENCES[number % len(_SENTENCES)].format(np=named)
    start = text.index(named)
    return speak(
        Script(title, title, (Line(text, (Marked(start, start + len(named), frozenset([title]), True),)),)), voice
    )


def _answers(talk: HeardLectures, asked: Sequence[Asked], vectors: Mapping[str, np.ndarray]) -> dict[int, Answer]:
    """By place, what a model tells where something is said that it listens for."""
    known = set(talk.grounding[1].titles)
    found = {}
    for place, one in enumerate(asked):
        if one.title not in known or not one.lecture.said:
            continue
        (mention,) = one.lecture.said
        told = {
            guess.title
            for guess in talk.of_model(talk.heard(one.lecture, one.lecture.sound))
            if guess.confidence >= talk.least and mention.start_s - SLACK_S <= guess.at_s <= mention.end_s + SLACK_S
        }
        right = {title for title in told if _means(title, one.title, vectors)}
        found[place] = Answer(bool(right), tuple(sorted(told - right)))
    return found


def _means(title: str, other: str, vectors: Mapping[str, np.ndarray]) -> bool:
    if title == other or title not in vectors:
        return title == other
    return float(vectors[title] @ vectors[other]) >= _SAME_MEANING


def _summary(
    asked: Sequence[Asked], now: Mapping[int, Answer], before: Mapping[int, Answer], figures: dict[str, Figure]
) -> Table:
    rows: list[list[Cell]] = []
    for kind in ("robotic", "neural"):
        own = [place for place, one in enumerate(asked) if one.kind == kind and place in now]
        ways = {"": own}
        if before:
            # Of the same words: an older model may not know them all.
            both = [place for place in own if place in before]
            ways = {"": both, "_before": both}
        for suffix, places in ways.items():
            answers = [(before if suffix else now)[place] for place in places]
            right = share([one.right for one in answers])
            wrong = share([bool(one.instead) for one in answers])
            nothing = share([not one.right and not one.instead for one in answers])
            figures |= {f"{kind}_right{suffix}": right, f"{kind}_wrong{suffix}": wrong}
            rows.append([f"{kind} voices", "older model" if suffix else "model", right, wrong, nothing])
    columns = ("said by", "told by", "it is told", "something else is told", "nothing is told")
    note = (
        f"Of {len(asked)} sentences, each of which names one thing, among those of the library that sound most like "
        f"another of them. Told is what `s2i hear` tells at the precision {PRECISION}."
    )
    return Table("Near-sounding words", columns, rows, note)


def _worst(asked: Sequence[Asked], now: Mapping[int, Answer], before: Mapping[int, Answer]) -> Table:
    """What is told instead, most often first; then what is told together with the right thing."""
    counts = [
        Counter((asked[place].title, other) for place, answer in answers.items() for other in answer.instead)
        for answers in (now, before)
    ]
    times = Counter(asked[place].title for place in now)
    order = sorted(set(counts[0]) | set(counts[1]), key=lambda pair: (-counts[0][pair], -counts[1][pair], pair))
    known = {asked[place].title for place in before}
    rows: list[list[Cell]] = [
        [said, other, times[said], counts[0][said, other], counts[1][said, other] if said in known else None]
        for said, other in order[:WORST]
    ]
    columns = ("said", "told instead", "times said", "told", "told by the older model")
    return Table("The worst confusions", columns, rows, f"{len(order)} confusions in all.")
