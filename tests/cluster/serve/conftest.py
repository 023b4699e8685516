"""The service over a tiny pipeline: in this process for the many cases of HTTP, and on real Ray Serve."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from audio.audio_files import encoded, wav

from cluster.serve.http import haproxy
from cluster.serve.settings import Limits, Replicas, ServeSettings
from s2i_core import presets
from s2i_core.audio.decode import decode
from s2i_core.config import AudioConfig, ImageConfig, ModelConfig, RunConfig, SceneConfig
from s2i_core.storage.embedded import StoreInfo

sys.path.insert(0, str(Path(__file__).parent))

from asking import KINDS
from fronted import Healthy, haproxy_before
from inprocess import InProcess, uvicorn_server


@pytest.fixture(scope="session")
def run_config(checkpoint: str) -> RunConfig:
    """The preset `cpu` with the tiny pipeline and small pictures."""
    return presets.cpu().model_copy(
        update={
            "model": ModelConfig(checkpoint=checkpoint, device="cpu", threads=1),
            "scenes": SceneConfig(min_s=2, max_s=6, min_confidence=-1),
            "image": ImageConfig(size_px=64, steps=2, format="png"),
        }
    )


@pytest.fixture(scope="session")
def serve_settings(run_config: RunConfig, store: StoreInfo) -> ServeSettings:
    """Of the service under test."""
    return ServeSettings(
        run=run_config,
        s3_prefixes=("s3://archive/allowed/", "s3://archive/alone.mp3"),
        store=store.settings(),
        ingress=Replicas(num_cpus=0.25, maximum=1),
        encoder=Replicas(num_cpus=0.5),
        generator=Replicas(num_cpus=0.5, batch_cost=64, max_queued=16),
        limits=Limits(max_clip_s=30, max_clip_bytes=4 << 20, max_clips=24, upload_idle_s=3, live_idle_s=3, max_live=4),
    )


@pytest.fixture(scope="session")
def service(serve_settings: ServeSettings) -> InProcess:
    """The deployments in this process."""
    return InProcess(serve_settings)


@pytest.fixture(scope="session")
def url(service: InProcess, serve_settings: ServeSettings) -> Iterator[str]:
    """Of the service in this process, behind a real HTTP server and, where it runs, HAProxy as `s2i serve` has it."""
    binary = haproxy.binary()
    with uvicorn_server(Healthy(service.app)) as behind, tempfile.TemporaryDirectory(prefix="s2i-") as folder:
        if binary is None:
            yield behind
            return
        with haproxy_before(behind, binary, Path(folder), serve_settings.limits) as front:
            yield front.url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    """Of that server."""
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def waveform() -> np.ndarray:
    """Four seconds of speech `(T,)` at 16 kHz."""
    from cluster.serve.clips.decoding import example

    chunks = decode(io.BytesIO(example()), "the example", AudioConfig())
    return np.concatenate(list(chunks))


@pytest.fixture(scope="session")
def spoken(waveform: np.ndarray) -> Callable[[str], bytes]:
    """The speech in any of KINDS."""
    made: dict[str, bytes] = {}

    def make(kind: str) -> bytes:
        if kind not in made:
            _, container, codec, rate_hz = KINDS[kind]
            positions = np.arange(0, len(waveform) - 1, 16000 / rate_hz)
            samples = np.interp(positions, np.arange(len(waveform)), waveform)[:, None]
            made[kind] = wav(samples, rate_hz) if kind == "wav" else encoded(samples, rate_hz, container, codec)
        return made[kind]

    return make


@pytest.fixture(scope="session")
def clip(waveform: np.ndarray) -> bytes:
    """The speech as a WAV file."""
    return wav(waveform[:, None], 16000)
