"""Audio files of every kind, made in code."""

from __future__ import annotations

import io
import struct
import tempfile
import wave
from pathlib import Path

import av
import numpy as np

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def tone(seconds: float, rate_hz: int, channels: int = 1) -> np.ndarray:
    """The same 300 Hz tone in every channel `(T, channels)`, amplitude 0.3."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.repeat(0.3 * np.sin(2 * np.pi * 300 * time_s)[:, None], channels, axis=1)


def wav(samples: np.ndarray, rate_hz: int) -> bytes:
    """16-bit PCM of `(T, channels)`."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def float_wav(samples: np.ndarray, rate_hz: int) -> bytes:
    """32-bit float PCM of `(T,)`, whatever the values."""
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<IHHIIHH", 16, 3, 1, rate_hz, rate_hz * 4, 4, 32)
    header = b"WAVEfmt " + form + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(header) + len(data)) + header + data


def encoded(
    samples: np.ndarray,
    rate_hz: int,
    container: str,
    codec: str,
    *,
    video: bool = False,
    options: dict[str, str] | None = None,
) -> bytes:
    """`(T, channels)` in any container and codec, with a moving picture beside it if wanted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        with av.open(str(path), "w", format=container, options=options or {}) as output:
            layout = LAYOUTS[samples.shape[1]]
            track = output.add_stream(codec, rate=rate_hz, layout=layout)
            if video:
                picture = output.add_stream("mpeg4", rate=10)
                picture.width = picture.height = 64
                picture.pix_fmt = "yuv420p"
                for index in range(10):
                    pixels = np.full((64, 64, 3), index * 20, np.uint8)
                    output.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
                output.mux(picture.encode(None))
            if not track.codec_context.is_open:
                track.codec_context.open()
            pcm = (samples * 32767).astype("<i2").reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout=layout)
            frame.sample_rate = rate_hz
            resampler = av.AudioResampler(
                track.codec_context.format.name, layout, rate_hz, frame_size=track.codec_context.frame_size or 1024
            )
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                output.mux(track.encode(part))
            output.mux(track.encode(None))
        return path.read_bytes()


def stamped(
    samples: np.ndarray,
    rate_hz: int,
    container: str,
    codec: str,
    *,
    starts_s: tuple[float, ...] = (0.0,),
    tracks: tuple[dict[str, str], ...] = ({},),
    video: bool = False,
) -> bytes:
    """Tracks `(tracks, T)`, mono, cut into as many equal parts as there are `starts_s`, each stamped from its start on.

    `tracks`: the metadata of each; `video`: a second of pictures from 0 s on beside them.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        with av.open(str(path), "w", format=container, options={"avoid_negative_ts": "disabled"}) as output:
            streams = []
            for metadata in tracks:
                stream = output.add_stream(codec, rate=rate_hz, layout="mono")
                stream.metadata.update(metadata)
                stream.codec_context.open()
                streams.append(stream)
            if video:
                picture = output.add_stream("flv1" if container == "flv" else "mpeg2video", rate=25)
                picture.width = picture.height = 64
                picture.pix_fmt = "yuv420p"
            packets = []
            if video:
                for pts in range(25):
                    image = av.VideoFrame.from_ndarray(np.full((64, 64, 3), pts, np.uint8), format="rgb24")
                    image.pts = pts
                    packets += picture.encode(image)
                packets += picture.encode(None)
            size = streams[0].codec_context.frame_size or 1024
            part = samples.shape[1] // len(starts_s)
            for stream, sound in zip(streams, samples, strict=True):
                for begin in range(0, sound.size, size):
                    frame = av.AudioFrame.from_ndarray(
                        np.pad(sound, (0, size))[None, begin : begin + size].astype(np.float32), "fltp", "mono"
                    )
                    frame.sample_rate = rate_hz
                    [frame] = av.AudioResampler(stream.codec_context.format.name, "mono", rate_hz).resample(frame)
                    which = min(begin // part, len(starts_s) - 1)
                    frame.pts = round(starts_s[which] * rate_hz) + begin - which * part
                    packets += stream.encode(frame)
                packets += stream.encode(None)
            for packet in sorted(packets, key=lambda packet: packet.pts * packet.time_base):
                output.mux(packet)
        return path.read_bytes()
