"""What is written down of pictures, held against judges and pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_pipeline

from s2i_core.config import ImageConfig
from s2i_core.evaluation.native.contents import measure
from s2i_core.evaluation.native.judges import Judges
from s2i_core.evaluation.native.namer import Namer
from s2i_core.evaluation.native.scenery import Scenery
from s2i_core.models.decoders.native import contents
from s2i_core.records import Box

IMAGE = ImageConfig(size_px=64, steps=1)


def knowing(which: int) -> Judges:
    """Judges that see one of three things everywhere."""
    namer = Namer(3)
    torch.nn.init.zeros_(namer.things.weight)
    namer.things.bias.data = torch.eye(4)[which]
    return Judges(Scenery(3), namer, ("red", "green", "blue"))


def test_things_that_are_seen_count_and_boxes_are_those_of_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_pipeline().model
    waveforms = [np.random.default_rng(n).normal(0, 0.1, 16_000).astype(np.float32) for n in range(3)]
    found = [measure(model, knowing(which), waveforms, IMAGE) for which in range(3)]
    things = found[0]["boxes"].n
    assert things > 0 and all(each["boxes"].value == 1 for each in found)
    # Every thing is seen by the one of the judges that knows it, and by no other.
    assert sum(each["drawn"].value for each in found) == pytest.approx(1)
    assert all(each["precision"].value == 1 for each in found if "precision" in each)

    shown = contents.shown
    wrong = Box(0.0, 0.0, 0.05, 0.05)
    monkeypatch.setattr(contents, "shown", lambda *given: tuple(replace(each, box=wrong) for each in shown(*given)))
    assert measure(model, knowing(0), waveforms, IMAGE)["boxes"].value == 0
