"""Episodes, recordings and pictures made in code, for the tests of packs."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import av
import numpy as np
from PIL import Image
from publish.recordings import tone

from s2i_core.packs.episode import Chapter, Episode, Picture

RATE_HZ = 16_000
COLOURS = [(220, 40, 40), (40, 160, 60), (40, 60, 220), (230, 190, 40), (150, 50, 180), (30, 180, 190)]


def jpeg(colour=(200, 30, 30), size=(64, 64)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG")
    return out.getvalue()


def picture(folder: Path, number: int, start_s: float, end_s: float, title: str = "", **changes) -> Picture:
    name = f"images/{number}.jpg"
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(jpeg(COLOURS[number % len(COLOURS)]))
    facts = {"width_px": 64, "height_px": 64, "score": 0.5, "alt": title} | changes
    return Picture(str(number), start_s, end_s, title, file=file, name=name, **facts)


def episode(folder: Path, *titles: str, each_s: float = 10.0, first_s: float = 0.0) -> Episode:
    """Pictures with these titles, one after the other."""
    pictures = [
        picture(folder, number, first_s + number * each_s, first_s + (number + 1) * each_s, title)
        for number, title in enumerate(titles)
    ]
    return Episode("f" * 32, "Talk", first_s + len(titles) * each_s, pictures)


def chapters(folder: Path, count: int, each_s: float = 0.1) -> list[Chapter]:
    """Chapters of one picture; every fourth is silent."""
    shown = picture(folder, 0, 0.0, 1.0, "Cow")
    return [
        Chapter(number * each_s, (number + 1) * each_s, "" if number % 4 == 3 else f"Кот “{number}” & co", shown)
        for number in range(count)
    ]


def encoded(codec: str, form: str, seconds: float = 3.0, metadata=None) -> bytes:
    """A tone in a file of this form."""
    out = io.BytesIO()
    samples = tone(seconds, 0.4, rate_hz=RATE_HZ).astype(np.float32)
    with av.open(out, "w", format=form) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        resampler = av.AudioResampler(
            stream.codec_context.format.name, "mono", RATE_HZ, frame_size=stream.codec_context.frame_size or 1024
        )
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return out.getvalue()


def packets(file) -> str:
    """Digest of the packets of the sound, as FFmpeg reads them."""
    with av.open(file) as container:
        return hashlib.sha256(b"".join(bytes(each) for each in container.demux(audio=0))).hexdigest()
