"""The parts of the cascade that need no weights."""

import numpy as np
import pytest
import torch

from s2i_core.evaluation.cascade import TokensOfText, once
from s2i_core.records import SpeechEmbedding


def test_tokens_follow_the_text_where_they_depend_on_it_linearly():
    rng = np.random.default_rng(0)
    texts = rng.standard_normal((400, 6)).astype(np.float32)
    weights = rng.standard_normal((6, 3 * 4))
    tokens = torch.from_numpy((texts @ weights).reshape(-1, 3, 4)).float()
    spoken = SpeechEmbedding(tokens, torch.from_numpy(texts), torch.ones(len(texts)))
    made = TokensOfText(texts[:300], SpeechEmbedding(tokens[:300], spoken.pooled[:300], torch.ones(300)), 1e-3)
    assert made(texts[300:]).tokens.shape == (100, 3, 4)
    torch.testing.assert_close(made(texts[300:]).tokens, tokens[300:], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        ("Here comes the train. Here comes the train. Here comes", "Here comes the train"),
        ("camel camel camel camel cam", "camel"),
        ("a dog and a cat", "a dog and a cat"),
        ("the theatre", "the theatre"),
        ("i know that that is so", "i know that that is so"),
        ("look at the dog. the dog. the dog. the", "look at the dog"),
    ],
)
def test_repetitions_of_the_recogniser_are_cut(heard, said):
    assert once(heard) == said
