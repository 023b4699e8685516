"""Passages of nearly twenty seconds: is the picture about the one drawable thing among all that was said?

A passage is a lecture in small: sentences that name nothing drawable, and two, by chance placed, that name its topic.
It goes the real way, from bytes through voice activity detection and the plan of scenes to the library. The sentences
were written for this test; training says none of them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from s2i_core import steps
from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.audio.listen import Utterance, listen
from s2i_core.config import AudioConfig, ModelConfig, RunConfig, changed
from s2i_core.corpus.sources import voices
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, auc, mean, share
from s2i_core.evaluation.wav import wav
from s2i_core.records import Gap, SpeechEmbedding, Status
from s2i_core.scenes import Embedded
from s2i_core.weights import least_heard

SYNTHETIC, NEURAL = 60, 12
_EMPTY_SHARE = 1 / 3
"""Passages in which nothing drawable is said, beside those with a topic."""
_SENTENCES = 5
_PAUSE_S = (0.45, 0.9)
_SEED = 31

# fmt: off
FILLERS = (
    "I think we should begin with the question that was asked last time.",
    "There are several reasons for this, and none of them is simple.",
    "In the first part we spoke about the general idea.",
    "It took longer than anybody had expected.",
    "What matters here is not the result but the way to it.",
    "Most of these opinions have changed since then.",
    "Let me say that again, because it is easy to misunderstand.",
    "At that time nobody believed that it could be done.",
    "We will come back to this point in a few minutes.",
    "The difference is small, but it is important.",
    "Some of you may already have heard about this.",
    "That is one way of seeing it, and there are others.",
    "It depends on what exactly you mean by that.",
    "Over the years the rules became stricter.",
    "As far as I know, this has never been explained.",
    "To put it briefly, we were wrong.",
    "The same is true for almost everything else.",
    "This was discussed for a very long time.",
    "If you have a question, please do not hesitate to ask.",
    "You may wonder why this should be of any interest.",
    "On average the numbers have been growing slowly.",
    "There is no good answer to that, at least not yet.",
    "And that brings me to my next thought.",
    "He promised to do better, and he kept his word.",
    "The explanation is simpler than it seems at first.",
    "We have to be careful with such conclusions.",
    "Usually that is where the difficulties begin.",
    "In other words, the problem was never solved.",
    "Nothing of the kind had happened before.",
    "I would like to thank everybody for their patience.",
)
ABOUT = (
    "And this is where {np} comes in.",
    "I still remember {np} from my childhood.",
    "For this we have to take a closer look at {np}.",
    "Nobody had thought of {np} until then.",
    "The whole story is really about {np}.",
    "So what do we know about {np}?",
    "One morning they found {np} right there.",
    "You will understand it better if you think of {np}.",
    "In the middle of all that there was {np}.",
    "She kept talking about {np}, again and again.",
)
# fmt: on


@dataclass(frozen=True)
class Passage:
    """About twenty seconds of talk; `topic` is the concept that it names, `None` for nothing drawable."""

    topic: str | None
    voice: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Understood:
    """What a listener made of a passage.

    Attributes:
        place: of the topic among the library's concepts by the surest utterance, from 1; 0 without a topic.
        whole: the same by the passage's mean direction.
        drawn: whether the largest illustration of its picture is of the topic; None where that is not asked.
        shown: whether any of them is.
        skipped: whether the passage gets no picture at all.
        confidence: of the surest utterance.
    """

    place: int
    whole: int
    drawn: bool | None
    shown: bool | None
    skipped: bool | None
    confidence: float


_LISTENERS = {"model": "", "model, by sentences": "_by_sentences", "cascade": "_cascade"}


def run(exam: Examination) -> Part:
    """Measure it."""
    concepts = exam.library.concepts
    figures: dict[str, Figure] = {}
    rows: list[list[Cell]] = []
    sure: list[list[Cell]] = []
    seconds: list[float] = []
    for kind, count, names in (
        ("synthetic", SYNTHETIC, [f"espeak:{name}" for name in voices.ESPEAK_TEST]),
        ("neural", NEURAL, [f"kokoro:{name}" for name in voices.KOKORO_TEST]),
    ):
        passages = compose(exam, count, names, seed=_SEED + len(kind))
        spoken = speak(exam, kind, passages)
        seconds += [len(sound) / SAMPLING_RATE_HZ for sound in spoken]
        heard: list[tuple[Passage, tuple[Understood, ...]]] = []
        for n, (passage, sound) in enumerate(zip(passages, spoken, strict=True)):
            if n % 10 == 0:
                exam.tell(f"{kind} passages: {n} of {len(passages)}")
            heard.append((passage, understand(exam, passage, sound)))
        about = [one for one in heard if one[0].topic]
        empty = [one for one in heard if not one[0].topic]
        for who, (name, suffix) in enumerate(_LISTENERS.items()):
            found = [understood[who] for _, understood in about]
            places, whole = (np.array([getattr(u, field) for u in found]) for field in ("place", "whole"))
            at = [share(places <= k) for k in (1, 5, 10)]
            asked = [u for u in found if u.drawn is not None]
            drawn, shown = (share([bool(getattr(u, field)) for u in asked]) for field in ("drawn", "shown"))
            rows.append([f"{kind} voices" if not suffix else "", name, *at, share(whole <= 10), drawn, shown])
            figures |= {f"{kind}_topic_top{k}{suffix}": figure for k, figure in zip((1, 5, 10), at, strict=True)}
            nothing = [understood[who] for _, understood in empty]
            area = auc([u.confidence for u in found], [u.confidence for u in nothing])
            left_out = share([u.skipped for u in nothing if u.skipped is not None])
            kept = share([not u.skipped for u in found if u.skipped is not None])
            figures |= {f"{kind}_confidence_auc{suffix}": area}
            if asked:
                figures |= {f"{kind}_drawn{suffix}": drawn, f"{kind}_shown{suffix}": shown}
                figures |= {f"{kind}_nothing_skipped{suffix}": left_out, f"{kind}_topic_kept{suffix}": kept}
            confidences = (mean([u.confidence for u in some]) for some in (found, nothing))
            sure.append([f"{kind} voices" if not suffix else "", name, *confidences, area, left_out, kept])
    first = Table(
        f"Topic of a passage of {np.mean(seconds):.0f} seconds among {len(concepts)} concepts",
        ("passages", "by", "top 1", "top 5", "top 10", "whole passage, top 10", "drawn", "shown"),
        rows,
        "By the surest utterance of the passage's surest scene, from which its picture is made. Drawn: the largest "
        "illustration that the picture looks up is of the topic; shown: any of them is. The model plans by the things "
        "that it hears; by sentences: scenes.precision = none. Cascade: the transcript of each utterance, sought in "
        "the same vectors of the library; the surest utterance counts.",
    )
    columns = ("passages", "by", "with a topic", "with nothing to draw", "AUC", "nothing: skipped", "topic: drawn")
    note = (
        "Skipped: the passage gets no picture. By things: nothing is heard surely enough in it. By sentences: all are "
        f"under the model's limit of {exam.pipeline.min_confidence}."
    )
    second = Table("Confidence of passages with and without something to draw", columns, sure, note)
    return Part([first, second], figures)


def compose(exam: Examination, count: int, names: Sequence[str], seed: int) -> list[Passage]:
    """Passages in the turns of these voices; those with nothing to draw at the end."""
    rng = np.random.default_rng(seed)
    book = exam.tests.book
    concepts = [c for c in book.library.concepts if book.vocabulary[c].category not in {"face", "body"}]
    chosen = rng.choice(len(concepts), count - round(count * _EMPTY_SHARE), replace=False)
    topics: list[str | None] = [concepts[n] for n in chosen]
    topics += [None] * (count - len(topics))
    passages = []
    for n, topic in enumerate(topics):
        sentences = [FILLERS[k] for k in rng.choice(len(FILLERS), _SENTENCES, replace=False)]
        if topic is not None:
            name = book.vocabulary[topic].names[0]
            known = f"the {name.singular}" if name.number == "count" else name.singular
            places, frames = rng.choice(len(sentences), 2, replace=False), rng.choice(len(ABOUT), 2, replace=False)
            for place, frame, thing in zip(sorted(places), frames, (name.indefinite(), known), strict=True):
                sentences[place] = ABOUT[frame].format(np=thing)
        passages.append(Passage(topic, names[n % len(names)], tuple(sentences)))
    return passages


def speak(exam: Examination, kind: str, passages: Sequence[Passage]) -> list[NDArray[np.float32]]:
    """The sound of each passage: its sentences with pauses in between."""
    rng = np.random.default_rng(_SEED)
    lines = [(text, passage.voice, 1.0) for passage in passages for text in passage.sentences]
    said = iter(exam.tests.say(f"passages-{kind}", lines))
    sounds = []
    for passage in passages:
        pieces = []
        for _ in passage.sentences:
            pause = np.zeros(round(rng.uniform(*_PAUSE_S) * SAMPLING_RATE_HZ), np.float32)
            pieces += [pause, next(said)]
        sounds.append(np.concatenate([*pieces, np.zeros(SAMPLING_RATE_HZ // 2, np.float32)]))
    return sounds


def understand(exam: Examination, passage: Passage, sound: NDArray[np.float32]) -> tuple[Understood, ...]:
    """A passage on the real way, planned by things and by sentences, and by the cascade: as `_LISTENERS`."""
    model = exam.pipeline.model
    listening = listen(io.BytesIO(wav(sound)), "passage", AudioConfig())
    utterances = list(listening)
    if not utterances:
        last = len(exam.library.concepts)
        nothing = Understood(last, last, False, False, True, -1.0)
        return nothing, nothing, replace(nothing, drawn=None, shown=None, skipped=None)
    config = RunConfig(name="evaluation", model=ModelConfig(checkpoint=exam.checkpoint or ""))
    embedded = steps.embed(utterances, model, least_heard(config))
    ways = (config, changed(config, {"scenes.precision": None}))
    ours = [_planned(exam, passage, embedded, listening.result.gaps, way) for way in ways]
    return *ours, _by_words(exam, passage, utterances)


def _planned(
    exam: Examination, passage: Passage, embedded: Sequence[Embedded], gaps: Sequence[Gap], config: RunConfig
) -> Understood:
    model = exam.pipeline.model
    scenes = steps.plan(
        embedded, gaps, config, recording_id="passage", encoder_digest=model.encoder_digest, run_id="evaluation"
    )
    surest = max(scenes, key=lambda scene: (bool(scene.things), scene.confidence))
    focus = np.frombuffer(surest.focus_pooled, "<f2").astype(np.float32)
    whole = np.sum([one.duration_s * one.pooled for one in embedded], axis=0)
    concepts = _drawn(exam, steps.focus([surest], model)) if passage.topic else []
    return Understood(
        _place(exam, focus, passage.topic),
        _place(exam, whole, passage.topic),
        concepts[0] == passage.topic if concepts else None,
        passage.topic in concepts if concepts else None,
        all(scene.status != Status.OK for scene in scenes),
        surest.confidence,
    )


def _place(exam: Examination, vector: NDArray[np.float32], topic: str | None) -> int:
    """Place of the topic among the library's concepts, from 1; a concept is as near as its nearest illustration."""
    if topic is None:
        return 0
    library = exam.library
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    _, order = library.nearest(unit[None], k=len(library))
    return 1 + list(dict.fromkeys(library.infos[n].concept for n in order[0].tolist())).index(topic)


def _drawn(exam: Examination, speech: SpeechEmbedding) -> list[str]:
    """The concepts that a picture of this would look up, the largest first."""
    image = exam.image.model_copy(update={"references": max(1, exam.image.references)})
    slots = exam.decoder.plan(exam.decoder.predict(speech), image, [0])[0].slots
    return [slot.concept for slot in sorted(slots, key=lambda slot: -slot.box[2] * slot.box[3])]


def _by_words(exam: Examination, passage: Passage, utterances: Sequence[Utterance]) -> Understood:
    """The cascade on the same utterances; transcripts are kept by the sound of the features."""
    features = [utterance.features for utterance in utterances]
    vectors = exam.cascade.vectors_of_features(features)
    scores, _ = exam.library.nearest(vectors, k=1)
    surest = int(scores[:, 0].argmax())
    durations = np.array([utterance.duration_s for utterance in utterances])
    whole = (durations[:, None] * vectors).sum(0)
    return Understood(
        _place(exam, vectors[surest], passage.topic),
        _place(exam, whole, passage.topic),
        None,
        None,
        None,
        float(scores[surest, 0]),
    )
