"""The card says what is in the folder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from tiny import tiny_library

from s2i_core.corpus.compose import SpriteBook
from s2i_core.corpus.folder import CAPTIONED_FOLDER
from s2i_core.corpus.speech_set import Utterance, build_speech_set
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.training.data import build, card
from s2i_core.training.data.config import DataConfig


class Hum:
    """Says everything in one second."""

    def say(self, text):
        return np.full(16_000, 0.1, np.float32), 16_000


def hum(_):
    return Hum()


def test_the_card_counts_what_was_built(tmp_path: Path) -> None:
    library = tiny_library()
    library.save(tmp_path / "library")
    infos = [replace(info, style="sketch", source="Hand", licence="CC-BY-4.0") for info in library.infos]
    infos[1] = replace(infos[1], title=infos[0].title)
    SpriteLibrary(infos, library.webp).save(tmp_path / CAPTIONED_FOLDER)
    config = DataConfig(scenes=6, bare=1, tests=2)
    build._build_scenes(tmp_path, config, SpriteBook(library))
    (tmp_path / "phrases.txt").write_text("lighthouse\na tall tower\n")
    spoken = [Utterance(n, "a tower", voice) for n, voice in enumerate(("flite:slt", "espeak:en-us+f1", "flite:rms"))]
    build_speech_set(spoken, tmp_path / "speech-talk", voice_of=hum)
    page = card.write(tmp_path).read_text()
    found = json.loads((tmp_path / "card.json").read_text())
    assert found["scenes"] == {"train": 6 + len(library), "combinations": 2, "voices": 2}
    assert found["phrases"] == 2
    assert found["speech"]["talk"] == {
        "utterances": 3,
        "hours": 0.0,
        "median_s": 1.0,
        "engines": {"flite": 2, "espeak": 1},
        "voices": 3,
    }
    assert "| talk | 3 |" in page
    assert (found["sprites"], found["captioned"], found["titles"], found["illustrations"]) == (3, 3, 2, 6)
    assert found["styles"] == {"3d": 3, "sketch": 3}
    assert "| sketch | Hand | CC-BY-4.0 | 3 |" in page and "| 3d | tests | CC0-1.0 | 3 |" in page
