import torch

from s2i_core.models.decoders.native.layout import LayoutPredictor
from s2i_core.models.decoders.native.recolour import COLOURS


def test_boxes_lie_in_the_picture_and_queries_have_unit_length() -> None:
    predictor = LayoutPredictor(token_width=6, embedding_width=5, num_slots=3, width=8, depth=1, heads=2)
    layout = predictor(torch.randn(2, 4, 6), torch.randn(2, 5))
    assert layout.presence.shape == (2, 3)
    assert layout.boxes.shape == (2, 3, 4)
    assert layout.queries.shape == (2, 3, 5)
    assert layout.colours.shape == (2, 3, 0)
    assert ((layout.boxes >= 0) & (layout.boxes <= 1)).all()
    torch.testing.assert_close(layout.queries.norm(dim=-1), torch.ones(2, 3))


def test_one_that_knows_colours_says_its_own_or_one_of_them() -> None:
    predictor = LayoutPredictor(6, 5, num_slots=3, width=8, depth=1, heads=2, num_colours=len(COLOURS))
    assert predictor(torch.randn(2, 4, 6), torch.randn(2, 5)).colours.shape == (2, 3, 1 + len(COLOURS))


def test_the_place_is_one_setting_and_one_time() -> None:
    predictor = LayoutPredictor(6, 5, num_slots=3, width=8, depth=1, heads=2, num_settings=4, num_times=2)
    layout = predictor(torch.randn(2, 4, 6), torch.randn(2, 5))
    assert layout.presence.shape == (2, 3)  # the query for the place is no slot
    assert layout.place().shape == (2, 6)
    assert layout.place()[:, :4].sum(1).tolist() == layout.place()[:, 4:].sum(1).tolist() == [1, 1]
    knows_none = LayoutPredictor(6, 5, num_slots=3, width=8, depth=1, heads=2)
    assert knows_none(torch.randn(2, 4, 6), torch.randn(2, 5)).place().shape == (2, 0)
