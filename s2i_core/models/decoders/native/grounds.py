"""Coarse grounds: what a picture starts from, besides noise.

Denoising in a few steps settles small things well and large ones badly: of the places that the speech may mean, each
corner of a picture picks its own. So a picture does not start from noise alone but from a coarse ground, a few pixels
wide, of the place that the layout predictor heard, with the references on it and noise over both (SDEdit, Meng et al.
2022, arXiv 2108.01073). Edges, texture and what stands there are drawn by the denoiser.

On disk it is `grounds.safetensors`: the pictures, and for each the numbers of its style, setting and time of day.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from s2i_core.errors import ModelError

COARSE_PX = 16
"""Side of a coarse ground."""
_FILE = "grounds.safetensors"


@dataclass(frozen=True)
class Grounds:
    """Several grounds for each style, setting and time of day.

    Attributes:
        pictures: `(G, R, R, 3)` uint8.
        keys: number of the style, of the setting and of the time of day `(G, 3)`, as the denoiser and the layout
            predictor count them.
    """

    pictures: NDArray[np.uint8]
    keys: NDArray[np.int64]
    _rows: dict[tuple[int, ...], list[int]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for row, key in enumerate(self.keys.tolist()):
            self._rows.setdefault(tuple(key), []).append(row)

    def __len__(self) -> int:
        return len(self.pictures)

    def choose(self, style: int, setting: int, time: int, seed: int) -> NDArray[np.uint8]:
        """A ground `(R, R, 3)` of a place; the seed decides which.

        At another time of day, the first, where the place has none of this one.

        Raises:
            ModelError: it has none of the place in this style.
        """
        rows = self._rows.get((style, setting, time)) or self._rows.get((style, setting, 0))
        if not rows:
            raise ModelError(
                "coarse grounds", f"they have none of setting {setting} in style {style}", "Copy the checkpoint again."
            )
        return np.asarray(self.pictures[rows[seed % len(rows)]])

    def time_of(self, style: int, setting: int, time: int) -> int:
        """The time of day of what `choose` gives."""
        return time if (style, setting, time) in self._rows else 0

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"pictures": self.pictures, "keys": self.keys}, folder / _FILE)

    @classmethod
    def load(cls, folder: Path) -> Grounds | None:
        """Read it; `None` for a checkpoint that has none.

        Raises:
            ModelError: the file is damaged.
        """
        path = folder / _FILE
        if not path.is_file():
            return None
        try:
            parts = load_file(path)
            pictures, keys = parts["pictures"], parts["keys"]
        except (OSError, KeyError, SafetensorError) as error:
            raise ModelError(str(path), f"it cannot be read: {error}", "Copy the checkpoint again.") from error
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or keys.shape != (len(pictures), 3):
            raise ModelError(str(path), f"it holds {pictures.shape} pictures", "Copy the checkpoint again.")
        return cls(pictures, keys)


def coarse(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean colours of the parts of a picture `(S, S, 3)`: `(COARSE_PX, COARSE_PX, 3)` uint8."""
    return np.asarray(Image.fromarray(picture).resize((COARSE_PX, COARSE_PX), Image.Resampling.BOX))


def start_picture(ground: NDArray[np.uint8], canvas: torch.Tensor) -> torch.Tensor:
    """What a picture starts from under its noise: the references of a canvas before a coarse ground.

    Args:
        ground: `(R, R, 3)` uint8.
        canvas: `(4, H, W)`, colours -1 to 1 premultiplied, alpha 0 to 1.

    Returns:
        `(3, H, W)` float32, -1 to 1.
    """
    height, width = canvas.shape[-2:]
    smooth = np.asarray(Image.fromarray(ground).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    behind = torch.from_numpy(smooth).permute(2, 0, 1).to(canvas.device) / 127.5 - 1
    return behind * (1 - canvas[3:].float()) + canvas[:3].float()
