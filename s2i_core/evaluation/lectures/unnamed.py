"""Sound in which nothing is named that could be drawn, though it may seem so: whatever is told of it is wrong.

Two people at once, names that are words, letters and numbers, words of other languages, laughter, coughing, singing
without words. Spoken by the voices of the lecture tests; coughs and singing are made of noise and harmonics.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.evaluation.lectures.passages import Line, Script
from s2i_core.evaluation.lectures.spoken import NEURAL, Lecture, speak

_SAID = {
    "names": (
        "Mr Fox will see you on Thursday, and Mrs Wood has asked to be there too.",
        "I used to work with Robin Bell, who later went on to join Alan Baker.",
        "Doctor Finch left the firm to Rose Carpenter and her brother Pierce.",
    ),
    "letters and numbers": (
        "A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W, X, Y, Z.",
        "Seven, four, nine, double three, zero, eight, and then sixteen, twenty-two, ninety-one.",
        "The code is K, 4, T, 9, X, 2, and the amount comes to eleven thousand and fifty.",
    ),
    "other languages": (
        "Guten Morgen, wie geht es Ihnen, das freut mich aber sehr.",
        "Bonsoir, je ne sais pas encore, mais nous verrons bien demain.",
        "Buenas tardes, no lo entiendo todavía, pero ya veremos.",
    ),
    "laughter": ("Ha ha ha ha, ha ha, oh, ha ha ha ha ha.", "He he he, hm, ha ha ha, oh no, ha ha."),
    "nothing much": (
        "So in the end it did not matter much, since nobody had asked for it in the first place.",
        "It depends on what you expect, and whether you are willing to wait a little longer.",
        "As far as I can tell, that was never really the intention.",
    ),
}
_TWO = ("nothing much", "letters and numbers")
_SONG_HZ = (220.0, 247.0, 262.0, 294.0, 330.0, 294.0, 262.0, 220.0)
_VOWELS_HZ = ((700.0, 1200.0), (400.0, 800.0), (300.0, 2200.0))


def sounds() -> Iterator[Lecture]:
    """One of each kind, which is its title, by each of two voices, some ten to twenty seconds; the same every time."""
    rng = np.random.default_rng(0)
    for voice in NEURAL["test"][:2]:
        said = {kind: _speak(kind, texts, voice) for kind, texts in _SAID.items()}
        yield from said.values()
        first, second = (said[kind] for kind in _TWO)
        length = min(len(first.sound), len(second.sound))
        both = np.asarray((first.sound[:length] + second.sound[:length]) / 2, np.float32)
        words = sorted((*first.words, *second.words), key=lambda word: word[1])
        yield Lecture("two at once", "nothing", voice, both, (), tuple(words))
        yield Lecture("coughs", "nothing", voice, _coughs(rng), (), ())
        yield Lecture("singing", "nothing", voice, _singing(rng), (), ())


def _speak(kind: str, texts: tuple[str, ...], voice: str) -> Lecture:
    return speak(Script(kind, "nothing", tuple(Line(text, ()) for text in texts)), voice)


def _coughs(rng: np.random.Generator) -> NDArray[np.float32]:
    """Bursts of noise that swell in no time and die away, as from a throat: dull, in twos and threes."""
    made = np.zeros(10 * SAMPLING_RATE_HZ, np.float32)
    for start_s in (0.5, 0.9, 3.0, 3.4, 3.8, 7.0, 7.45):
        length = round(0.3 * SAMPLING_RATE_HZ)
        burst = np.convolve(rng.standard_normal(length), np.hanning(14), "same")
        burst *= np.exp(-np.arange(length) / (0.08 * SAMPLING_RATE_HZ))
        at = round(start_s * SAMPLING_RATE_HZ)
        made[at : at + length] += (0.3 * burst / np.abs(burst).max()).astype(np.float32)
    return _room(made, rng)


def _singing(rng: np.random.Generator) -> NDArray[np.float32]:
    """A tune on vowels: harmonics under two formants, with vibrato."""
    notes = []
    for number, pitch_hz in enumerate(_SONG_HZ * 2):
        at_s = np.arange(round(0.7 * SAMPLING_RATE_HZ)) / SAMPLING_RATE_HZ
        phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * at_s))) / SAMPLING_RATE_HZ
        note = np.zeros(len(at_s))
        for harmonic in range(1, int(4000 / pitch_hz)):
            near = min(abs(harmonic * pitch_hz - formant) for formant in _VOWELS_HZ[number % 3])
            note += np.exp(-near / 150) / harmonic**0.5 * np.sin(harmonic * phase)
        rise = np.minimum(1, np.minimum(at_s, at_s[::-1]) / 0.05)
        notes.append(0.2 * note * rise / np.abs(note).max())
    return _room(np.concatenate(notes).astype(np.float32), rng)


def _room(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    return sound + (10 ** (-65 / 20) * rng.standard_normal(len(sound))).astype(np.float32)
