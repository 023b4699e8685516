"""Draw what is heard and shown of a sample over time: python docs/images/timeline.py docs/images/timeline.svg"""

from __future__ import annotations

import argparse
import base64
import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from s2i_core.audio.decode import decode
from s2i_core.config import changed
from s2i_core.illustrate import Illustrated, illustrate_file
from s2i_core.models import registry
from s2i_core.presets import cpu
from s2i_core.records import HeardThing
from s2i_core.weights import least_confidence

SAMPLE = Path("samples/castle-tale.mp3")
WIDTH, EDGE, PICTURE, WAVE, LANE = 1200, 24, 116, 56, 20
BARS = 400
LETTER_PX = 7.2
SOFT, PAPER, LINE, SHOWN = "#6b635a", "#faf7f2", "#d9d2c7", "#a3441c"


def main() -> None:
    """Scenes with their pictures above, the waveform, and below it every thing that is heard, where it is said."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--sample", type=Path, default=SAMPLE, help="a recording")
    parser.add_argument("--checkpoint", default="", help="folder of a saved model; empty takes the shipped one")
    arguments = parser.parse_args()
    config = changed(cpu(), {"model.checkpoint": arguments.checkpoint})
    model = registry.load(config.model)
    with tempfile.TemporaryDirectory() as folder, arguments.sample.open("rb") as file:
        made = illustrate_file(arguments.sample, Path(folder), config, model)
        pictures = {image.scene_id: _small(Path(folder) / image.key) for image in made.images}
        sound = np.concatenate(list(decode(file, arguments.sample.name, config.audio)))
    least = least_confidence(config)
    names = {info.title: info.name for info in model.decoder.library.infos}
    told = [
        replace(thing, thing=names.get(thing.thing, thing.thing))
        for thing in made.things
        if least is not None and thing.confidence >= least
    ]
    arguments.picture.write_text(timeline(made, told, pictures, sound), encoding="utf-8")


def timeline(made: Illustrated, told: Sequence[HeardThing], pictures: dict[str, bytes], sound: np.ndarray) -> str:
    """The SVG."""
    duration_s = made.recording.duration_s or 1.0

    def x(at_s: float) -> float:
        return round(EDGE + at_s / duration_s * (WIDTH - 2 * EDGE), 1)

    top = EDGE
    parts: list[str] = []
    for scene in made.scenes:
        left, right = x(scene.start_s), x(scene.end_s)
        if picture := pictures.get(scene.scene_id):
            middle = round((left + right) / 2 - PICTURE / 2, 1)
            data = base64.b64encode(picture).decode()
            parts.append(
                f'<image x="{middle}" y="{top}" width="{PICTURE}" height="{PICTURE}" '
                f'href="data:image/webp;base64,{data}"/>'
            )
        parts.append(f'<path d="M{left + 1} {top + PICTURE + 8}H{right - 1}" stroke="{SOFT}" stroke-width="2"/>')
    middle = top + PICTURE + 16 + WAVE / 2
    for n, loud in enumerate(_loudness(sound)):
        at = x((n + 0.5) * duration_s / BARS)
        half = max(0.5, round(loud * WAVE / 2, 1))
        parts.append(f'<path d="M{at} {middle - half}V{middle + half}" stroke="{LINE}" stroke-width="2"/>')
    below = middle + WAVE / 2 + 6
    ends: list[float] = []
    for thing in told:
        at = x((thing.start_s + thing.end_s) / 2)
        width = LETTER_PX * len(thing.thing) + 10
        start = min(max(EDGE, at - width / 2), WIDTH - EDGE - width)
        lane = next((n for n, end in enumerate(ends) if end < start), len(ends))
        ends[lane : lane + 1] = [start + width]
        y = below + lane * LANE + 14
        colour = SHOWN if thing.shown else SOFT
        parts.append(
            f'<path d="M{at} {middle}V{y - 11}" stroke="{colour}" opacity="0.35"/>'
            f'<text x="{round(start + width / 2, 1)}" y="{y}" fill="{colour}" text-anchor="middle">'
            f"{escape(thing.thing)}</text>"
        )
    axis = below + len(ends) * LANE + 14
    for at_s in range(0, int(duration_s) + 1, 10):
        parts.append(
            f'<path d="M{x(at_s)} {axis}v5" stroke="{SOFT}"/><text x="{x(at_s)}" y="{axis + 18}" fill="{SOFT}" '
            f'text-anchor="middle" font-size="11">{at_s // 60}:{at_s % 60:02d}</text>'
        )
    height = round(axis + 30)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="Verdana, DejaVu Sans, sans-serif" font-size="12">',
            f"<title>{escape(Path(made.recording.source_uri).name)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _loudness(sound: np.ndarray) -> list[float]:
    """Of each bar, 0 to 1."""
    pieces = np.array_split(sound, BARS)
    level = np.array([float(np.sqrt(np.square(piece).mean())) for piece in pieces])
    return [float(each) for each in level / level.max()]


def _small(path: Path) -> bytes:
    file = io.BytesIO()
    Image.open(path).resize((2 * PICTURE, 2 * PICTURE), Image.Resampling.LANCZOS).save(file, "WEBP", quality=80)
    return file.getvalue()


if __name__ == "__main__":
    main()
