import numpy as np
import pytest
import torch
from tiny import tiny_library

from s2i_core.corpus.backgrounds import SETTING_NAMES
from s2i_core.corpus.spec import Group, SceneSpec
from s2i_core.evaluation.native import planned
from s2i_core.models.decoders.native.layout import Layout
from s2i_core.models.decoders.native.reference import Slot, SpritePainter

PAINTER = SpritePainter(tiny_library())
SPEC = SceneSpec(
    groups=(Group(0, "red", count=2), Group(2, "blue", colour="green")),
    slots=(),
    setting="grass",
    seed=0,
    relation="left",
    told_setting=True,
)


def slot(sprite: int, x: float, colour: str | None = None) -> Slot:
    return Slot(sprite, ("red", "green", "blue")[sprite], (x, 0.5, 0.2, 0.2), colour)


def judged(*slots: Slot, setting: str = "grass") -> dict[str, list[bool]]:
    row = torch.zeros(1, 1)
    settings = torch.from_numpy(np.eye(len(SETTING_NAMES), dtype=np.float32)[[SETTING_NAMES.index(setting)]])
    layout = Layout(row, torch.zeros(1, 1, 4), row[..., None], row[..., None], settings, row)
    return planned.right([SPEC], [slots], layout, PAINTER)


def test_a_plan_that_has_all_is_right() -> None:
    found = judged(slot(0, 0.2), slot(0, 0.4), slot(2, 0.7, "green"))
    assert found == {"object": [True], "setting": [True], "colour": [True], "number": [True], "relation": [True]}


@pytest.mark.parametrize(
    ("aspect", "slots"),
    [
        ("object", (slot(0, 0.2), slot(0, 0.4))),
        ("colour", (slot(0, 0.2), slot(0, 0.4), slot(2, 0.7))),
        ("number", (slot(0, 0.2), slot(2, 0.7, "green"))),
        ("relation", (slot(0, 0.8), slot(0, 0.9), slot(2, 0.2, "green"))),
    ],
)
def test_each_fault_is_found(aspect: str, slots: tuple[Slot, ...]) -> None:
    assert judged(*slots)[aspect] == [False]


def test_another_setting_is_wrong() -> None:
    assert judged(slot(0, 0.2), setting="snow")["setting"] == [False]
