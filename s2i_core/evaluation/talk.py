"""Things named in talk: how much of it is heard, when, how surely and at what cost, by the model and by two cascades.

The recordings, the scorer and the library are the same for all. The cascades are Whisper base and tiny.en, each word of
the transcript and each pair of words through the text teacher; their words get the times of those that were said, so in
time they have no error (`lectures/transcribed.py`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.lectures.calibrate import calibration_error, reliability
from s2i_core.evaluation.lectures.heard import PEERS, HeardLectures, Peer, Voices, hear, one_core
from s2i_core.evaluation.lectures.score import PRECISION, Recorded, Score, judge, resampled, score
from s2i_core.evaluation.lectures.spoken import Channel, Lecture
from s2i_core.evaluation.lectures.transcribed import cost_s
from s2i_core.evaluation.lectures.unnamed import sounds
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, mean, share

CONDITIONS: dict[str, tuple[Voices, Channel, str]] = {
    "neural": ("neural", "clean", "neural voices"),
    "noise": ("neural", "noise", "the same, 10 dB noise"),
    "telephone": ("neural", "telephone", "the same, over a telephone"),
    "robotic": ("robotic", "clean", "robotic voices"),
    "people": ("people", "clean", "people: prompts, a children's game, an audiobook"),
}
_LISTENERS: dict[str, tuple[Peer | None, ...]] = {"neural": (None, *PEERS)}
"""Who listens; elsewhere only the model and the better cascade, for the time that transcripts take."""
_TIMED = 3
"""So many lectures are transcribed once more, for the time that it takes."""


def run(exam: Examination) -> Part:
    """Measure it."""
    talk = exam.talk
    figures: dict[str, Figure] = {}
    named = _named(talk, figures)
    tables = [named, _cost(talk, figures), _reliability(talk, figures), _nothing(talk, figures)]
    return Part(tables, figures)


def _named(talk: HeardLectures, figures: dict[str, Figure]) -> Table:
    rows: list[list[Cell]] = []
    for key, (voices, channel, name) in CONDITIONS.items():
        lectures = [hearing.lecture for hearing in talk.by_model(voices, channel)]
        minutes = sum(lecture.duration_s for lecture in lectures) / 60
        listeners = _LISTENERS.get(key, (None, PEERS[0]))
        recorded = [
            [
                (guesses, lecture.said)
                for guesses, lecture in zip(talk.guesses(who, voices, channel), lectures, strict=True)
            ]
            for who in listeners
        ]
        scores = [score(own, minutes) for own in recorded]
        draws = resampled(recorded)
        texts = (name, f"{minutes:.0f} min, {scores[0].needed} named")
        for row, (who, found) in enumerate(zip(listeners, scores, strict=True)):
            suffix = "" if who is None else f"_cascade_{who.replace('.', '_')}"
            recall = _figure(found.recall, found.needed, draws[:, row, 0])
            average = _figure(found.average_precision, found.needed, draws[:, row, 1])
            off = _off(recorded[row], found) if who is None and voices != "people" else None
            figures |= {f"{key}_recall{suffix}": recall, f"{key}_average_precision{suffix}": average}
            if off is not None:
                figures[f"{key}_off_s"] = off
            told = _told(recorded[row], talk.least) if who is None else (None, None)
            if told[0] is not None:
                figures |= {f"{key}_told_recall": told[0], f"{key}_told_precision": told[1]}
            listener = "model" if who is None else f"cascade, {who}"
            rows.append([texts[row] if row < len(texts) else "", listener, recall, average, off, *told])
        figures[f"{key}_recall_of_cascade"] = _ratio(scores[0].recall, scores[1].recall, draws[:, 0, 0], draws[:, 1, 0])
        rows.append(["", "model over base", figures[f"{key}_recall_of_cascade"], *[None] * 4])
    note = (
        f"Lectures of the test, each by {_voices(talk.takes)} that training never had; intervals by drawing the "
        "recordings anew. A thing is heard where a right title is told within half a second of its words; of people it "
        f"is not known when they say it. Recall is the largest at a precision of {PRECISION} or more on these very "
        f"recordings; told is what the model tells as it is set, by lectures and idle talk of development."
    )
    columns = (
        *("talk", "by", f"recall at precision {PRECISION}", "average precision", "off in time, s"),
        *("told: recall", "told: precision"),
    )
    return Table("Things named in talk", columns, rows, note)


def _told(recorded: Sequence[Recorded], least: float) -> tuple[Figure, Figure]:
    """Recall and precision of what is at least so sure."""
    judged = [one for heard, said in recorded for one in judge(heard, said) if one.confidence >= least]
    right = [bool(one.right) for one in judged if one.right is not None]
    needed = sum(mention.needed for _, said in recorded for mention in said)
    return share([True] * sum(right) + [False] * (needed - sum(right))), share(right)


def _cost(talk: HeardLectures, figures: dict[str, Figure]) -> Table:
    """Seconds of one core for a minute of talk."""
    hearings = talk.by_model("neural")
    ours = mean([60 * one.cost_s / one.lecture.duration_s for one in hearings])
    figures["hearing_s_a_minute"] = ours
    rows: list[list[Cell]] = [["model", ours, None]]
    lectures = [one.lecture for one in hearings[:: max(1, len(hearings) // _TIMED)]][:_TIMED]
    own = [60 * hear(talk.model, talk.config, one, one.sound).cost_s / one.duration_s for one in lectures]
    for who in PEERS:
        talk.tell(f"time of the cascade, {who}")
        taken = [_cascade_s(talk, who, lecture) for lecture in lectures]
        ratio = np.array(own) / np.array(taken)
        key = who.replace(".", "_")
        figures[f"hearing_s_a_minute_cascade_{key}"] = mean(taken)
        figures[f"hearing_of_cascade_{key}"] = mean(ratio)
        rows.append([f"cascade, {who}", mean(taken), mean(ratio)])
    columns = ("by", "seconds of one core for a minute of talk", "model over it, on the same lectures")
    note = (
        "CPU time. The model: bytes to utterances, encoder, things. The cascade: what it is given to transcribe is cut "
        "out already; features, Whisper (greedy, in a program that keeps what it has attended to), the text teacher."
    )
    return Table("What hearing costs", columns, rows, note)


def _cascade_s(talk: HeardLectures, who: Peer, lecture: Lecture) -> float:
    with one_core():
        return 60 * cost_s(talk.cascade(who), lecture.sound) / lecture.duration_s


def _reliability(talk: HeardLectures, figures: dict[str, Figure]) -> Table:
    rows: list[list[Cell]] = []
    for key, (voices, channel, name) in itertools.islice(CONDITIONS.items(), 3):
        hearings = talk.by_model(voices, channel)
        judged = [one for each in hearings for one in judge(talk.of_model(each), each.lecture.said)]
        bins = reliability(judged)
        heard = sum(len(each.right) for each in bins)
        error = calibration_error(bins)
        figures[f"{key}_calibration_error"] = Figure(error, heard, error, error)
        rows += [[name if n == 0 else "", round(each.confidence, 2), share(each.right)] for n, each in enumerate(bins)]
        rows.append(["", "off, on average", figures[f"{key}_calibration_error"]])
    note = (
        "What was heard in the lectures of the test, by confidence: if it is a probability, so much of it is right. It "
        "was fitted on other lectures by other voices. The last line: the expected calibration error."
    )
    return Table("Is confidence a probability?", ("talk", "confidence", "right"), rows, note)


def _nothing(talk: HeardLectures, figures: dict[str, Figure]) -> Table:
    """Sound that names nothing: everything that is told there is wrong."""
    limit = _limit(talk, PEERS[0])
    by_kind: dict[str, list[Lecture]] = {}
    for each in sounds():
        by_kind.setdefault(each.title, []).append(each)
    quiet = [one.lecture for one in talk.by_model("neural") if one.lecture.topic == "nothing"]
    by_kind["minutes of talk that name nothing"] = quiet
    rows: list[list[Cell]] = []
    wrong, seconds = 0, 0.0
    for kind, lectures in by_kind.items():
        talk.tell(f"bad input: {kind}")
        told = [
            guess.title
            for lecture in lectures
            for guess in talk.of_model(talk.heard(lecture, lecture.sound))
            if guess.confidence >= talk.least
        ]
        peer = sum(
            guess.confidence >= limit
            for lecture in lectures
            for guess in talk.of_cascade(PEERS[0], lecture, lecture.sound)
        )
        own_s = sum(lecture.duration_s for lecture in lectures)
        wrong, seconds = wrong + len(told), seconds + own_s
        rows.append([kind, round(own_s), len(told), peer, ", ".join(dict.fromkeys(told))])
        figures[f"told_{kind.replace(' ', '_')}"] = Figure(len(told), len(lectures), len(told), len(told))
    a_minute = 60 * wrong / seconds
    figures["wrong_a_minute"] = Figure(a_minute, round(seconds), a_minute, a_minute)
    columns = ("sound", "seconds", "model tells", f"cascade, {PEERS[0]}, tells", "what the model tells")
    note = (
        "Whatever is told here is wrong; only names are words for things, and letters and numbers sound like some. The "
        f"model tells what it does at the precision {PRECISION}, its setting; the cascade what it would at the limit "
        "that has this precision on the clean lectures of the table above."
    )
    return Table("Where nothing is named", columns, rows, note)


def _limit(talk: HeardLectures, who: Peer | None) -> float:
    """From where a listener has `PRECISION` on the very lectures of the test, which is generous to it."""
    lectures = [hearing.lecture for hearing in talk.by_model("neural")]
    heard = talk.guesses(who, "neural")
    return score([(own, lecture.said) for own, lecture in zip(heard, lectures, strict=True)], 1.0).limit


def _figure(value: float, n: int, draws: NDArray[np.float64]) -> Figure:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Figure(value, n, float(low), float(high))


def _ratio(ours: float, theirs: float, our: NDArray[np.float64], their: NDArray[np.float64]) -> Figure:
    if not theirs:
        return Figure(float("nan"), 0, float("nan"), float("nan"))
    good = their > 0
    low, high = np.quantile(our[good] / their[good], (0.025, 0.975))
    return Figure(ours / theirs, len(our), float(low), float(high))


def _off(recorded: Sequence[Recorded], found: Score) -> Figure:
    off_s = [
        one.off_s
        for heard, said in recorded
        for one in judge(heard, said)
        if one.right and one.confidence >= found.limit
    ]
    if not off_s:
        return Figure(float("nan"), 0, float("nan"), float("nan"))
    low, high = np.quantile(off_s, (0.05, 0.95))
    return Figure(float(np.median(off_s)), len(off_s), float(low), float(high))


def _voices(takes: int) -> str:
    return "one voice" if takes == 1 else "two voices"
