"""The coarse grounds that ship with a model: every place at each of its times, in every style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s2i_core.corpus.backgrounds import SETTINGS, paint
from s2i_core.models.decoders.native.grounds import Grounds, coarse
from s2i_core.models.decoders.native.places import TIMES

_EACH = 4
_PAINTED_PX = 64


def paint_all(styles: Sequence[str]) -> Grounds:
    """Paint them; they are numbered as `diffuse.place_codes` numbers places, and by the order of the styles."""
    pictures, keys = [], []
    for s, style in enumerate(styles):
        for n, setting in enumerate(SETTINGS.values()):
            for time in setting.times:
                for seed in range(1 if setting.name.startswith("plain ") else _EACH):
                    pictures.append(coarse(paint(setting.name, time, seed, _PAINTED_PX, style)))
                    keys.append((s, n, TIMES.index(time)))
    return Grounds(np.stack(pictures), np.array(keys, dtype=np.int64))
