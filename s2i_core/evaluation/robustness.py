"""Speech as it is: noise, a telephone, other speakers, accents and rates; and sounds that are no speech at all."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from s2i_core.audio.features import SAMPLING_RATE_HZ
from s2i_core.audio.listen import listen
from s2i_core.config import AudioConfig
from s2i_core.corpus.augment import add_noise, telephone
from s2i_core.corpus.teacher import TextTeacher
from s2i_core.evaluation.examination import Examination
from s2i_core.evaluation.statistics import Cell, Figure, Part, Table, ranks, share
from s2i_core.evaluation.testset import RATES, SpokenPhrase
from s2i_core.evaluation.wav import wav

Waveform = NDArray[np.float32]

_NOISY_NEURAL, _NOISY_HUMAN = 3, 8
"""Every third neural and every eighth human clip is disturbed: the cascade has to transcribe them all again."""
_COLUMNS = ("speech", "model R@1", "model R@10", "cascade R@1", "cascade R@10")
_PEAK = 0.95
_SOUND_S = 8


def run(exam: Examination) -> Part:
    """Measure it."""
    figures: dict[str, Figure] = {}
    tables = [_disturbed(exam, figures), _rates(exam), _speakers(exam), _no_speech(exam, figures)]
    return Part(tables, figures)


def _disturbed(exam: Examination, figures: dict[str, Figure]) -> Table:
    tests = exam.tests
    groups = (
        ("neural", tests.neural[::_NOISY_NEURAL], tests.caption_vectors),
        ("human", tests.human[::_NOISY_HUMAN], TextTeacher()(tests.human_captions)),
    )
    rows: list[list[Cell]] = []
    for voice, clips, captions in groups:
        for name, disturb in _DISTURBANCES.items():
            exam.tell(f"{voice} voices, {name}")
            rng = np.random.default_rng(17)
            heard = [replace(clip, waveform=_limited(disturb(clip.waveform, rng))) for clip in clips]
            found = _compare(exam, heard, captions)
            rows.append([f"{voice}, {name}", *found])
            key = name.replace(" ", "_")
            for column, figure in zip(("r1", "r10", "r1_cascade", "r10_cascade"), found, strict=True):
                figures[f"{voice}_{key}_{column}"] = figure
    note = (
        "Speech to caption as in the part retrieval: neural voices in 1,000, people in 800. The noise is stationary "
        "and of a random colour, at a level under the speech; the telephone passes 300 to 3400 Hz."
    )
    return Table("Noise and telephone", _COLUMNS, rows, note)


def _rates(exam: Examination) -> Table:
    rows: list[list[Cell]] = []
    for rate in RATES:
        exam.tell(f"rate {rate}")
        rows.append(
            [f"{rate} × the ordinary rate", *_compare(exam, exam.tests.at_rate(rate), exam.tests.caption_vectors)]
        )
    return Table("Rate of speech, synthetic voices", _COLUMNS, rows, "Spoken faster and slower, not played so.")


def _speakers(exam: Examination) -> Table:
    rows: list[list[Cell]] = []
    for clips, (ours, theirs) in ((exam.tests.neural, exam.neural), (exam.tests.synthetic, exam.synthetic)):
        targets = [clip.target for clip in clips]
        places = [ranks(vectors, exam.tests.caption_vectors, targets) for vectors in (ours, theirs)]
        speaker = np.array([clip.voice for clip in clips])
        accents = np.array([_accent(clip.voice) for clip in clips])
        for groups in (accents, speaker):
            for group in sorted(set(groups.tolist())):
                chosen = groups == group
                found = [share(place[chosen] <= k) for place in places for k in (1, 10)]
                rows.append([group, *found])
    note = "Speech to caption in 1,000. Of a Kokoro voice the first letter is the accent, the second f or m."
    return Table("Accents and speakers", _COLUMNS, rows, note)


def _accent(voice: str) -> str:
    engine, _, name = voice.partition(":")
    if engine == "kokoro":
        return "neural, British" if name.startswith("b") else "neural, American"
    return "synthetic, New York" if name.startswith("en-us-nyc") else "synthetic, British"


def _compare(exam: Examination, clips: Sequence[SpokenPhrase], captions: NDArray[np.float32]) -> list[Figure]:
    targets = [clip.target for clip in clips]
    places = [ranks(vectors, captions, targets) for vectors in (exam.hear(clips), exam.read(clips))]
    return [share(place <= k) for place in places for k in (1, 10)]


def _no_speech(exam: Examination, figures: dict[str, Figure]) -> Table:
    """Silence, noise and music through the real way in: how many become an utterance?"""
    exam.tell("silence and music")
    rows: list[list[Cell]] = []
    everything: list[bool] = []
    for kind, sounds in _sounds():
        quiet = []
        for sound in sounds:
            listening = listen(io.BytesIO(wav(sound)), kind, AudioConfig())
            quiet.append(not list(listening))
        rows.append([kind, share(quiet)])
        everything += quiet
    figures["no_speech"] = share(everything)
    rows.append(["all", figures["no_speech"]])
    note = f"{_SOUND_S} s each, synthesised here; right is: no utterance is found, so that no picture is drawn."
    return Table("Sounds that are no speech", ("sound", "“no speech”"), rows, note)


def _sounds() -> Iterator[tuple[str, list[Waveform]]]:
    rng = np.random.default_rng(23)
    time_s = np.arange(_SOUND_S * SAMPLING_RATE_HZ) / SAMPLING_RATE_HZ
    noise = [rng.standard_normal(len(time_s)) for _ in range(6)]
    yield "digital silence", [np.zeros(len(time_s), np.float32)]
    yield "a quiet room", [(n * level).astype(np.float32) for n, level in zip(noise, (3e-4, 1e-3, 3e-3), strict=False)]
    yield "loud noise", [(n * 0.1).astype(np.float32) for n in noise[:2]] + [_brown(n) for n in noise[2:5]]
    yield "mains hum", [_tones(time_s, [f * k for k in (1, 2, 3, 5)], 0.05) for f in (50.0, 60.0)]
    yield "organ chords", [_chords(time_s, root) for root in (131.0, 165.0, 196.0, 220.0, 262.0)]
    yield "plucked melody", [_plucked(root, rng) for root in (196.0, 262.0, 330.0, 392.0, 523.0)]
    yield "drums", [_drums(rng, beat_s) for beat_s in (0.25, 0.4, 0.6)]
    yield "telephone tones", [_tones(time_s, pair, 0.2) for pair in ([350.0, 440.0], [941.0, 1336.0], [1000.0])]


def _tones(time_s: NDArray[np.float64], hz: Sequence[float], level: float) -> Waveform:
    return np.asarray(level * sum(np.sin(2 * np.pi * f * time_s) / len(hz) for f in hz), dtype=np.float32)


def _brown(noise: NDArray[np.float64]) -> Waveform:
    walk = np.cumsum(noise - noise.mean())
    return np.asarray(0.3 * walk / np.abs(walk).max(), dtype=np.float32)


def _chords(time_s: NDArray[np.float64], root_hz: float) -> Waveform:
    """A cadence, two seconds a chord, with overtones."""
    sound = np.zeros(len(time_s), np.float64)
    for n, steps in enumerate(((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))):
        now = (time_s >= 2 * n) & (time_s < 2 * n + 2)
        for step in steps:
            hz = root_hz * 2 ** (step / 12)
            sound[now] += sum(np.sin(2 * np.pi * hz * k * time_s[now]) / k for k in (1, 2, 3, 4))
    return np.asarray(0.2 * sound / np.abs(sound).max(), dtype=np.float32)


def _plucked(root_hz: float, rng: np.random.Generator) -> Waveform:
    """A melody of plucked strings (Karplus and Strong 1983)."""
    notes = []
    for step in (0, 2, 4, 7, 4, 2, 0, 5, 4, 2, 7, 9, 7, 4, 2, 0):
        period = round(SAMPLING_RATE_HZ / (root_hz * 2 ** (step / 12)))
        string = rng.uniform(-1, 1, period)
        note = np.empty(SAMPLING_RATE_HZ // 2)
        for first in range(0, len(note), period):
            note[first : first + period] = string[: len(note) - first]
            string = 0.498 * (string + np.roll(string, 1))
        notes.append(note)
    return np.asarray(0.3 * np.concatenate(notes), dtype=np.float32)


def _drums(rng: np.random.Generator, beat_s: float) -> Waveform:
    sound = np.zeros(_SOUND_S * SAMPLING_RATE_HZ)
    decay = np.exp(-np.arange(SAMPLING_RATE_HZ // 5) / (0.03 * SAMPLING_RATE_HZ))
    for n, first in enumerate(range(0, len(sound) - len(decay), round(beat_s * SAMPLING_RATE_HZ))):
        tone = np.sin(2 * np.pi * 70 * np.arange(len(decay)) / SAMPLING_RATE_HZ)
        sound[first : first + len(decay)] += decay * (tone if n % 2 else rng.standard_normal(len(decay)) * 0.5)
    return np.asarray(0.5 * sound / np.abs(sound).max(), dtype=np.float32)


def _limited(sound: Waveform) -> Waveform:
    peak = float(np.abs(sound).max(initial=0))
    return sound * np.float32(_PEAK / peak) if peak > _PEAK else sound


def _noise(snr_db: float) -> Callable[[Waveform, np.random.Generator], Waveform]:
    return lambda sound, rng: add_noise(sound, SAMPLING_RATE_HZ, snr_db, rng)


_DISTURBANCES: dict[str, Callable[[Waveform, np.random.Generator], Waveform]] = {
    "clean": lambda sound, _: sound,
    "noise 20 dB": _noise(20),
    "noise 10 dB": _noise(10),
    "noise 0 dB": _noise(0),
    "telephone": lambda sound, _: telephone(sound, SAMPLING_RATE_HZ),
}
