"""Sheets of pictures to look at: things of the library in the places of recorded sentences, unpicked, in one style.

What a sentence was about is replaced by things that are drawn by lot, so that the library is seen and not the hearing.
The same seed gives the same scenes in every style.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from s2i_core import steps
from s2i_core.config import ImageConfig
from s2i_core.evaluation import sentences
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.records import SHOWN_THINGS, Contents

_MOST = 3
"""Things in a scene."""
_EDGE_PX, _TEXT_PX = 4, 14
_BATCH = 8


def pictures(
    pipeline: SpeechToImagePipeline, image: ImageConfig, count: int, seed: int = 0, redrawn: bool = False
) -> tuple[NDArray[np.uint8], list[Contents]]:
    """Pictures `(count, H, W, 3)` of one to three things each, and what is in them.

    Args:
        pipeline: the model.
        image: style and size.
        count: how many.
        seed: of the lots.
        redrawn: only things of which there is no drawing in a style of its own.
    """
    library = pipeline.library.styled(image.style)
    drawn = set(pipeline.library.as_drawn.concepts)
    places = [n for n, info in enumerate(library.infos) if not (redrawn and info.concept in drawn)]
    # By name, so that every style has the same lots.
    places.sort(key=lambda n: library.infos[n].concept)
    vectors = np.asarray(library.vectors, np.float32)
    rng = np.random.default_rng(seed)
    chosen = [rng.choice(places, int(rng.integers(1, _MOST + 1)), replace=False) for _ in range(count)]
    model = pipeline.model
    heard = steps.encode([model.encoder.frontend(waveform) for waveform in sentences.load()[0]], model)
    said = rng.integers(0, len(heard), count)
    made, shown = [], []
    for first in range(0, count, _BATCH):
        rows = range(first, min(first + _BATCH, count))
        things = np.zeros((len(rows), _MOST, vectors.shape[1]), np.float32)
        for place, row in enumerate(rows):
            things[place, : len(chosen[row])] = vectors[chosen[row]]
        few = torch.from_numpy(said[list(rows)])
        extras = {name: part[few] for name, part in heard.extras.items()} | {SHOWN_THINGS: torch.from_numpy(things)}
        speech = replace(
            heard,
            tokens=heard.tokens[few],
            pooled=heard.pooled[few],
            speech_share=heard.speech_share[few],
            extras=extras,
        )
        drawing = steps.draw(speech, [seed + row for row in rows], image, model)
        made.append(drawing.images)
        shown += drawing.shows or []
    return np.concatenate(made), shown


def sheet(images: NDArray[np.uint8], names: list[str], across: int = 8, side_px: int = 0) -> Image.Image:
    """One picture of many `(N, H, W, 3)`, with what is in each below it; `side_px` high, 0 for as they are."""
    height, width = images.shape[1:3]
    if side_px:
        height, width = side_px, round(side_px * width / height)
    rows = -(-len(images) // across)
    paper = Image.new(
        "RGB", (across * (width + _EDGE_PX), rows * (height + _EDGE_PX + _TEXT_PX * bool(names))), "white"
    )
    pen = ImageDraw.Draw(paper)
    for place, each in enumerate(images):
        x, y = (place % across) * (width + _EDGE_PX), (place // across) * (height + _EDGE_PX + _TEXT_PX * bool(names))
        paper.paste(Image.fromarray(each).resize((width, height), Image.Resampling.LANCZOS), (x, y))
        if names:
            pen.text((x + 2, y + height + 1), names[place][: width // 6], fill="black")
    return paper
