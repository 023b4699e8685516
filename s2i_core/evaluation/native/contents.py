"""Is it true what is written down of a picture? `Drawing.shows`, held against the pixels.

The namer of the judges, which shares nothing with the model, looks at each drawing's place in the finished picture and
in the composition that it was painted over, and says what stands there; the box is held against the painted pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from s2i_core import steps
from s2i_core.config import ImageConfig
from s2i_core.corpus.backgrounds import SETTING_NAMES
from s2i_core.evaluation.native import namer as naming
from s2i_core.evaluation.native import scenery as looking
from s2i_core.evaluation.native.judges import Judges
from s2i_core.evaluation.native.namer import COLOUR_NAMES
from s2i_core.evaluation.statistics import Figure, share
from s2i_core.models.contracts import Model
from s2i_core.models.decoders.native.decoder import NativeDrawing, canvas_tensor, pixels
from s2i_core.models.decoders.native.grounds import start_picture
from s2i_core.models.decoders.native.reference import Slot, SpritePainter
from s2i_core.records import Box, Contents, Shown

_PAINTED = 0.1
"""Opacity from which a pixel belongs to a drawing."""
_FITS = 0.9
"""Share of the union of two boxes that they have in common, from which one is the other."""


@dataclass(frozen=True)
class _Judged:
    """Of each thing that pictures are said to show, whether it is seen: in the pictures, and in their compositions."""

    drawn: list[bool]
    composed: list[bool]
    colours: list[bool]
    boxes: list[bool]
    settings: list[bool]


def measure(
    model: Model, judges: Judges, waveforms: Sequence[NDArray[np.float32]], image: ImageConfig, seed: int = 0
) -> dict[str, Figure]:
    """What of `shows` is true.

    Args:
        model: with a native decoder, on the library that the judges know.
        judges: of pictures.
        waveforms: sentences, 16 kHz.
        image: settings of the pictures.
        seed: of the first picture.

    Returns:
        precision: of the things that a judge knows again in the composition, the share that it knows in the picture;
        drawn, composed: the shares that it knows in each, of all; colour: of things in a colour of the scene's choice;
        box: those whose box is that of their pixels; setting: of the places that are named.
    """
    speech = steps.encode([model.encoder.frontend(waveform) for waveform in waveforms], model)
    drawing = steps.draw(speech, [seed + n for n in range(len(waveforms))], image, model)
    assert isinstance(drawing, NativeDrawing) and drawing.shows is not None
    painter = SpritePainter(model.decoder.library.styled(image.style))
    judged = _judge(judges, drawing, drawing.shows, painter, image)
    known = [seen for seen, there in zip(judged.drawn, judged.composed, strict=True) if there]
    found = {"precision": known} | {name: values for name, values in vars(judged).items()}
    return {name: share(values) for name, values in found.items() if values}


@torch.inference_mode()
def _judge(
    judges: Judges, drawing: NativeDrawing, told: Sequence[Contents], painter: SpritePainter, image: ImageConfig
) -> _Judged:
    canvases = np.stack([painter.reference(slots, *image.frame_px) for slots in drawing.slots])
    grounds = drawing.grounds if drawing.grounds is not None else np.full((len(told), 1, 1, 3), 255, np.uint8)
    rows = zip(grounds, canvas_tensor(canvases), strict=True)
    composed = pixels(torch.stack([start_picture(*each) for each in rows]))
    place = {concept: n for n, concept in enumerate(judges.concepts)}
    in_drawn, in_composed = (naming.look(judges.namer, each, drawing.slots) for each in (drawing.images, composed))
    settings = judges.scenery.setting(looking.summarise(judges.scenery, drawing.images)).argmax(1).tolist()
    judged = _Judged([], [], [], [], [])
    for contents, slots, seen, there, setting in zip(told, drawing.slots, in_drawn, in_composed, settings, strict=True):
        if contents.setting:
            judged.settings.append(SETTING_NAMES[setting] == contents.setting)
        for shown in contents.things:
            if shown.thing not in place:  # redrawn: the judges learned what is drawn in the style
                continue
            concept = place[shown.thing]
            judged.drawn.append(seen.count(concept) > 0)
            judged.composed.append(there.count(concept) > 0)
            judged.boxes.append(_fits(shown.box, painter, _own(shown, slots, painter), image.frame_px))
            if shown.colour and there.colour(concept) == COLOUR_NAMES.index(shown.colour):
                judged.colours.append(seen.colour(concept) == COLOUR_NAMES.index(shown.colour))
    return judged


def _own(shown: Shown, slots: Sequence[Slot], painter: SpritePainter) -> list[Slot]:
    """The drawings that an entry is about."""
    return [
        slot
        for slot in slots
        if slot.concept == shown.thing and (slot.colour if painter.paint_of(slot.sprite) else None) == shown.colour
    ]


def _fits(box: Box, painter: SpritePainter, slots: Sequence[Slot], frame_px: tuple[int, int]) -> bool:
    """Whether a box is that of what is painted of these drawings."""
    height, width = frame_px
    painted = painter.painted(slots, height, width)[:, :, 3] > _PAINTED
    if not painted.any():
        return False
    rows, columns = np.nonzero(painted.any(1))[0], np.nonzero(painted.any(0))[0]
    left, top, right, bottom = columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
    across = min(right, box.x + box.w) - max(left, box.x)
    down = min(bottom, box.y + box.h) - max(top, box.y)
    both = max(0.0, across) * max(0.0, down)
    return bool(both / (box.w * box.h + (right - left) * (bottom - top) - both) >= _FITS)
