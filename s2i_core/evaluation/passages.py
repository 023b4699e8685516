"""Passages of nearly twenty seconds: is the picture about the one drawable thing among all that was said?

A passage is a lecture in small: sentences that name nothing drawable, and two, by chance placed, that name its topic.
It goes the real way, from bytes through voice activity detection and the plan of scenes to the library. The sentences
were written for this test; training says none of them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2i_core import steps
from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.audio.listen import Utterance, listen
from s2i_core.config import AudioConfig, ModelConfig, RunConfig
from s2i_core.corpus.sources import voices
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.robustness import wav
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, auc, mean, share
from s2i_core.records import SpeechEmbedding
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
        confidence: of the surest utterance.
    """

    place: int
    whole: int
    drawn: bool | None
    confidence: float


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
        heard: list[tuple[Passage, tuple[Understood, Understood]]] = []
        for n, (passage, sound) in enumerate(zip(passages, spoken, strict=True)):
            if n % 10 == 0:
                exam.tell(f"{kind} passages: {n} of {len(passages)}")
            heard.append((passage, understand(exam, passage, sound)))
        about = [one for one in heard if one[0].topic]
        empty = [one for one in heard if not one[0].topic]
        for name, who in (("model", 0), ("cascade", 1)):
            found = [understood[who] for _, understood in about]
            places, whole = (np.array([getattr(u, field) for u in found]) for field in ("place", "whole"))
            at = [share(places <= k) for k in (1, 5, 10)]
            picture = share([bool(u.drawn) for u in found]) if name == "model" else None
            rows.append([f"{kind} voices" if name == "model" else "", name, *at, share(whole <= 10), picture])
            suffix = "" if name == "model" else "_cascade"
            figures |= {f"{kind}_topic_top{k}{suffix}": figure for k, figure in zip((1, 5, 10), at, strict=True)}
            topical = [u.confidence for u in found]
            nothing = [understood[who].confidence for _, understood in empty]
            area = auc(topical, nothing)
            figures[f"{kind}_confidence_auc{suffix}"] = area
            limit = exam.pipeline.min_confidence
            left_out = share([value < limit for value in nothing]) if name == "model" else None
            kept = share([value >= limit for value in topical]) if name == "model" else None
            sure.append([f"{kind} voices", name, mean(topical), mean(nothing), area, left_out, kept])
    first = Table(
        f"Topic of a passage of {np.mean(seconds):.0f} seconds among {len(concepts)} concepts",
        ("passages", "by", "top 1", "top 5", "top 10", "whole passage, top 10", "drawn"),
        rows,
        "By the surest utterance of the passage's surest scene, from which its picture is made. Drawn: the largest "
        "illustration that the picture looks up is of the topic. Cascade: the transcript of each utterance, sought in "
        "the same vectors of the library; the surest utterance counts.",
    )
    columns = ("passages", "by", "with a topic", "with nothing to draw", "AUC", "nothing: skipped", "topic: drawn")
    note = f"Skipped and drawn under the model's limit of {exam.pipeline.min_confidence}."
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


def understand(exam: Examination, passage: Passage, sound: NDArray[np.float32]) -> tuple[Understood, Understood]:
    """A passage on the real way, and by the cascade."""
    model = exam.pipeline.model
    listening = listen(io.BytesIO(wav(sound)), "passage", AudioConfig())
    utterances = list(listening)
    if not utterances:
        nothing = Understood(len(exam.library.concepts), len(exam.library.concepts), False, -1.0)
        return nothing, nothing
    config = RunConfig(name="evaluation", model=ModelConfig(checkpoint=exam.checkpoint or ""))
    embedded = steps.embed(utterances, model, least_heard(config))
    scenes = steps.plan(
        embedded,
        listening.result.gaps,
        config,
        recording_id="passage",
        encoder_digest=model.encoder_digest,
        run_id="evaluation",
    )
    surest = max(scenes, key=lambda scene: (bool(scene.things), scene.confidence))
    speech = steps.focus([surest], model)
    focus = np.frombuffer(surest.focus_pooled, "<f2").astype(np.float32)
    whole = np.sum([one.duration_s * one.pooled for one in embedded], axis=0)
    ours = Understood(
        _place(exam, focus, passage.topic),
        _place(exam, whole, passage.topic),
        _drawn(exam, speech) == passage.topic if passage.topic else None,
        surest.confidence,
    )
    return ours, _by_words(exam, passage, utterances)


def _place(exam: Examination, vector: NDArray[np.float32], topic: str | None) -> int:
    """Place of the topic among the library's concepts, from 1; a concept is as near as its nearest illustration."""
    if topic is None:
        return 0
    library = exam.library
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    _, order = library.nearest(unit[None], k=len(library))
    return 1 + list(dict.fromkeys(library.infos[n].concept for n in order[0].tolist())).index(topic)


def _drawn(exam: Examination, speech: SpeechEmbedding) -> str:
    """The concept of the largest illustration that a picture of this would look up."""
    image = exam.image.model_copy(update={"references": max(1, exam.image.references)})
    slots = exam.decoder.plan(exam.decoder.predict(speech), image, [0])[0].slots
    return max(slots, key=lambda slot: slot.box[2] * slot.box[3]).concept


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
        float(scores[surest, 0]),
    )
