"""The lectures as the model and the cascades hear them: each once, however many tables ask for it."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from s2i_core import steps
from s2i_core.audio.listen import listen
from s2i_core.config import RunConfig
from s2i_core.evaluation.cascade import Cascade
from s2i_core.evaluation.lectures import kept, transcribed
from s2i_core.evaluation.lectures.people import clips
from s2i_core.evaluation.lectures.score import PRECISION, Guess
from s2i_core.evaluation.lectures.spoken import Channel, Lecture, lectures, through
from s2i_core.evaluation.wav import wav
from s2i_core.hearing import no_grounding, titled
from s2i_core.models.contracts import Model, ThingHearer
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.speech.grounding import Grounding, Vocabulary
from s2i_core.records import Gap, Thing
from s2i_core.scenes import Embedded
from s2i_core.weights import confidence_for

Voices = Literal["neural", "robotic", "people"]
Peer = Literal["base", "tiny.en"]
PEERS: tuple[Peer, ...] = ("base", "tiny.en")
LEAST = 0.02
"""What is less probable is in no curve."""


@dataclass(frozen=True)
class Hearing:
    """A lecture as the model hears it, on the product's way from bytes to utterances.

    Attributes:
        lecture: what was said.
        sound: how it came through `(T,)`.
        embedded: its utterances, with the things that are named in them, down to `LEAST`.
        gaps: between the utterances.
        cost_s: seconds of one core that it took.
    """

    lecture: Lecture
    sound: NDArray[np.float32]
    embedded: list[Embedded]
    gaps: list[Gap]
    cost_s: float

    @property
    def things(self) -> list[Thing]:
        """What is named in it, in the order of time."""
        return [thing for utterance in self.embedded for thing in utterance.things]


@contextmanager
def one_core() -> Iterator[None]:
    """Costs are those of one core: torch keeps to it in here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def hear(
    model: Model, config: RunConfig, lecture: Lecture, sound: NDArray[np.float32], least: float | None = LEAST
) -> Hearing:
    """Decode, find speech, encode and hear a lecture that came through as `sound` `(T,)`."""
    data = wav(sound)
    with one_core():
        since = time.process_time()
        listening = listen(io.BytesIO(data), "lecture", config.audio, frontend=model.encoder.frontend)
        utterances = list(listening)
        embedded = steps.embed(utterances, model, least) if utterances else []
        return Hearing(lecture, sound, embedded, listening.result.gaps, time.process_time() - since)


def told(hearing: Hearing, guesses: Sequence[Guess], library: SpriteLibrary, limit: float, least: float) -> Hearing:
    """The same recording with what another listener heard in it, so that its pictures can be planned alike.

    Args:
        hearing: its utterances stay.
        guesses: of the other listener.
        library: whose titles they are.
        limit: from which the other listener is believed.
        least: the confidence that stands for it; surer guesses come above it, in their order.
    """
    assert library.vectors is not None
    places = {info.concept: place for place, info in reversed(list(enumerate(library.infos)))}
    most = max((guess.confidence for guess in guesses), default=limit)
    things = [
        Thing(
            guess.title,
            guess.at_s,
            guess.at_s,
            least + (1 - least) * (guess.confidence - limit) / max(most - limit, 1e-9),
            library.vectors[places[guess.title]].astype(np.float16),
        )
        for guess in guesses
        if guess.confidence >= limit
    ]
    middles = np.array([(one.start_s + one.end_s) / 2 for one in hearing.embedded])
    own: list[list[Thing]] = [[] for _ in hearing.embedded]
    for thing in things if own else ():
        within = [n for n, one in enumerate(hearing.embedded) if one.start_s <= thing.start_s <= one.end_s]
        own[within[0] if within else int(np.abs(middles - thing.start_s).argmin())].append(thing)
    embedded = [replace(one, things=some) for one, some in zip(hearing.embedded, own, strict=True)]
    return replace(hearing, embedded=embedded)


@dataclass
class HeardLectures:
    """What the listeners make of the test's lectures and of people's recordings.

    Args:
        model: under test, with a grounding.
        config: its settings.
        library: what is looked for, in the style that is drawn in.
        work: where transcripts are kept.
        kept: where what this model heard is kept.
        takes: by how many voices each lecture is spoken, one or two.
        tell: told what is being done.
    """

    model: Model
    config: RunConfig
    library: SpriteLibrary
    work: Path
    kept: Path
    takes: int = 2
    tell: Callable[[str], None] = lambda _: None
    _hearings: dict[tuple[Voices, Channel], list[Hearing]] = field(default_factory=dict)
    _guesses: dict[tuple[Peer, Voices, Channel], list[list[Guess]]] = field(default_factory=dict)
    _cascades: dict[Peer, Cascade] = field(default_factory=dict)

    def by_model(self, voices: Voices, channel: Channel = "clean") -> list[Hearing]:
        """Each recording as the model hears it."""
        if (voices, channel) not in self._hearings:
            found = []
            for lecture in clips() if voices == "people" else lectures("test", voices, self.takes):
                self.tell(f"{voices} voices, {channel}: {lecture.title}")
                found.append(self.heard(lecture, through(lecture, channel)))
            self._hearings[voices, channel] = found
        return self._hearings[voices, channel]

    def heard(self, lecture: Lecture, sound: NDArray[np.float32]) -> Hearing:
        """A recording as the model hears it, which came through as `sound` `(T,)`; kept by its sound.

        What the library has no drawing for need not be found in it.
        """
        titles = set(self._titles)
        said = tuple(replace(one, needed=one.needed and not titles.isdisjoint(one.accepted)) for one in lecture.said)
        lecture = replace(lecture, said=said)
        path = self.kept / f"{hashlib.sha256(sound.tobytes()).hexdigest()[:24]}.safetensors"
        if not path.exists():
            made = hear(self.model, self.config, lecture, sound)
            kept.save(path, made.embedded, made.gaps, made.cost_s)
        return Hearing(lecture, sound, *kept.load(path))

    def guesses(self, who: Peer | None, voices: Voices, channel: Channel = "clean") -> list[list[Guess]]:
        """What is heard in each recording, by a cascade of that size, or by the model."""
        if who is None:
            return [self.of_model(hearing) for hearing in self.by_model(voices, channel)]
        if (who, voices, channel) not in self._guesses:
            found = []
            for hearing in self.by_model(voices, channel):
                self.tell(f"cascade {who}, {voices} voices, {channel}: {hearing.lecture.title}")
                found.append(self.of_cascade(who, hearing.lecture, hearing.sound))
            self._guesses[who, voices, channel] = found
        return self._guesses[who, voices, channel]

    def of_model(self, hearing: Hearing) -> list[Guess]:
        """What the model heard in a recording, by the library's titles."""
        things = titled(hearing.things, self._titles, self.library.vectors)
        return [Guess(each.title, (each.start_s + each.end_s) / 2, each.confidence) for each in things]

    def of_cascade(self, who: Peer, lecture: Lecture, sound: NDArray[np.float32]) -> list[Guess]:
        """What a cascade hears in one."""
        assert self.library.vectors is not None
        return transcribed.hear(self.cascade(who), lecture, sound, self._titles, self.library.vectors)

    def cascade(self, who: Peer) -> Cascade:
        """The cascade of that size; its transcripts are kept by the sound."""
        if who not in self._cascades:
            self._cascades[who] = Cascade(self.work, who)
        return self._cascades[who]

    @property
    def grounding(self) -> tuple[Grounding, Vocabulary]:
        """What hears single things in the model, and what it listens for.

        Raises:
            ModelError: it hears none.
        """
        encoder = self.model.encoder
        if not isinstance(encoder, ThingHearer) or encoder.grounding is None:
            raise no_grounding(self.config.model.checkpoint or "the model")
        return encoder.grounding

    @property
    def least(self) -> float:
        """The confidence from which the model tells a thing, as it is set up."""
        return confidence_for(PRECISION, self.grounding[0].config.limits)

    @cached_property
    def _titles(self) -> list[str]:
        return [info.concept for info in self.library.infos]
