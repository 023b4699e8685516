import torch

from s2i_core.models.image_encoder import ImageEncoder


def test_any_size_gives_unit_vectors_of_one_width() -> None:
    encoder = ImageEncoder(size_px=32, stem=8, stages=((3, 1, 2, 2, 8),), width=8, embedding_width=6).eval()
    for size in (32, 64, 100):
        vectors = encoder(torch.rand(2, 3, size, size) * 2 - 1)
        assert vectors.shape == (2, 6)
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2))
