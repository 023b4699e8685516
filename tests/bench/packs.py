"""The packs for players: an MP3 and a film with pictures, a feed, and the pack of ten hours; speed, size, exactness.

Times are seconds of CPU, which what else runs on the machine does not lengthen; the film's encoder has two
threads. Pictures are pieces of the pictures in the documentation.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from PIL import Image

from s2i_core.config import ImageConfig, PackConfig
from s2i_core.packs.episode import Chapter, Picture, Rows
from s2i_core.packs.feed import FeedEpisode, illustrated
from s2i_core.packs.film import film
from s2i_core.packs.id3 import illustrate_mp3
from s2i_core.packs.pack import write_pack
from s2i_core.publish.images import encode_image
from tests.bench.results import ROOT, Options

_STYLES = ROOT / "docs" / "images" / "styles.webp"
_RATE_HZ = 44_100
_BITS_PER_S = 64_000


def run(options: Options) -> dict[str, Any]:
    """Measure every format, then the pack of a long recording in a process of its own."""
    minutes, scenes, items = (1, 12, 50) if options.quick else (10, 60, 1000)
    hours, long_scenes = (0.05, 40) if options.quick else (10.0, 5000)
    with tempfile.TemporaryDirectory(prefix="s2i-bench-") as place:
        folder = Path(place)
        minute = _mp3(60.0)
        talk = _repeated(minute, folder / "talk.mp3", minutes)
        figures = (
            _measure_mp3(talk, folder, scenes) | _measure_feed(items) | _measure_film(talk, folder, minutes, scenes)
        )
        long = _repeated(minute, folder / "long.mp3", round(hours * 60))
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            figures |= pool.apply(_measure_long, (long, hours, long_scenes))
    return figures | {"pictures": scenes, "items": items, "long_hours": hours, "long_pictures": long_scenes}


def _cpu(work: Callable[[], Any], times: int = 1) -> float:
    """Seconds of CPU of one call, the least of several."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return round(min(spent), 3)


def _mp3(seconds: float) -> bytes:
    """Noise that swells and fades like speech, as an MP3 of 64 kbit/s without a header of its length."""
    rng = np.random.default_rng(1)
    times = np.arange(int(seconds * _RATE_HZ)) / _RATE_HZ
    samples = (0.2 * rng.standard_normal(len(times)) * (1 + np.sin(2 * np.pi * 3 * times))).astype(np.float32)
    out = io.BytesIO()
    with av.open(out, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=_RATE_HZ, layout="mono")
        stream.bit_rate = _BITS_PER_S
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = _RATE_HZ
        for piece in av.AudioResampler("fltp", "mono", _RATE_HZ, frame_size=1152).resample(frame):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return out.getvalue()


def _repeated(minute: bytes, path: Path, times: int) -> Path:
    with path.open("wb") as file:
        for _ in range(max(1, times)):
            file.write(minute)
    return path


def _piece(number: int) -> Image.Image:
    with Image.open(_STYLES) as styles:
        left, top = number * 97 % (styles.width - 256), number * 61 % (styles.height - 256)
        return styles.convert("RGB").crop((left, top, left + 256, top + 256))


def _pictures(folder: Path, count: int, each_s: float, size_px: int) -> list[Picture]:
    made = []
    for number in range(count):
        file = folder / f"{size_px}-{number}.jpg"
        _piece(number).resize((size_px, size_px), Image.Resampling.LANCZOS).save(file, quality=85, optimize=True)
        start_s = number * each_s
        made.append(
            Picture(str(number), start_s, start_s + each_s, f"Thing {number}", "", file, file.name, size_px, size_px)
        )
    return made


def _chapters(pictures: list[Picture]) -> list[Chapter]:
    return [Chapter(each.start_s, each.end_s, each.title, each) for each in pictures]


def _packets(file: BinaryIO) -> str:
    sha = hashlib.sha256()
    with av.open(file) as container:
        for packet in container.demux(audio=0):
            sha.update(bytes(packet))
    return sha.hexdigest()


def _measure_mp3(talk: Path, folder: Path, scenes: int) -> dict[str, Any]:
    chapters = _chapters(_pictures(folder, scenes, 10.0, 600))
    target = folder / "illustrated.mp3"

    def write() -> None:
        with talk.open("rb") as source, target.open("w+b") as out:
            illustrate_mp3(source, out, chapters)

    seconds = _cpu(write, 3)
    tag_mb = round((target.stat().st_size - talk.stat().st_size) / 1e6, 3)
    with talk.open("rb") as source, target.open("rb") as made:
        equal = _packets(source) == _packets(made)
    many = [Chapter(number * 1.0, number + 1.0, f"Thing {number}", chapters[0].picture) for number in range(600)]
    with talk.open("rb") as source, (folder / "many.mp3").open("w+b") as out:
        illustrate_mp3(source, out, many)
    with av.open(str(folder / "many.mp3")) as container:
        read = len(container.chapters())
    return {"mp3_s": seconds, "mp3_tag_mb": tag_mb, "mp3_packets_equal": equal, "mp3_chapters_of_600": read}


def _measure_feed(items: int) -> dict[str, Any]:
    item = """    <item>
      <title>Episode {0} &amp; caf\xe9</title>
      <guid isPermaLink='false'>{0}</guid>
      <enclosure url="https://cdn.example.org/audio/ep{0}.mp3?a=1&amp;b=2" length="1" type="audio/mpeg"/>
      <description><![CDATA[<p>{1}</p>]]></description>
    </item>
"""
    body = "".join(item.format(number, "Words of an episode. " * 40) for number in range(items))
    feed = f'<?xml version="1.0"?>\n<rss version="2.0"><channel>\n{body}</channel></rss>\n'.encode()
    episodes = [
        FeedEpisode(f"ep{number}.mp3", f"https://c.org/{number}/chapters.json", "https://c.org/i.jpg", "A cow")
        for number in range(items)
    ]
    made = illustrated(feed, episodes)
    seconds = _cpu(lambda: illustrated(feed, episodes), 3)
    rest = iter(made.feed)
    inserted_only = all(byte in rest for byte in feed)
    again = illustrated(made.feed, episodes).feed == made.feed
    return {
        "feed_s": seconds,
        "feed_insertions_only": inserted_only,
        "feed_again_equal": again,
        "feed_changed": made.changed,
    }


def _measure_film(talk: Path, folder: Path, minutes: float, scenes: int) -> dict[str, Any]:
    each_s = minutes * 60 / scenes
    pictures = _pictures(folder, scenes, each_s, 256)
    target = folder / "film.mp4"

    def write() -> None:
        with talk.open("rb") as source:
            film(source, target, pictures, minutes * 60.0)

    seconds = _cpu(write)
    with av.open(str(target)) as container:
        frames = [frame.time for frame in container.decode(video=0)][: len(pictures)]
    worst = max(abs(1000 * (at - each.start_s)) for at, each in zip(frames, pictures, strict=True))
    return {
        "film_s": seconds,
        "film_mb": round(target.stat().st_size / 1e6, 2),
        "film_without_sound_mb": round((target.stat().st_size - talk.stat().st_size) / 1e6, 2),
        "film_start_error_ms": round(worst, 3),
    }


def _measure_long(long: Path, hours: float, scenes: int) -> dict[str, Any]:
    """The pack of a long recording without its film, in this process alone."""
    each_s = hours * 3600 / scenes
    shown = [encode_image(np.asarray(_piece(number)), ImageConfig()) for number in range(50)]
    rows = Rows(
        {
            "recording_id": "f" * 32,
            "source_uri": "s3://a/long.mp3",
            "etag": "",
            "duration_s": hours * 3600,
            "damage": None,
        },
        [
            {"scene_id": str(n), "start_s": n * each_s, "end_s": (n + 1) * each_s, "status": "ok", "reason": None}
            | {"things": [f"thing {n}"]}
            for n in range(scenes)
        ],
        [
            {"image_id": f"{n:032x}", "scene_id": str(n), "start_s": n * each_s, "end_s": (n + 1) * each_s}
            | {"recording_id": "f" * 32, "key": str(n), "sha256": "", "similarity": 0.5}
            for n in range(scenes)
        ],
    )
    config = PackConfig(film=False, base_url="https://cdn.example.org")
    with tempfile.TemporaryDirectory(prefix="s2i-bench-") as folder, long.open("rb") as source:

        def write() -> None:
            write_pack(Path(folder), rows, "Long", source, lambda image: shown[int(image["key"]) % len(shown)], config)

        seconds = _cpu(write)
        with av.open(str(Path(folder) / "episode.mp3")) as container:
            chapters = len(container.chapters())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"long_s": seconds, "long_memory_mb": round(memory), "long_chapters_lost": scenes - chapters}
