"""Recordings of people with what they say, for testing only: nothing is ever trained on them, and none is shipped.

asterisk          prompts of a telephone exchange, words to sentences, one professional speaker, 8 kHz;
                  CC BY-SA 3.0, Allison Smith
ktuberling        names of things that a children's game shows, one speaker, 44.1 kHz; GPL-2+, the KDE team
pocketsphinx      sentences of an audiobook and names of playing cards, 16 kHz; BSD-2, Carnegie Mellon University
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2i_core.audio.decode import decode
from s2i_core.config import AudioConfig
from s2i_core.corpus.sources.packages import Package, fetch

ASTERISK = Package(
    "debian",
    "asterisk-core-sounds-en-wav",
    "1.6.1-1",
    "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
)
ASTERISK_TEXTS = Package(
    "debian", "asterisk-core-sounds-en", "1.6.1-1", "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50"
)
KTUBERLING = Package(
    "debian", "ktuberling-data", "4:22.12.3-1", "fba44c875bfa31ea488dadd9263e87a4dcaea0bd47d28817f6c0dc6d2af970ed"
)
POCKETSPHINX = Package(
    "debian",
    "pocketsphinx-testdata",
    "0.8+5prealpha+1-15",
    "eaeb7a01d54f20b799d1a81ef110ec544b2cb47ea006614078220737a33019f0",
)

#: Words, with the stops of a sentence; letters, numerals and descriptions of tones are left out.
_WORDS = re.compile(r"[A-Za-z][A-Za-z' ,.?!-]*")
_GAME = {
    "palmtree": "palm tree",
    "sphynx": "sphinx",
    "broccolli": "broccoli",
    "fallingstar": "falling star",
    "moonwalker": "moon walker",
}


@dataclass(frozen=True)
class HumanRecording:
    """A person saying something.

    Attributes:
        text: what is said, in lower case and without stops at its ends.
        source: `asterisk`, `ktuberling` or `pocketsphinx`.
        path: the file.
    """

    text: str
    source: str
    path: Path

    @property
    def words(self) -> int:
        """How many there are."""
        return len(self.text.split())

    def waveform(self) -> NDArray[np.float32]:
        """The sound `(T,)`, mono at 16 kHz.

        Raises:
            DecodeError: the file is damaged.
        """
        with self.path.open("rb") as file:
            return np.concatenate(list(decode(file, self.path.name, AudioConfig())))


def recordings(cache_dir: Path | None = None) -> list[HumanRecording]:
    """All of them, each text once, in the order of the sources.

    Raises:
        PackageError: a package cannot be fetched, for example because the machine has no apt.
    """
    found: dict[str, HumanRecording] = {}
    for one in (*_asterisk(cache_dir), *_ktuberling(cache_dir), *_pocketsphinx(cache_dir)):
        found.setdefault(one.text, one)
    return list(found.values())


def _asterisk(cache_dir: Path | None) -> Iterator[HumanRecording]:
    sounds = fetch(ASTERISK, cache_dir) / "usr/share/asterisk/sounds/en_US_f_Allison"
    texts = fetch(ASTERISK_TEXTS, cache_dir) / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    for line in gzip.decompress(texts.read_bytes()).decode("utf-8", errors="replace").splitlines():
        name, colon, said = line.partition(":")
        text = _plain(said)
        path = sounds / f"{name.strip()}.wav"
        if colon and text and not line.startswith(";") and path.is_file():
            yield HumanRecording(text, "asterisk", path)


def _ktuberling(cache_dir: Path | None) -> Iterator[HumanRecording]:
    for path in sorted((fetch(KTUBERLING, cache_dir) / "usr/share/ktuberling/sounds/en").glob("*.ogg")):
        name = path.stem.rpartition("_")[2]
        if text := _plain(_GAME.get(name, name)):
            yield HumanRecording(text, "ktuberling", path)


def _pocketsphinx(cache_dir: Path | None) -> Iterator[HumanRecording]:
    data = fetch(POCKETSPHINX, cache_dir) / "usr/share/pocketsphinx/test/data"
    for folder, transcription in (("librivox", "transcription"), ("cards", "cards.transcription")):
        for line in (data / folder / transcription).read_text(encoding="utf-8").splitlines():
            if match := re.fullmatch(r"<s> (.*?) +</s> \((.+)\)", line):
                yield HumanRecording(match[1].strip(), "pocketsphinx", data / folder / f"{match[2]}.wav")


def _plain(said: str) -> str:
    """Lower case, without the stops at the ends; empty for what is not plain words."""
    text = said.strip().strip(".").strip()
    if not _WORDS.fullmatch(text):
        return ""
    text = " ".join(text.lower().strip(" .,?!").split())
    return "" if any(len(word.strip(".,")) == 1 and word not in {"a", "i"} for word in text.split()) else text
