"""What would more training buy? The same short training of the projection on growing shares of the data.

Each run learns from a share of the utterances and is asked at several of its steps. One run more begins from random
weights instead of Whisper's decoder layers, and says what that beginning is worth.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from s2i_core.config import Settings
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.training.data.frames import FrameSet
from s2i_core.training.trainers import align
from s2i_core.training.trainers.align import AlignConfig

_COLOURS = ("#1b6ca8", "#c8553d", "#4f7f39", "#7a4ea3", "#8a6d1d")


class ScalingConfig(Settings):
    """How much of what."""

    shares: tuple[float, ...] = Field((0.03125, 0.125, 0.5, 1.0), description="Shares of the utterances, a run each.")
    parts: tuple[str, ...] = Field(("train", "talk"), description="Parts of the data to learn from.")
    steps: int = Field(240, gt=0, description="Optimizer steps of a run.")
    evaluate_every: int = Field(60, gt=0, description="Steps between the points of a curve.")
    batch: int = Field(96, gt=1, description="Utterances a step.")
    from_random: bool = Field(True, description="Whether to make the run that begins from random weights.")


def measure(
    data: Path, out: Path, config: ScalingConfig, begin: Callable[[], QueryTransformer]
) -> list[dict[str, Any]]:
    """The points of all curves; runs that are done in `out` are not made again.

    Args:
        data: folder of the training data.
        out: folder of the runs' states.
        config: how much of what.
        begin: makes the projection before training, with Whisper's layers.

    Returns:
        For each run and each evaluated step: start, share, utterances, step, seconds, and recall of the right thing
        among all of the library's, by the pooled vector, at 1 and 5: bare names by voices that training never hears.
    """
    runs = [("whisper", share) for share in config.shares]
    if config.from_random:
        runs.append(("random", max(config.shares)))
    total = len(FrameSet(*(data / f"frames-{part}" for part in config.parts)))
    points: list[dict[str, Any]] = []
    for start, share in runs:
        folder = out / f"{start}-{share:g}"
        settings = AlignConfig(
            parts=config.parts,
            share=share,
            steps=config.steps,
            batch=config.batch,
            evaluate_every=config.evaluate_every,
            freeze_cross=start == "whisper",
        )
        projection = begin()
        if start == "random":
            torch.manual_seed(settings.seed)
            projection = QueryTransformer.from_config(projection.config)
        align.train(data, folder, projection, settings)
        for line in (folder / "align.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if "r1" in row:
                known = {"start": start, "share": share, "utterances": round(share * total)}
                points.append(known | {name: row[name] for name in ("step", "elapsed_s", "r1", "r5")})
    return points


def table(points: list[dict[str, Any]]) -> str:
    """The curves as a table in Markdown: a run a row, a step a column."""
    steps = sorted({point["step"] for point in points})
    lines = ["| starts from | utterances | " + " | ".join(f"{step} steps" for step in steps) + " |"]
    lines.append("|---" * (len(steps) + 2) + "|")
    for start, utterances in dict.fromkeys((point["start"], point["utterances"]) for point in points):
        found = {p["step"]: p["r1"] for p in points if (p["start"], p["utterances"]) == (start, utterances)}
        cells = " | ".join(f"{found[step]:.2f}" if step in found else "" for step in steps)
        lines.append(f"| {start} | {utterances:,} | {cells} |")
    return "\n".join(lines)


def chart(points: list[dict[str, Any]]) -> str:
    """The curves as an SVG: steps to the right, R@1 upwards, a line a run."""
    width, height, left, bottom = 640, 372, 56, 56
    most = max(point["step"] for point in points)
    top = 1.1 * max(0.1, *(point["r1"] for point in points))

    def at(step: float, r1: float) -> tuple[float, float]:
        return left + (width - left - 190) * step / most, (height - bottom) * (1 - r1 / top) + 12

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for n in range(5):
        x, y = at(0, top * n / 5)
        parts.append(f'<path d="M{x:.0f} {y:.1f}H{width - 190}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6:.0f}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{top * n / 5:.2f}</text>')
    for step in sorted({point["step"] for point in points}):
        x, y = at(step, 0)
        parts.append(f'<text x="{x:.0f}" y="{y + 18:.1f}" text-anchor="middle" fill="#444">{step}</text>')
    parts.append(f'<text x="{left}" y="{height - 6}" fill="#444">R@1 by optimizer steps</text>')
    runs = list(dict.fromkeys((point["start"], point["utterances"]) for point in points))
    ends: list[float] = []
    for run, colour in zip(runs, itertools.cycle(_COLOURS)):
        line = [at(p["step"], p["r1"]) for p in points if (p["start"], p["utterances"]) == run]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        x, y = line[-1]
        while any(abs(y - other) < 15 for other in ends):
            y += 15
        ends.append(y)
        parts.append(f'<text x="{x + 8:.0f}" y="{y + 4:.1f}" fill="{colour}">{run[0]}, {run[1]:,} utterances</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
