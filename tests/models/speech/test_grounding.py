"""The grounding begins as the projection, and tells things from nothing."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from s2i_core.models.parts import load_part
from s2i_core.models.speech.grounding import Grounding
from s2i_core.models.speech.projection import QueryTransformer


@pytest.fixture
def projection():
    torch.manual_seed(0)
    return QueryTransformer(
        width=8, depth=2, heads=2, mlp_width=16, num_queries=4, token_width=6, embedding_width=5
    ).eval()


def test_it_begins_with_the_vectors_of_the_projection(projection):
    windows = torch.randn(3, 7, 8)
    torch.testing.assert_close(Grounding.from_projection(projection).eval()(windows), projection(windows)[1])


def test_fewer_queries_are_the_first_and_the_last(projection):
    grounding = Grounding.from_projection(projection, num_queries=3)
    torch.testing.assert_close(grounding.body.queries, projection.queries[[0, 1, 3]])
    assert grounding(torch.randn(2, 7, 8)).shape == (2, 5)


def test_logits_set_things_against_nothing():
    grounding = Grounding(8, 1, 2, 16, 4, 5)
    things = F.normalize(torch.randn(3, 5), dim=1)
    with torch.no_grad():
        grounding.nothing_bias += 0.5
        logits = grounding.logits(things, things)
    assert logits.shape == (3, 4)
    assert logits[:, :3].argmax(1).tolist() == [0, 1, 2]
    scale = grounding.log_scale.exp()
    torch.testing.assert_close(logits.diagonal(), scale.expand(3))
    torch.testing.assert_close(logits[:, 3], things @ F.normalize(grounding.nothing, dim=0) * scale + 0.5)


def test_it_is_saved_and_loaded(projection, tmp_path):
    grounding = Grounding.from_projection(projection).eval()
    grounding.save_pretrained(tmp_path / "grounding")
    loaded = load_part(tmp_path / "grounding", Grounding)
    windows = torch.randn(2, 7, 8)
    torch.testing.assert_close(loaded(windows), grounding(windows))
    torch.testing.assert_close(loaded.nothing, grounding.nothing)


def test_a_share_becomes_a_probability():
    share = np.array([[0.0, 0.1], [0.5, 1.0]], np.float32)
    plain = Grounding(8, 1, 2, 16, 4, 5).confidence(share)
    np.testing.assert_allclose(plain, share, atol=1e-5)
    curved = Grounding(8, 1, 2, 16, 4, 5, slope=2.0, offset=-1.0).confidence(share)
    assert curved[1, 0] == pytest.approx(1 / (1 + np.e))
    assert (np.diff(curved.ravel()) > 0).all()
    assert np.isfinite(curved).all()
