"""Who listens to a lecture: the shipped projection on windows, a grounding, or the cascade. All are scored alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from s2i_core.config import ImageConfig
from s2i_core.corpus.teacher import other_nouns
from s2i_core.evaluation.cascade import Cascade
from s2i_core.evaluation.lectures import transcribed
from s2i_core.evaluation.lectures.score import Guess
from s2i_core.evaluation.lectures.spoken import Lecture, lectures
from s2i_core.hearing import WIDTHS_S, frames_of, named, peaks, windows
from s2i_core.models.parts import load_part
from s2i_core.models.speech.grounding import Grounding, Vocabulary
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.records import Thing

_STRONGEST = 0.002
"""The windows that stand for how near a title is to anything at all: so many of them, by share."""
_BATCH = 256


class ThingListener(Protocol):
    """Anything that hears things."""

    def __call__(self, lecture: Lecture, sound: NDArray[np.float32]) -> list[Guess]:
        """What it hears in a lecture that came through as `sound` `(T,)`."""
        ...


@dataclass
class Windowed:
    """The projection as it is shipped, on windows instead of utterances, without any training for it.

    Some titles are near to any sound: what each is on its strongest windows of other talk is taken off (`settle`).
    """

    encoder: SpeechEncoder
    projection: QueryTransformer
    titles: Sequence[str]
    vectors: NDArray[np.float32]
    widths_s: Sequence[float] = WIDTHS_S

    def __post_init__(self) -> None:
        self._usual = np.zeros(len(self.titles), np.float32)

    def settle(self, sounds: Sequence[NDArray[np.float32]]) -> None:
        """Learn how near each title is to anything, from talk `(T_i,)` that is not the test's."""
        cosines = np.concatenate([by_width for sound in sounds for by_width, _ in self._cosines(sound)])
        count = max(1, round(_STRONGEST * len(cosines)))
        self._usual = np.sort(cosines, axis=0)[-count:].mean(0)

    def __call__(self, lecture: Lecture, sound: NDArray[np.float32]) -> list[Guess]:
        """See `ThingListener`; the confidence is a difference of cosines."""
        by_width = [(cosines - self._usual, middles) for cosines, middles in self._cosines(sound)]
        return _heard(peaks(by_width, self.titles, -0.25))

    @torch.inference_mode()
    def _cosines(self, sound: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], NDArray[np.float64]]]:
        frames = frames_of(self.encoder, sound)
        found = []
        for width_s in self.widths_s:
            slices, middles = windows(frames, width_s)
            pooled = torch.cat([self.projection(part)[1] for part in torch.split(slices, _BATCH)])
            found.append((pooled.float().numpy() @ self.vectors.T, middles))
        return found


@dataclass
class Grounded:
    """A trained grounding."""

    encoder: SpeechEncoder
    grounding: Grounding
    vocabulary: Vocabulary
    least: float = 0.02

    def __call__(self, lecture: Lecture, sound: NDArray[np.float32]) -> list[Guess]:
        """See `ThingListener`; the confidence is a probability."""
        return _heard(named(self.grounding, self.vocabulary, frames_of(self.encoder, sound), self.least))


@dataclass
class Transcribed:
    """The cascade."""

    cascade: Cascade
    titles: Sequence[str]
    vectors: NDArray[np.float32]

    def __call__(self, lecture: Lecture, sound: NDArray[np.float32]) -> list[Guess]:
        """See `ThingListener`; the confidence is a cosine."""
        return transcribed.hear(self.cascade, lecture, sound, self.titles, self.vectors)


def listener_named(name: str, checkpoint: str | None, work: Path) -> ThingListener:
    """A listener with the library of a checkpoint, in the style that is drawn by default.

    Args:
        name: `windows`; `cascade` or `cascade-tiny.en`; or the folder of a grounding.
        checkpoint: folder of the model, None for the shipped one.
        work: where transcripts are kept.

    Raises:
        ModelError: the checkpoint, or the grounding, cannot be read.
    """
    if not name.startswith(("windows", "cascade")):
        return grounded(load_part(Path(name), Grounding), checkpoint)
    pipeline, titles, vectors = _known(checkpoint)
    if name == "windows":
        windowed = Windowed(pipeline.speech_encoder, pipeline.projection, titles, vectors)
        windowed.settle([lecture.sound for lecture in lectures("dev", "robotic")])
        return windowed
    size: Literal["tiny.en", "base"] = "tiny.en" if name == "cascade-tiny.en" else "base"
    return Transcribed(Cascade(work, size), titles, vectors)


def grounded(grounding: Grounding, checkpoint: str | None) -> Grounded:
    """A grounding with the encoder and the library of a checkpoint, None for the shipped one."""
    pipeline, titles, vectors = _known(checkpoint)
    others = other_nouns({title.replace("_", " ") for title in titles})
    return Grounded(pipeline.speech_encoder, grounding, Vocabulary(titles, vectors, others))


def _known(checkpoint: str | None) -> tuple[SpeechToImagePipeline, list[str], NDArray[np.float32]]:
    pipeline = SpeechToImagePipeline.from_pretrained(checkpoint)
    library = pipeline.library.styled(ImageConfig().style)
    return pipeline, [info.concept for info in library.infos], np.asarray(library.vectors, np.float32)


def _heard(things: Sequence[Thing]) -> list[Guess]:
    return [Guess(thing.title, (thing.start_s + thing.end_s) / 2, thing.confidence) for thing in things]
