"""The light of a scene on the things in it: the tint of its time of day and place, and shade toward the ground.

Drawings are made for white paper. Pasted as they are, a cat at midnight shines like one at noon. The denoiser sees them
so, and has to draw the light itself (`native/denoiser.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from s2i_core.corpus.backgrounds import SETTINGS
from s2i_core.models.decoders.native.places import Time
from s2i_core.models.decoders.native.reference import Slot

Gains = tuple[float, float, float]

_NOON: Gains = (1.0, 1.0, 1.0)
_TIMES: Mapping[Time, Gains] = {"day": _NOON, "sunset": (1.04, 0.84, 0.74), "night": (0.52, 0.58, 0.80)}
_PLACES: Mapping[str, Gains] = {
    "forest": (0.88, 0.96, 0.84),
    "underwater": (0.70, 0.92, 1.0),
    "rain": (0.80, 0.85, 0.92),
    "snow": (0.94, 0.98, 1.04),
    "desert": (1.04, 0.96, 0.84),
    "space": (0.80, 0.84, 1.02),
    "stage": (1.04, 0.94, 0.86),
    "room": (1.02, 0.96, 0.88),
    "table": (1.02, 0.96, 0.88),
}
_STRENGTH: Mapping[str, float] = {"sketch": 0.5, "outline": 0.0}
"""How much of it a style shows; the others show all. Ink on white paper has no light but the paper's."""
_FORMLESS = frozenset({"flat", "sketch", "outline"})
"""Styles whose things have no body that could be lit from above."""
_LIT_TOP, _SHADED_FOOT = 1.06, 0.78


def light_on(slot: Slot, setting: str, time: Time, style: str, size: int) -> NDArray[np.float32] | None:
    """What a slot's colours are multiplied with at each place of the frame; `None` where nothing changes.

    Args:
        slot: the thing.
        setting, time: where and when it is.
        style: that it is drawn in.
        size: S, the side of the frame in pixels.

    Returns:
        `(S, S, 3)`.
    """
    strength = _STRENGTH.get(style, 1.0)
    tint = np.array(_TIMES[time]) * np.array(_PLACES.get(setting, _NOON))
    bodied = style not in _FORMLESS and SETTINGS[setting].horizon is not None
    if strength == 0 or (not bodied and np.array_equal(tint, _NOON)):
        return None
    gains = np.broadcast_to(1 + strength * (tint - 1), (size, 3))
    if bodied:
        top, height = slot.bottom - slot.box[3], max(slot.box[3], 1e-6)
        down = np.clip(((np.arange(size) + 0.5) / size - top) / height, 0, 1)[:, None]
        gains = gains * (_LIT_TOP + (_SHADED_FOOT - _LIT_TOP) * down**2)
    return np.ascontiguousarray(np.broadcast_to(gains[:, None], (size, size, 3)), dtype=np.float32)
