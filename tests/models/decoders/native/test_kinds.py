import numpy as np
import pytest

from s2i_core.models.decoders.native.kinds import figure, size_m, support


@pytest.mark.parametrize(
    ("concept", "category", "bears"),
    [
        ("bee", "animal", "air"),
        ("airplane", "air", "air"),
        ("suspension railway", "air", "ground"),
        ("crescent moon", "space", "sky"),
        ("rain cloud", "weather", "sky"),
        ("fire", "weather", "ground"),
        ("moon cake", "food", "ground"),
        ("whale", "sea", "water"),
        ("crab", "sea", "ground"),
        ("sailboat", "boat", "water"),
        ("house", "building", "ground"),
        ("what nobody knows", "shape", "ground"),
    ],
)
def test_what_bears_a_thing(concept: str, category: str, bears: str) -> None:
    assert support(concept, category) == bears


def test_sizes_are_those_of_the_world_by_name_or_by_category() -> None:
    order = ["ladybug", "mouse", "black cat", "lion", "elephant", "castle", "snowy mountain"]
    sizes = [size_m(name, "animal") for name in order]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes)
    assert size_m("gnu", "animal") == size_m("okapi", "animal") < size_m("gnu", "building")
    assert size_m("what nobody knows", "shape") > 0


def drawing(covered: np.ndarray) -> np.ndarray:
    return np.dstack([np.full((*covered.shape, 3), 120, np.uint8), covered.astype(np.uint8) * 255])


def test_what_of_a_being_is_drawn_is_seen_by_its_outline() -> None:
    y, x = np.mgrid[:128, :128] - 63.5
    head = (x / 50) ** 2 + (y / 55) ** 2 < 1
    bust = ((x / 30) ** 2 + ((y + 25) / 30) ** 2 < 1) | ((y > 10) & (np.abs(x) < 45))
    legs = ((x / 50) ** 2 + ((y + 10) / 30) ** 2 < 1) | ((np.abs(np.abs(x) - 35) < 6) & (y > 0) & (y < 60))
    assert [figure("person", "person", drawing(each)) for each in (head, bust, legs)] == ["head", "bust", "whole"]
    assert figure("clock", "thing", drawing(head)) == "whole", "what is no being has no head"
    assert figure("ladybug", "animal", drawing(head)) == "whole"
    assert figure("person", "person", drawing(np.zeros((128, 128)))) == "whole"
    one_eyed = drawing(head)
    one_eyed[:, :64, :3] = 250
    assert figure("person", "person", one_eyed) == "whole", "a face that looks at us is even"
