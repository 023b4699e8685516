"""An encoder that reads the waveform and no spectrogram: clips, the live stream and recordings bring it just that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import httpx
import numpy as np
import pytest
import torch
from asking import of, pcm, pieces, say, until_over
from inprocess import InProcess, uvicorn_server
from torch.nn import functional as F
from websockets.sync.client import connect

from cluster.serve.settings import Limits, ServeSettings
from s2i_core.models import registry
from s2i_core.models.contracts import F16, F32
from s2i_core.records import SpeechEmbedding


class Waveform:
    """Keeps the contract `Frontend`."""

    sampling_rate_hz = 16_000
    max_clip_s = 29.0
    rate_hz = 16_000.0
    shape = (-1,)

    def __call__(self, waveform: F32) -> F16:
        return waveform.astype(np.float16)


class LoudnessEncoder:
    """Keeps the contract `SpeechEncoder`: how loud it is in each of four parts."""

    digest = "loudness"
    frontend = Waveform()
    tokens, token_width, embedding_width = 4, 8, 8
    extras: Mapping[str, int] = {}

    def encode(self, features: Sequence[F16]) -> SpeechEmbedding:
        assert all(feature.ndim == 1 for feature in features)
        loud = torch.tensor([[float(np.abs(part).mean()) for part in np.array_split(each, 4)] for each in features])
        return SpeechEmbedding(loud[..., None].expand(-1, -1, 8), F.normalize(loud.repeat(1, 2)), torch.ones(len(loud)))


def load_loudness(*_: object) -> LoudnessEncoder:
    return LoudnessEncoder()


@pytest.fixture(scope="module")
def url(serve_settings: ServeSettings) -> Iterator[str]:
    """Of a service whose encoder it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.FRONTENDS, "whisper", f"{__name__}:Waveform")
        patch.setitem(registry.ENCODERS, "whisper", f"{__name__}:load_loudness")
        few = serve_settings.model_copy(update={"limits": Limits(max_listening=1)})
        with uvicorn_server(InProcess(few).app) as url:
            yield url


def test_a_clip(client: httpx.Client, clip: bytes) -> None:
    answer = client.post("/v1/images", content=clip, headers={"content-type": "audio/wav"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"


def test_the_live_stream(url: str, waveform: np.ndarray) -> None:
    with connect(url.replace("http", "ws") + "/v1/live", open_timeout=20) as socket:
        told = say(socket, pieces(pcm(waveform)), previews=False)
    assert len(of(told, "image")) == 1 and not of(told, "error")


def test_a_recording(client: httpx.Client, clip: bytes) -> None:
    begun = client.post("/v1/recordings", content=clip, headers={"content-type": "audio/wav"}).json()
    over = until_over(client, begun["url"])
    assert over["status"] == "done" and over["drawn"] >= 1, over["error"]
