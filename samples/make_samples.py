"""Make the sample archive from the scripts beside this file: `python -m samples.make_samples`.

Needs the `train` extra (a neural voice says every sentence) and takes about ten minutes on one core; a sentence that
was said before comes from the cache. The same machine makes the same bytes again; other processors may differ in the
last bits of a sample.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from rich.progress import track

from s2i_core.corpus.augment import resample, rms, trim_silence
from s2i_core.corpus.sources.packages import default_cache
from s2i_core.corpus.sources.voices import KOKORO_MODEL_PARTS, KOKORO_RATE_HZ, KOKORO_VOICES, voice_named

FOLDER = Path(__file__).resolve().parent

PEAK = 10 ** (-3 / 20)
SPEECH_RMS = 0.08
PAUSE_S = (0.6, 1.0)
TOPIC_PAUSE_S = 1.5
EDGE_S = 0.5
STEREO_WIDTH = 0.35
LAYOUTS = {1: "mono", 2: "stereo"}

#: `(T,)`, or `(2, T)` where a function says stereo.
Sound = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """One sentence of a script."""

    topic: str
    speaker: str
    voice: str
    text: str


@dataclass(frozen=True)
class Script:
    """One recording to be made: what is said, and how it is encoded."""

    title: str
    file: str
    codec: str
    rate_hz: int
    channels: int
    bit_rate: int | None
    voices: dict[str, str]
    parts: list[dict[str, Any]]

    def lines(self, part: dict[str, Any]) -> Iterator[Line]:
        """The sentences of a part; a script of one voice leaves the speaker's name out."""
        for text in part.get("lines", []):
            speaker, _, sentence = text.partition(": ") if len(self.voices) > 1 else (next(iter(self.voices)), "", text)
            yield Line(part["topic"], speaker, self.voices[speaker], sentence)


@dataclass
class Recording:
    """Sound `(2, T)` at KOKORO_RATE_HZ, and what is heard when."""

    sound: Sound
    events: list[dict[str, Any]] = field(default_factory=list)


def load_scripts() -> list[Script]:
    """Every script of the archive, by the name of its recording."""
    scripts = []
    for path in (FOLDER / "scripts").glob("*.toml"):
        fields = tomllib.loads(path.read_text())
        scripts.append(Script(parts=fields.pop("part"), bit_rate=fields.pop("bit_rate", None), **fields))
    return sorted(scripts, key=lambda script: script.file)


def say(line: Line) -> Sound:
    """The sentence `(T,)` at KOKORO_RATE_HZ, without silence at its ends, all voices equally loud; cached."""
    pins = [KOKORO_VOICES.sha256, *(package.sha256 for package in KOKORO_MODEL_PARTS)]
    key = hashlib.sha256("\n".join([line.voice, line.text, *pins]).encode()).hexdigest()[:24]
    path = default_cache().parent / "samples" / f"{key}.npy"
    if path.is_file():
        spoken: Sound = np.load(path)
    else:
        spoken, _ = voice_named(line.voice).say(line.text)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, spoken)
        partial.replace(path)
    spoken = trim_silence(spoken, KOKORO_RATE_HZ)
    return spoken * np.float32(SPEECH_RMS / rms(spoken))


def music(duration_s: float) -> Sound:
    """Plucked chords going up and down over a bass, `(2, T)`: our own tune, four bars that repeat."""
    chords = ((48, 60, 64, 67, 72), (45, 57, 60, 64, 69), (41, 57, 60, 65, 69), (43, 59, 62, 67, 71))
    beat_s = 0.3
    figure = (1, 2, 3, 4, 3, 2, 1, 2)
    sound = np.zeros((2, round(duration_s * KOKORO_RATE_HZ)), np.float32)
    time_s = np.arange(round(2.4 * KOKORO_RATE_HZ)) / KOKORO_RATE_HZ
    for step in range(int((duration_s - 2.4) / beat_s)):
        bar, beat = divmod(step, len(figure))
        chord = chords[bar % len(chords)]
        notes = [(chord[figure[beat]], 0.5, 0.6 * np.sin(step))]
        if beat == 0:
            notes.append((chord[0], 0.8, 0.0))
        for pitch, loudness, pan in notes:
            hz = 440 * 2 ** ((pitch - 69) / 12)
            tone = sum(np.sin(2 * np.pi * k * hz * time_s) * np.exp(-(1.5 + k) * time_s) / k**1.5 for k in range(1, 7))
            tone = loudness * tone * np.minimum(1, time_s / 0.004) * np.minimum(1, (2.4 - time_s) / 0.05)
            start = round(step * beat_s * KOKORO_RATE_HZ)
            sound[:, start : start + len(tone)] += _placed(tone, pan)
    return sound * np.float32(SPEECH_RMS / rms(sound))


def _placed(mono: Sound, pan: float) -> Sound:
    """`(T,)` → `(2, T)` at a place from -1 (left) to 1 (right), with equal power everywhere."""
    angle = (pan + 1) * np.pi / 4
    return np.stack([np.cos(angle) * mono, np.sin(angle) * mono]).astype(np.float32)


def render(script: Script) -> Recording:
    """Put sentences, pauses, music and silence one after another."""
    pauses = np.random.default_rng(zlib.crc32(script.file.encode()))
    places = dict(zip(script.voices, np.linspace(-1, 1, len(script.voices)) * STEREO_WIDTH, strict=True))
    if len(script.voices) == 1:
        places = dict.fromkeys(script.voices, 0.0)
    pieces = [_silence(EDGE_S)]
    events: list[dict[str, Any]] = []

    def add(piece: Sound, kind: str, **facts: str) -> None:
        start = sum(earlier.shape[1] for earlier in pieces)
        seconds = {"start_s": start / KOKORO_RATE_HZ, "end_s": (start + piece.shape[1]) / KOKORO_RATE_HZ}
        events.append({"kind": kind, **{name: round(value, 3) for name, value in seconds.items()}, **facts})
        pieces.append(piece)

    for part in script.parts:
        if "music_s" in part:
            add(music(part["music_s"]), "music")
        elif "silence_s" in part:
            add(_silence(part["silence_s"]), "silence")
        for line in script.lines(part):
            spoken = _placed(say(line), places[line.speaker])
            add(spoken, "speech", topic=line.topic, speaker=line.speaker, voice=line.voice, text=line.text)
            pieces.append(_silence(pauses.uniform(*PAUSE_S)))
        pieces[-1] = _silence(TOPIC_PAUSE_S) if "lines" in part else pieces[-1]
    sound = np.concatenate([*pieces[:-1], pieces[-1] if "music_s" in script.parts[-1] else _silence(EDGE_S)], axis=1)
    return Recording(sound * (PEAK / np.abs(sound).max()), events)


def _silence(seconds: float) -> Sound:
    return np.zeros((2, round(seconds * KOKORO_RATE_HZ)), np.float32)


def encode(script: Script, sound: Sound, path: Path) -> None:
    """Write the sound `(2, T)` as the script says; the file names no encoder version and no date."""
    channels = [sound.mean(axis=0)] if script.channels == 1 else list(sound)
    resampled = np.stack([resample(channel, KOKORO_RATE_HZ, script.rate_hz) for channel in channels])
    resampled *= PEAK / np.abs(resampled).max()
    layout = LAYOUTS[script.channels]
    codec = {"mp3": "libmp3lame", "opus": "libopus", "pcm": "pcm_s16le"}.get(script.codec, script.codec)
    container_format = {".m4a": "ipod", ".opus": "ogg"}.get(path.suffix, path.suffix[1:])
    with av.open(str(path), "w", format=container_format, options={"fflags": "+bitexact"}) as container:
        container.metadata["title"] = script.title
        stream = container.add_stream(codec, rate=script.rate_hz)
        stream.layout = layout
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        if script.bit_rate is not None:
            stream.bit_rate = script.bit_rate
        # Rounded here rather than by the encoder, whose dither would differ from run to run.
        samples = np.round(resampled * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T.reshape(1, -1)), format="s16", layout=layout)
        frame.sample_rate = script.rate_hz
        frame.pts = 0
        for source in (frame, None):
            container.mux(stream.encode(source))


README = """\
# The sample archive

{count} recordings, {minutes} minutes in all: lectures, a story and a podcast of two voices, in the formats, channel
layouts and sampling rates that archives hold. Two more files are broken on purpose. `make demo` puts all of them into
a bucket.

| file | format | rate | channels | duration | size | voices | title |
|---|---|---|---|---|---|---|---|
{rows}
| `truncated-lecture.m4a` | MP4 without its index | | | none | {truncated} kB | | the start of a lecture |
| `not-audio.mp3` | plain text | | | none | {not_audio} kB | | a shopping list under a wrong name |

- Texts: written for this archive, in `scripts/`. The music is composed by `make_samples.py`.
- Voices: Kokoro-82M, only such as are never used in training (`KOKORO_TEST` in
  `s2i_core/corpus/sources/voices.py`), so the model hears them for the first time.
- `transcripts.json`: each sentence, piece of music and long silence with start and end. For evaluation only: nothing in
  the product reads it, and the model never sees a text.
- Licence: recordings and texts as the project (Apache-2.0); the voices' licences are in `NOTICE`.

Made by `python -m samples.make_samples` (extra `train`), this page included.
"""


def table_row(script: Script, path: Path) -> tuple[str, float]:
    """The README's line on a recording, with what a decoder finds in it, and its duration in seconds."""
    names = {"mp3": "MP3", "aac": "M4A/AAC", "opus": "Ogg/Opus", "flac": "FLAC", "pcm": "WAV"}
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        duration_s = sum(frame.samples for frame in container.decode(stream)) / stream.rate
        rate_khz = stream.rate / 1000
    voices = ", ".join(f"`{voice.removeprefix('kokoro:')}`" for voice in script.voices.values())
    length = f"{int(duration_s) // 60}:{int(duration_s) % 60:02d}"
    cells = [f"`{path.name}`", names[script.codec], f"{rate_khz:g} kHz", LAYOUTS[script.channels], length]
    cells += [f"{path.stat().st_size / 1000:.0f} kB", voices, script.title]
    return f"| {' | '.join(cells)} |", duration_s


def main() -> None:
    """Make every recording, the two broken files, the transcripts and the README."""
    transcripts, rows, total_s = {}, [], 0.0
    for script in track(load_scripts(), description="samples"):
        path = FOLDER / script.file
        recording = render(script)
        encode(script, recording.sound, path)
        transcripts[script.file] = {"title": script.title, "events": recording.events}
        row, duration_s = table_row(script, path)
        rows.append(row)
        total_s += duration_s
    # The index of an MP4 file is its last box: without it nothing can be decoded.
    whole = (FOLDER / "weather-and-seasons.m4a").read_bytes()
    (FOLDER / "truncated-lecture.m4a").write_bytes(whole[: len(whole) * 2 // 5])
    (FOLDER / "not-audio.mp3").write_text("This is a shopping list: apples, bread, milk.\n" * 40)
    (FOLDER / "transcripts.json").write_text(json.dumps(transcripts, indent=1, ensure_ascii=False) + "\n")
    kilobytes = {name: (FOLDER / name).stat().st_size / 1000 for name in ("truncated-lecture.m4a", "not-audio.mp3")}
    readme = README.format(
        count=len(rows),
        minutes=f"{total_s / 60:.1f}",
        rows="\n".join(rows),
        truncated=round(kilobytes["truncated-lecture.m4a"]),
        not_audio=round(kilobytes["not-audio.mp3"]),
    )
    (FOLDER / "README.md").write_text(readme)


if __name__ == "__main__":
    main()
