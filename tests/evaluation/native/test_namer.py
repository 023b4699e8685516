"""Crops lie where the boxes are, and places are counted once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import tiny_library

from s2i_core.corpus.compose import SpriteBook, sample_spec
from s2i_core.evaluation.native.judges import RELATIONS
from s2i_core.evaluation.native.namer import CROP_PX, Namer, Seen, colour_of, covered, cut, look, stands
from s2i_core.models.decoders.native.reference import Slot

BLUE = 2


def test_a_crop_is_the_square_around_its_box():
    picture = torch.zeros(2, 3, 128, 128)
    picture[:, :, 16:48, 64:96] = 1.0
    crop, beyond = cut(picture, torch.tensor([[0.625, 0.25, 0.25, 0.125], [1.2, 0.5, 0.2, 0.2]]))
    assert crop.shape == (3, CROP_PX, CROP_PX)
    # The box takes up the crop but for its room: 64 / 1.1.
    assert abs(float(crop[0].sum()) ** 0.5 - CROP_PX / 1.1) < 1.5
    assert float(crop[0, 32, 32]) == 1.0
    assert float(beyond.abs().max()) == 0.0


def test_an_edge_goes_on_beyond_the_frame():
    picture = torch.zeros(1, 3, 128, 128)
    picture[..., -8:] = 1.0
    assert float(cut(picture, torch.tensor([[1.0, 0.5, 0.2, 0.2]]))[0, 0, :, -20:].min()) == 1.0


def test_the_smaller_box_decides_what_is_covered():
    box = np.array([0.5, 0.5, 0.4, 0.4], np.float32)
    others = np.array([[0.5, 0.5, 0.1, 0.1], [0.7, 0.5, 0.4, 0.4], [0.9, 0.9, 0.1, 0.1]], np.float32)
    np.testing.assert_allclose(covered(box, others), [1.0, 0.5, 0.0], atol=1e-6)


def seen(*things: int, boxes: list[list[float]]) -> Seen:
    logits = np.eye(4, dtype=np.float32)[list(things)]
    return Seen(np.array(boxes, np.float32), logits, np.eye(3, dtype=np.float32)[list(range(len(things)))])


def test_a_place_that_lies_on_another_is_not_counted_again():
    apart = seen(1, 1, 2, boxes=[[0.2, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.8, 0.5, 0.2, 0.2]])
    assert [apart.count(thing) for thing in (0, 1, 2)] == [0, 2, 1]
    together = seen(1, 1, boxes=[[0.2, 0.5, 0.2, 0.2], [0.22, 0.5, 0.2, 0.2]])
    assert together.count(1) == 1


def test_the_colour_is_that_of_the_place_that_looks_most_like_the_thing():
    places = seen(1, 2, boxes=[[0.2, 0.5, 0.2, 0.2], [0.8, 0.5, 0.2, 0.2]])
    assert (places.colour(1), places.colour(2)) == (0, 1)


def test_a_picture_without_places_shows_nothing():
    pictures = np.zeros((2, 64, 64, 3), np.uint8)
    empty, one = look(Namer(3), pictures, [(), [Slot(0, "red", (0.5, 0.5, 0.4, 0.4))]])
    assert (empty.count(0), empty.colour(0)) == (0, None)
    assert one.things.shape == (1, 4)


@pytest.mark.parametrize(
    ("first", "second", "relation", "right"),
    [
        ([0.3, 0.6, 0.3, 0.4], [0.7, 0.6, 0.3, 0.4], "left", True),
        ([0.3, 0.6, 0.3, 0.4], [0.7, 0.6, 0.3, 0.4], "right", False),
        ([0.5, 0.25, 0.4, 0.4], [0.48, 0.75, 0.4, 0.4], "above", True),
        ([0.5, 0.75, 0.4, 0.4], [0.48, 0.25, 0.4, 0.4], "above", False),
        ([0.5, 0.25, 0.4, 0.4], [0.48, 0.75, 0.4, 0.4], "left", False),
        ([0.3, 0.75, 0.3, 0.36], [0.6, 0.5, 0.6, 0.6], "front", True),
        ([0.6, 0.5, 0.6, 0.6], [0.3, 0.75, 0.3, 0.36], "front", False),
        ([0.1, 0.75, 0.1, 0.36], [0.6, 0.5, 0.6, 0.6], "front", False),
    ],
)
def test_boxes_stand_as_is_said_or_not(first, second, relation, right):
    assert stands(np.array(first, np.float32), np.array(second, np.float32), relation) is right


def test_every_composed_pair_stands_as_its_scene_says():
    book, rng = SpriteBook(tiny_library()), np.random.default_rng(3)
    told = [spec for spec in (sample_spec(rng, book) for _ in range(400)) if spec.relation in RELATIONS]
    assert len({spec.relation for spec in told}) > 1
    for spec in told:
        boxes = [next(slot.box for slot in spec.slots if slot.concept == group.concept) for group in spec.groups]
        assert stands(*(np.array(box, np.float32) for box in boxes), spec.relation)


def test_one_place_does_not_stand_to_itself():
    places = seen(1, 3, boxes=[[0.2, 0.5, 0.2, 0.2], [0.8, 0.5, 0.2, 0.2]])
    assert places.stand(1, 3, "left")
    assert not places.stand(1, 1, "left")


def test_a_drawing_of_one_hue_has_its_own_colour():
    book = SpriteBook(tiny_library())
    slot = Slot(BLUE, "blue", (0.5, 0.5, 0.4, 0.4))
    assert colour_of(slot, book) == "blue"
    assert colour_of(Slot(BLUE, "blue", slot.box, colour="pink"), book) == "pink"
