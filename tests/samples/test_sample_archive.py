"""The committed archive is what its README promises: formats, length, size, voices, two broken files."""

import json
import tomllib
from pathlib import Path

import av
import numpy as np
import pytest

from s2i_core.corpus.sources.voices import KOKORO_TEST

SAMPLES = Path(__file__).parents[2] / "samples"
SCRIPTS = [tomllib.loads(path.read_text()) for path in sorted((SAMPLES / "scripts").glob("*.toml"))]
BROKEN = ["truncated-lecture.m4a", "not-audio.mp3"]


def decoded(path: Path) -> tuple[np.ndarray, int]:
    """Samples `(channels, T)`, in [-1, 1], and their rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp")
        pieces = [
            piece.to_ndarray() for frame in (*container.decode(stream), None) for piece in resampler.resample(frame)
        ]
        return np.concatenate(pieces, axis=1), stream.rate


def test_the_archive_is_long_enough_and_small_enough():
    assert len(SCRIPTS) >= 7
    durations_s = [sound.shape[1] / rate for sound, rate in (decoded(SAMPLES / script["file"]) for script in SCRIPTS)]
    assert 11.5 * 60 <= sum(durations_s) <= 13 * 60
    assert sum(path.stat().st_size for path in SAMPLES.iterdir() if path.is_file()) < 8e6


def test_formats_rates_and_layouts_are_spread():
    assert {script["codec"] for script in SCRIPTS} == {"mp3", "aac", "opus", "flac", "pcm"}
    assert {script["channels"] for script in SCRIPTS} == {1, 2}
    rates = {script["rate_hz"] for script in SCRIPTS}
    assert (min(rates), max(rates)) == (8_000, 48_000)
    assert max(len(script["voices"]) for script in SCRIPTS) == 2


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script["file"])
def test_a_recording_is_as_its_script_says(script):
    sound, rate_hz = decoded(SAMPLES / script["file"])
    assert (len(sound), rate_hz) == (script["channels"], script["rate_hz"])
    assert 10 ** (-4 / 20) < np.abs(sound).max() < 10 ** (-2 / 20)
    events = json.loads((SAMPLES / "transcripts.json").read_text())[script["file"]]["events"]
    loudness = {
        kind: [np.abs(sound[:, round(start * rate_hz) : round(end * rate_hz)]).mean() for start, end in times]
        for kind in ("speech", "silence")
        if (times := [(event["start_s"] + 0.1, event["end_s"] - 0.1) for event in events if event["kind"] == kind])
    }
    assert min(loudness["speech"]) > 0.02
    assert max(loudness.get("silence", [0.0])) < 0.001
    assert len(loudness["speech"]) == sum(len(part.get("lines", [])) for part in script["part"])


def test_the_voices_are_strangers_to_the_model():
    voices = {voice for script in SCRIPTS for voice in script["voices"].values()}
    assert voices <= {f"kokoro:{name}" for name in KOKORO_TEST}


@pytest.mark.parametrize("name", BROKEN)
def test_the_broken_files_cannot_be_decoded(name):
    with pytest.raises(av.FFmpegError):
        decoded(SAMPLES / name)
