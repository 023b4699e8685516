"""Small archives cut from the sample recordings, and what must hold of what is made of them."""

from __future__ import annotations

import wave
from io import BytesIO
from pathlib import Path

from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

SAMPLES = Path(__file__).parents[2] / "samples"


def speech(seconds: float, *, start_s: float = 0) -> bytes:
    """A WAV cut from a sample recording: 8 kHz telephone speech."""
    with wave.open(str(SAMPLES / "transport-over-the-telephone.wav")) as source:
        source.setpos(int(start_s * source.getframerate()))
        frames = source.readframes(int(seconds * source.getframerate()))
        file = BytesIO()
        with wave.open(file, "wb") as cut:
            cut.setparams(source.getparams())
            cut.writeframes(frames)
    return file.getvalue()


def mp3(name: str, share: float) -> bytes:
    """The first part of an MP3; each of its frames can be played alone."""
    data = (SAMPLES / name).read_bytes()
    return data[: int(len(data) * share)]


def check_images(objects: ObjectStore, bucket: str, lake: Lake) -> list[str]:
    """Every row of `images` has its file and every file its row, with the same bytes; returns the scene ids."""
    rows = lake.images.read().to_pylist()
    files = {each.key: each.size_bytes for each in objects.list(bucket, "out/images/")}
    assert files == {each["key"]: each["size_bytes"] for each in rows}
    assert len({each["image_id"] for each in rows}) == len(rows)
    return [each["scene_id"] for each in rows]
