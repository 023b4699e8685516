"""On real Ray Serve with its own autoscaler: more copies under load, fewer after it, and no answer lost on the way."""

from __future__ import annotations

import concurrent.futures
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import paced
import pytest
from asking import WAV
from paced import PacedEncoder, PacedGenerator
from ray import cloudpickle, serve
from ray.serve.schema import ReplicaState

from cluster.serve import app
from cluster.serve.local import APP, serving
from cluster.serve.settings import Replicas, ServeSettings

#: Starting Serve and its replicas takes a minute of a busy machine.
pytestmark = pytest.mark.slow

_CLIENTS = 12
_LONGEST_S = 90.0  # of a busy machine; of a quiet one, 15


@pytest.fixture
def served(ray_session: None, serve_settings: ServeSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a service of one to two copies that scales within seconds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    copies = Replicas(
        num_cpus=0.5,
        minimum=1,
        maximum=2,
        target_queue=2,
        upscale_after_s=0.5,
        downscale_after_s=1,
        look_back_s=2,
        report_s=0.5,
    )
    limits = serve_settings.limits.model_copy(update={"max_wait_s": 60, "timeout_s": 90})
    settings = serve_settings.model_copy(update={"encoder": copies, "generator": copies, "limits": limits})
    monkeypatch.setattr(app, "Encoder", PacedEncoder)
    monkeypatch.setattr(app, "Generator", PacedGenerator)
    cloudpickle.register_pickle_by_value(paced)  # the replicas do not find the folder of the tests
    try:
        with serving(settings, port=port) as url:
            yield url
    finally:
        cloudpickle.unregister_pickle_by_value(paced)


def running() -> dict[str, int]:
    """Copies of encoder and generator that serve, by deployment."""
    deployments = serve.status().applications[APP].deployments
    return {name: deployments[name].replica_states.get(ReplicaState.RUNNING, 0) for name in ("Encoder", "Generator")}


def reached(wanted: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """The copies, once they are as wanted or the time is over."""
    until = time.monotonic() + _LONGEST_S
    while not wanted(copies := running()) and time.monotonic() < until:
        time.sleep(0.1)
    return copies


def test_copies_come_with_the_load_and_go_with_it_and_no_answer_is_lost(served: str, clip: bytes) -> None:
    statuses: Counter[int] = Counter()
    calm, over = threading.Event(), threading.Event()

    def ask_on(number: int) -> None:
        # One client stays while copies go.
        while not over.is_set() and not (calm.is_set() and number):
            statuses[client.post(f"/v1/images?seed={number}", content=clip, headers=WAV).status_code] += 1
            if calm.is_set():
                time.sleep(0.2)

    assert running() == {"Encoder": 1, "Generator": 1}
    with (
        httpx.Client(base_url=served, timeout=120) as client,
        concurrent.futures.ThreadPoolExecutor(_CLIENTS) as pool,
    ):
        clients = [pool.submit(ask_on, number) for number in range(_CLIENTS)]
        # Not always at once: what one is done with faster waits for the other.
        most = {name: reached(lambda copies, name=name: copies[name] == 2)[name] for name in ("Encoder", "Generator")}
        calm.set()
        least = reached(lambda copies: copies == {"Encoder": 1, "Generator": 1})
        over.set()
        for each in clients:
            each.result()
    assert most == {"Encoder": 2, "Generator": 2}
    assert least == {"Encoder": 1, "Generator": 1}
    assert set(statuses) == {200}, statuses
