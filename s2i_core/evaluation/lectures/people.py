"""What people say, as far as openly licensed recordings of it come in packages: for reporting only, never trained on.

Prompts of a telephone exchange, a children's game that names what it shows, a few sentences of an audiobook
(`corpus/sources/human.py`). A text says what is named but not when, so a thing counts wherever it is heard in its clip.
Nine of ten clips name nothing of the library, and of those every fourth is taken: what is heard there is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.corpus.lexicon import Lexicon
from s2i_core.corpus.sources import human
from s2i_core.corpus.sources.human import HumanRecording
from s2i_core.english.vocabulary import english
from s2i_core.evaluation.lectures.passages import accepted_for
from s2i_core.evaluation.lectures.score import TimedMention
from s2i_core.evaluation.lectures.spoken import Lecture

_NAMELESS_EVERY = 4
_NAME_WORDS = 2
"""A clip of so few words is a name and no verb: "saw" in a game that shows things is a saw."""


def clips() -> Iterator[Lecture]:
    """Each recording with what it names of the library; of those that name nothing, every `_NAMELESS_EVERY`th.

    Raises:
        PackageError: a package cannot be fetched, for example because the machine has no apt.
    """
    lexicon = Lexicon(english().concepts.values(), {})
    nameless = 0
    for recording in human.recordings():
        if not lexicon.named_in(recording.text):
            nameless += 1
            if nameless % _NAMELESS_EVERY:
                continue
        yield clip(recording, lexicon)


def clip(recording: HumanRecording, lexicon: Lexicon) -> Lecture:
    """A recording as a lecture; what may be named or not need not be found."""
    sound = recording.waveform()
    end_s = len(sound) / SAMPLING_RATE_HZ
    said = []
    for named in lexicon.named_in(recording.text):
        words = recording.text[named.start : named.end]
        thing = lexicon.of(words) if named.thing is None else named.thing
        if thing is not None:
            accepted = accepted_for(words) | {lexicon.things[thing].names[0].singular}
            needed = named.thing is not None or recording.words <= _NAME_WORDS
            said.append(TimedMention(0.0, end_s, accepted, needed))
    return Lecture(recording.text, recording.source, recording.source, sound, tuple(said), ())
