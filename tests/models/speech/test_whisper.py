import pytest
import torch
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from s2i_core.models.speech.whisper import SpeechEncoder, WhisperConfig

TINY = {"d_model": 8, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 16}


def test_equals_whisper_on_thirty_seconds() -> None:
    config = WhisperConfig(**TINY)
    theirs = WhisperEncoder(config).eval()
    ours = SpeechEncoder(config).eval()
    ours.load_state_dict(theirs.state_dict())
    features = torch.randn(1, 80, 3000)
    with torch.no_grad():
        torch.testing.assert_close(ours(features), theirs(features).last_hidden_state, rtol=1e-4, atol=1e-5)


def test_takes_short_clips_and_refuses_long_ones() -> None:
    encoder = SpeechEncoder(WhisperConfig(**TINY)).eval()
    assert encoder(torch.randn(2, 80, 200)).shape == (2, 100, 8)
    for frames in (201, 3002):
        with pytest.raises(ValueError, match="mel frames"):
            encoder(torch.randn(1, 80, frames))
