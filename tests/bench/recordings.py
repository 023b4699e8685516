"""Long recordings in every format, made from the sample archive by repetition."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame

SAMPLES = Path(__file__).parents[2] / "samples"
SPOKEN = ("farm-morning.mp3", "music-lesson.mp3", "fruit-market.flac", "zoo-podcast.ogg", "sea-animals.opus")
TEN_MINUTES_S = 600

#: Format → container, codec, sampling rate in Hz, channels, bits a second.
FORMATS: dict[str, tuple[str, str, int, int, int | None]] = {
    "mp3": ("mp3", "libmp3lame", 44_100, 2, 96_000),
    "flac": ("flac", "flac", 44_100, 2, None),
    "opus": ("ogg", "libopus", 48_000, 2, 48_000),
    "m4a": ("ipod", "aac", 44_100, 2, 96_000),
    "wav": ("wav", "pcm_s16le", 16_000, 1, None),
}


def ten_minutes(kind: str, path: Path) -> Path:
    """Ten minutes of the samples, one after the other and again, in one of `FORMATS`."""
    container, codec, rate_hz, channels, bit_rate = FORMATS[kind]
    layout = {1: "mono", 2: "stereo"}[channels]
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        if bit_rate:
            stream.bit_rate = bit_rate
        stream.codec_context.open()
        fit = av.AudioResampler(
            stream.codec_context.format.name, layout, rate_hz, frame_size=stream.codec_context.frame_size or 1024
        )
        heard = np.concatenate([sound(SAMPLES / name, rate_hz, layout) for name in SPOKEN], axis=1)
        heard = np.tile(heard, -(-TEN_MINUTES_S * rate_hz * channels // heard.shape[1]))
        frame = AudioFrame.from_ndarray(heard[:, : TEN_MINUTES_S * rate_hz * channels], "s16", layout)
        frame.sample_rate = rate_hz
        for part in [*fit.resample(frame), *fit.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return path


def repeated(source: Path, times: int, path: Path) -> Path:
    """The recording again and again as one file, its packets copied as they are."""
    with av.open(str(source)) as first:
        container = {".opus": "ogg", ".m4a": "ipod"}.get(source.suffix, source.suffix[1:])
        with av.open(str(path), "w", format=container) as output:
            template = first.streams.audio[0]
            stream = output.add_stream_from_template(template)
            at = 0
            for _ in range(times):
                first.seek(0)
                for packet in first.demux(template):
                    if packet.size and packet.duration:
                        packet.pts = packet.dts = at
                        at += packet.duration
                        packet.stream = stream
                        output.mux(packet)
    return path


def sound(path: Path, rate_hz: int, layout: str) -> np.ndarray:
    """int16, interleaved `(1, T * channels)`."""
    resampler = av.AudioResampler("s16", layout, rate_hz)
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        return np.concatenate([part.to_ndarray() for part in [*frames, *resampler.resample(None)]], axis=1)
