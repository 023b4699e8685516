import torch

from s2i_core.models.layout import LayoutPredictor


def test_boxes_lie_in_the_picture_and_queries_have_unit_length() -> None:
    predictor = LayoutPredictor(token_width=6, embedding_width=5, num_slots=3, width=8, depth=1, heads=2)
    layout = predictor(torch.randn(2, 4, 6), torch.randn(2, 5))
    assert layout.presence.shape == (2, 3)
    assert layout.boxes.shape == (2, 3, 4)
    assert layout.queries.shape == (2, 3, 5)
    assert ((layout.boxes >= 0) & (layout.boxes <= 1)).all()
    torch.testing.assert_close(layout.queries.norm(dim=-1), torch.ones(2, 3))
