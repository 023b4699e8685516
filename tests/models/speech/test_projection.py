import torch

from s2i_core.models.speech.projection import QueryTransformer

TINY = {"width": 8, "depth": 2, "heads": 2, "mlp_width": 16, "num_queries": 4, "token_width": 6, "embedding_width": 5}


def test_shapes_and_unit_length() -> None:
    tokens, pooled = QueryTransformer(**TINY)(torch.randn(3, 10, 8))
    assert tokens.shape == (3, 4, 6)
    assert pooled.shape == (3, 5)
    torch.testing.assert_close(pooled.norm(dim=-1), torch.ones(3))


def test_early_queries_do_not_see_later_ones() -> None:
    projection = QueryTransformer(**TINY).eval()
    frames = torch.randn(1, 10, 8)
    with torch.no_grad():
        before = projection(frames)[0]
        projection.queries[-1] += torch.randn(8)  # a constant would vanish in the norm
        after = projection(frames)[0]
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.allclose(before[:, -1], after[:, -1])


def test_thin_averages_pairs() -> None:
    frames = torch.arange(8.0).reshape(1, 4, 2)
    torch.testing.assert_close(QueryTransformer.halve_rate(frames), torch.tensor([[[1.0, 2.0], [5.0, 6.0]]]))
