"""Settings: what captions call the places that the decoder knows, and their grounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from s2i_core.models.decoders.native import painted
from s2i_core.models.decoders.native.places import PLACES, Time

#: The plain grounds of scenes whose words name no setting.
PASTELS = ("yellow", "green", "blue", "purple", "pink")


@dataclass(frozen=True)
class Setting:
    """A place.

    Attributes:
        name: its key.
        horizon: where the ground begins, as a share of the frame from the top; `None` where things float.
        phrases: how captions say that something is there.
        times: the times of day that it can be painted in.
    """

    name: str
    horizon: float | None
    phrases: tuple[str, ...]
    times: tuple[Time, ...] = ("day",)


_PHRASES: dict[str, tuple[str, ...]] = {
    "grass": ("on the grass", "in a green field", "in a meadow", "on the lawn"),
    "farm": ("on a farm", "out on the farm", "on the farm by the barn"),
    "garden": ("in a garden", "among the flowers", "in a garden full of flowers"),
    "forest": ("in the forest", "in the woods", "among the trees", "deep in the forest"),
    "mountains": ("in the mountains", "in front of the mountains", "up in the mountains"),
    "desert": ("in the desert", "on the sand dunes", "out in the desert", "in the sand"),
    "beach": ("on the beach", "by the seaside", "on the sand by the sea"),
    "sea": ("on the sea", "out at sea", "on the water", "on the ocean"),
    "river": ("by the river", "by the lake", "beside a pond", "at the water"),
    "underwater": ("under the sea", "under water", "at the bottom of the sea", "deep in the ocean"),
    "snow": ("in the snow", "on a snowy day", "in winter", "out in the cold snow"),
    "city": ("in the city", "in town", "downtown", "in front of tall buildings"),
    "road": ("on the road", "on the street", "on the highway", "along the road"),
    "rails": ("on the railway", "on the tracks", "on the rails"),
    "room": ("in a room", "inside the house", "indoors", "in the living room", "at home"),
    "table": ("on a table", "on the kitchen table", "on a wooden table", "in the kitchen"),
    "sky": ("in the sky", "up in the sky", "among the clouds", "up in the air"),
    "space": ("in space", "in outer space", "among the stars", "out in the universe"),
    "rain": ("in the rain", "on a rainy day", "out in the rain"),
    "stage": ("on a stage", "on the stage", "in the spotlight"),
}  # fmt: skip


def _phrases(name: str) -> tuple[str, ...]:
    if name in _PHRASES:
        return _PHRASES[name]
    colour = name.removeprefix("plain ")
    # "an orange", so the article has to follow the colour.
    article = "an" if colour == "orange" else "a"
    return f"on {article} {colour} background", f"in front of {article} {colour} wall"


SETTINGS = {name: Setting(name, place.horizon, _phrases(name), place.times) for name, place in PLACES.items()}
SETTING_NAMES = tuple(SETTINGS)

TIME_PHRASES: dict[Time, tuple[str, ...]] = {
    "day": (),
    "sunset": ("at sunset", "in the evening", "at dusk", "as the sun goes down"),
    "night": ("at night", "in the dark", "at midnight", "under the stars"),
}


def paint(setting: str, time: Time, seed: int, size: int, style: str = "") -> npt.NDArray[np.uint8]:
    """The ground of a setting, as the decoder paints it too: `(size, size, 3)` uint8; see `painted.paint`.

    Raises:
        KeyError: there is no such setting.
    """
    return painted.paint(setting, time, seed, size, style=style)
