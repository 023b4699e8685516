"""What is said in the tests, by whom, and what would be right: made once, then kept in a folder.

A thousand phrases, none of which training says:

    scene        captions of composed scenes that show a combination which training never shows (`spec.split_of`); the
                 first `DRAWN` of them are drawn, a third each with a colour, a number and a relation
    everyday     `phrases.txt`, written for this test
    dictionary   WordNet's example phrases from the end of the order of which training takes the beginning

A scene is said in one of its wordings and is found by its plain caption; any other phrase is found by itself. Voices
are those with the role TEST (`training.sources.voices`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s2i_core.corpus.compose import SpriteBook, captions, sample_spec
from s2i_core.corpus.folder import held_out, title_vectors
from s2i_core.corpus.sources import captioned, human, images, voices, wordnet
from s2i_core.corpus.spec import SceneSpec, split_of
from s2i_core.corpus.speech_set import Utterance, build_speech_set
from s2i_core.corpus.teacher import TextTeacher, plain_caption
from s2i_core.models.decoders.native.library import SpriteLibrary

Kind = Literal["scene", "everyday", "dictionary"]
VoiceType = Literal["synthetic", "neural", "human"]

SCENES, DICTIONARY = 400, 401
DRAWN = 120
"""Scenes that are drawn; all of them are spoken by neural voices."""
NEURAL_PHRASES = 45
"""How many phrases of each other kind are spoken by neural voices, which take seconds each."""
SYNTHETIC_PHRASES = 60
TITLES = 120
"""How many of the held-out illustrations are asked for by their titles."""
RATES = (0.7, 1.0, 1.5)
RATE_PHRASES = 60
HUMAN_POOL = 800
SHORT_WORDS = 8
_SEED = 20_261_122
_SHARD = 10


@dataclass(frozen=True)
class Phrase:
    """Something to say.

    Attributes:
        said: the words.
        caption: what it is to be found by.
        spec: the scene that it describes, if it is of that kind.
    """

    said: str
    caption: str
    kind: Kind
    spec: SceneSpec | None = None

    @property
    def words(self) -> int:
        """How many are said."""
        return len(self.said.split())


@dataclass(frozen=True)
class SpokenPhrase:
    """A phrase said by somebody.

    Attributes:
        target: place of the right caption among those it is sought in.
        voice: the speaker's name.
        waveform: `(T,)`, 16 kHz.
    """

    said: str
    target: int
    voice: str
    type: VoiceType
    waveform: NDArray[np.float32]

    @property
    def words(self) -> int:
        """How many are said."""
        return len(self.said.split())


class TestSet:
    """The phrases and who says them.

    Args:
        folder: where they are kept; what is missing there is made (needs `infra/install.sh train`).
        library: of the model; scenes are drawn of its sprites.
    """

    __test__ = False  # no class of tests, whatever pytest thinks

    def __init__(self, folder: Path, library: SpriteLibrary) -> None:
        self.folder = folder
        self.book = SpriteBook(library, style=library.infos[0].style)

    @cached_property
    def phrases(self) -> list[Phrase]:
        """All thousand; a scene's sprites are those that the library has of its concepts."""
        path = self.folder / "phrases.jsonl"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".part")
            temporary.write_text("".join(f"{_to_json(phrase)}\n" for phrase in _phrases(self.book)), encoding="utf-8")
            temporary.rename(path)
        with path.open(encoding="utf-8") as file:
            return [_from_json(line, self.book.library) for line in file]

    @cached_property
    def drawn(self) -> list[int]:
        """Places of the scenes that are drawn."""
        return list(range(DRAWN))

    @cached_property
    def caption_vectors(self) -> NDArray[np.float32]:
        """The text teacher's vectors of the captions `(1000, E)`."""
        return TextTeacher()([phrase.caption for phrase in self.phrases])

    @cached_property
    def neural(self) -> list[SpokenPhrase]:
        """The drawn scenes and some of the other phrases, by the neural test voices in turn."""
        by_kind = {
            kind: [i for i, p in enumerate(self.phrases) if p.kind == kind] for kind in ("everyday", "dictionary")
        }
        places = [*self.drawn, *by_kind["everyday"][:NEURAL_PHRASES], *by_kind["dictionary"][:NEURAL_PHRASES]]
        names = [f"kokoro:{name}" for name in voices.KOKORO_TEST]
        return self._clips("neural", "neural", [(place, names[n % len(names)], 1.0) for n, place in enumerate(places)])

    @cached_property
    def synthetic(self) -> list[SpokenPhrase]:
        """Phrases of every kind by the formant test voices in turn."""
        by_kind = [
            [i for i, p in enumerate(self.phrases) if p.kind == kind] for kind in ("scene", "everyday", "dictionary")
        ]
        places = [place for some in by_kind for place in some[:SYNTHETIC_PHRASES]]
        return self._clips("synthetic", "synthetic", [(place, _formant(n), 1.0) for n, place in enumerate(places)])

    def at_rate(self, rate: float) -> list[SpokenPhrase]:
        """Some of the synthetic clips, spoken at another rate."""
        some = self.synthetic[:: max(1, len(self.synthetic) // RATE_PHRASES)][:RATE_PHRASES]
        return self._clips(f"rate-{rate}", "synthetic", [(clip.target, clip.voice, rate) for clip in some])

    @cached_property
    def people(self) -> list[human.HumanRecording]:
        """Recordings of people, with the short ones first."""
        found = human.recordings()
        return sorted(found, key=lambda one: one.words > SHORT_WORDS)

    @cached_property
    def human_captions(self) -> list[str]:
        """What the recordings of people are sought in: their texts, and phrases up to `HUMAN_POOL`."""
        texts = [one.text for one in self.people]
        return [*texts, *(phrase.caption for phrase in self.phrases[-(HUMAN_POOL - len(texts)) :])]

    @cached_property
    def human(self) -> list[SpokenPhrase]:
        """Single short phrases said by people; their targets are places of `human_captions`."""
        short = [(place, one) for place, one in enumerate(self.people) if one.words <= SHORT_WORDS]
        return [SpokenPhrase(one.text, place, one.source, "human", one.waveform()) for place, one in short]

    @cached_property
    def drawings(self) -> tuple[SpriteLibrary, NDArray[np.float32]]:
        """Single drawings of things that no part of the model was trained on, by hands that are not the library's.

        What a customer's own illustrations may be; still without vectors, and with the text teacher's vectors of their
        titles `(N, E)`.
        """
        folder = self.folder / "drawings"
        if not (folder / "sprites.json").exists():
            found = captioned.load(captioned.COLLECTIONS)
            names = [self.book.concept(sprite).names[0].indefinite() for sprite in range(len(self.book.library))]
            titles = [one.title for one in found]
            kept = held_out(titles, title_vectors(titles), TextTeacher()(names))
            images.library(one for one, is_kept in zip(found, kept, strict=True) if is_kept).save(folder)
        library = SpriteLibrary.load(folder)
        return library, title_vectors([info.title for info in library.infos])

    @cached_property
    def titles(self) -> list[SpokenPhrase]:
        """Titles of these drawings, by the neural test voices; the target is the first drawing of that title."""
        infos = self.drawings[0].infos
        first = {info.title: place for place, info in reversed(list(enumerate(infos)))}
        places = sorted(first.values())[:: max(1, len(first) // TITLES)][:TITLES]
        names = [f"kokoro:{name}" for name in voices.KOKORO_TEST]
        lines = [(infos[place].title, names[n % len(names)], 1.0) for n, place in enumerate(places)]
        return [
            SpokenPhrase(said, place, voice, "neural", waveform)
            for place, (said, voice, _), waveform in zip(places, lines, self.say("titles", lines), strict=True)
            if len(waveform)
        ]

    def say(self, name: str, lines: Sequence[tuple[str, str, float]]) -> list[NDArray[np.float32]]:
        """Waveforms of (text, voice, speed), 16 kHz, synthesised once under that name; one without sound is empty."""
        utterances = [Utterance(n, text, voice, speed) for n, (text, voice, speed) in enumerate(lines)]
        spoken = build_speech_set(utterances, self.folder / f"speech-{name}", shard_size=_SHARD)
        found = {text_id: waveform for waveform, text_id, _ in spoken}
        return [found.get(n, np.zeros(0, np.float32)) for n in range(len(lines))]

    def _clips(self, name: str, kind: VoiceType, chosen: Sequence[tuple[int, str, float]]) -> list[SpokenPhrase]:
        lines = [(self.phrases[place].said, voice, rate) for place, voice, rate in chosen]
        return [
            SpokenPhrase(said, place, voice, kind, waveform)
            for (place, voice, _), (said, _, _), waveform in zip(chosen, lines, self.say(name, lines), strict=True)
            if len(waveform)
        ]


def _formant(n: int) -> str:
    return f"espeak:{voices.ESPEAK_TEST[n % len(voices.ESPEAK_TEST)]}"


def _phrases(book: SpriteBook) -> Iterator[Phrase]:
    rng = np.random.default_rng(_SEED)
    taken: set[str] = set()

    def scenes(wanted: Callable[[SceneSpec], bool], count: int) -> Iterator[Phrase]:
        while count:
            spec = sample_spec(rng, book)
            caption = plain_caption(spec, book.vocabulary) if split_of(spec) == "test" and wanted(spec) else ""
            if caption and caption not in taken:
                taken.add(caption)
                count -= 1
                yield Phrase(captions(spec, book, rng, 1)[0], caption, "scene", spec)

    third = DRAWN // 3
    yield from scenes(lambda spec: len(spec.groups) == 1 and spec.groups[0].colour is not None, third)
    yield from scenes(lambda spec: len(spec.groups) == 1 and spec.groups[0].count > 1, third)
    yield from scenes(lambda spec: len(spec.groups) == 2 and spec.relation is not None, third)
    yield from scenes(lambda _: True, SCENES - 3 * third)
    written = resources.files("s2i_core.evaluation").joinpath("phrases.txt").read_text(encoding="utf-8")
    yield from (Phrase(text, text, "everyday") for text in written.splitlines())
    examples = wordnet.examples(1_000_000)[-DICTIONARY:]
    yield from (Phrase(text, text, "dictionary") for text in examples)


def _to_json(phrase: Phrase) -> str:
    spec = json.loads(phrase.spec.to_json()) if phrase.spec else None
    return json.dumps({"said": phrase.said, "caption": phrase.caption, "kind": phrase.kind, "spec": spec})


def _from_json(line: str, library: SpriteLibrary) -> Phrase:
    row = json.loads(line)
    spec = SceneSpec.from_json(json.dumps(row.pop("spec"))) if row["spec"] else row.pop("spec")
    return Phrase(**row, spec=spec and _of_library(spec, library))


def _of_library(spec: SceneSpec, library: SpriteLibrary) -> SceneSpec:
    """The spec with the sprites that this library has of its concepts; the order of sprites is no promise."""
    groups = tuple(replace(group, sprite=library.members(group.concept)[0]) for group in spec.groups)
    slots = tuple(replace(slot, sprite=library.members(slot.concept)[0]) for slot in spec.slots)
    return replace(spec, groups=groups, slots=slots)
