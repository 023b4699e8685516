"""On real Ray Serve: the same pictures as the batch job's, batches, who leaves, live audio, examples that run."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from asking import events, of, pcm, pieces, say
from PIL import Image
from process import Served, served_alone
from promql import QUERIES, missing, series
from websockets.sync.client import connect

from cluster.jobs.illustrate import illustrate
from cluster.jobs.plan import plan
from cluster.jobs.request import JobRequest
from cluster.serve.clips.decoding import example
from cluster.serve.http import haproxy
from cluster.serve.settings import ServeSettings
from s2i_core.config import RunConfig
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

#: Starting Serve and its replicas takes a minute of a quiet machine.
pytestmark = pytest.mark.slow

WEBM = {"content-type": "audio/webm"}


@pytest.fixture(scope="module")
def alone(store: StoreInfo, serve_settings: ServeSettings) -> Iterator[Served]:
    """The service on a Ray Serve of its own, behind HAProxy where that runs."""
    # What comes late on a busy machine is no fault here; the limits have tests of their own.
    limits = serve_settings.limits.model_copy(
        update={"upload_idle_s": 30, "live_idle_s": 60, "timeout_s": 90, "max_wait_s": 90}
    )
    with served_alone(serve_settings.model_copy(update={"limits": limits})) as served:
        yield served
        assert not served.end(signal.SIGINT, 10)


@pytest.fixture(scope="module")
def served(alone: Served) -> str:
    """Its URL."""
    return alone.url


@pytest.fixture
def online(served: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served, timeout=120) as client:
        yield client


def pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)


def figure(online: httpx.Client, name: str, **labels: str) -> float:
    """Sum of a figure over all replicas."""
    total = 0.0
    for line in online.get("/metrics").text.splitlines():
        if re.match(rf"{name}[{{ ]", line) and all(f'{key}="{value}"' in line for key, value in labels.items()):
            total += float(line.rpartition(" ")[2])
    return total


def test_all_of_it_listens_on_loopback_only_and_haproxy_at_its_door(online: httpx.Client, alone: Served) -> None:
    assert online.get("/readyz").status_code == 200
    listening = {}
    for process in alone.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in process.net_connections("inet"):
                if each.status == psutil.CONN_LISTEN or each.type == socket.SOCK_DGRAM:
                    listening[each.laddr] = process.name()
    assert {address.ip for address in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}, listening
    by_haproxy = [address.port for address, name in listening.items() if name == "haproxy"]
    assert by_haproxy == ([] if haproxy.binary() is None else [alone.port])


def test_the_same_pixels_as_the_batch_job(
    ray_session: None, online: httpx.Client, objects: ObjectStore, bucket: str, store: StoreInfo, run_config: RunConfig
) -> None:
    objects.put(bucket, "in/talk.webm", example())
    request = JobRequest(
        source=f"s3://{bucket}/in",
        destination=f"s3://{bucket}/out",
        run_id="parity",
        config=run_config,
        store=store.settings(),
    )
    plan(request)
    illustrate(request)
    rows = {row["scene_id"]: row for row in Lake(request.store, request.destination).images.read().to_pylist()}
    with concurrent.futures.ThreadPoolExecutor(6) as pool:  # alone and among others
        answers = list(pool.map(lambda _: online.post("/v1/images", content=example(), headers=WEBM), range(6)))
    for answer in answers:
        assert answer.status_code == 200, answer.text
        row = rows[answer.headers["s2i-scene-id"]]
        assert int(answer.headers["s2i-seed"]) == row["seed"]
        batch = pixels(objects.get(bucket, row["key"]))
        assert np.abs(pixels(answer.content) - batch).max() <= 1
        again = online.post(f"/v1/images?seed={row['seed']}", content=example(), headers=WEBM)
        assert np.abs(pixels(again.content) - batch).max() <= 1


def test_many_at_once_share_batches(online: httpx.Client) -> None:
    before = figure(online, "s2i_batch_items_count", deployment="generator")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda seed: online.post(f"/v1/images?seed={seed}&steps=8", content=example(), headers=WEBM), range(16)
            )
        )
    assert all(answer.status_code == 200 for answer in answers)
    time.sleep(3)  # replicas report every two seconds
    assert 0 < figure(online, "s2i_batch_items_count", deployment="generator") - before < 16


def test_the_service_exports_what_the_dashboard_asks_for(online: httpx.Client) -> None:
    answer = online.post("/v1/images", content=example(), headers=WEBM)
    assert answer.status_code == 200
    asked = [(where, query) for where, query in QUERIES if "s2i_" in query and "ray_" not in query]
    assert len(asked) > 10
    # Replicas report to the desk every 2 s.
    deadline = time.monotonic() + 30
    faults: dict[str, list[str]] = {"": []}
    while faults and time.monotonic() < deadline:
        page = series(online.get("/metrics").text)
        faults = {where: found for where, query in asked if (found := missing(query, page))}
        time.sleep(0.5)
    assert not faults


def test_who_leaves_frees_the_place(online: httpx.Client, served: str) -> None:
    address = served.removeprefix("http://").split(":")
    head = [
        "POST /v1/images?steps=50&size=256 HTTP/1.1",
        f"Host: {address[0]}:{address[1]}",
        "Content-Type: audio/webm",
        f"Content-Length: {len(example())}",
        "",
        "",
    ]
    leavers = [socket.create_connection((address[0], int(address[1]))) for _ in range(8)]
    for each in leavers:
        each.sendall("\r\n".join(head).encode() + example())
    until = time.monotonic() + 20
    while figure(online, "s2i_places_taken", kind="clips") < 8 and time.monotonic() < until:
        time.sleep(0.05)
    assert time.monotonic() < until, "they were refused, or were done already"
    left = time.monotonic()
    for each in leavers:
        each.close()
    while figure(online, "s2i_places_taken", kind="clips") and time.monotonic() < until:
        time.sleep(0.05)
    assert figure(online, "s2i_places_taken", kind="clips") == 0
    assert online.post("/v1/images", content=example(), headers=WEBM).status_code == 200
    assert time.monotonic() - left < 30, "the work of those who left was done all the same"


def test_a_recording_is_told_through_the_proxy(online: httpx.Client) -> None:
    begun = online.post("/v1/recordings", content=example(), headers=WEBM)
    assert begun.status_code == 202, begun.text
    names = [name for _, name, _ in events(online, begun.json()["events_url"])]
    assert names[-1] == "done" and "image" in names
    assert online.delete(begun.json()["url"]).status_code == 204


def test_live_audio_through_the_proxy(served: str, waveform: np.ndarray) -> None:
    with connect(served.replace("http", "ws") + "/v1/live", open_timeout=30) as socket:
        told: list[dict[str, Any]] = say(socket, pieces(pcm(waveform)), steps=8)
    assert of(told, "preview") and of(told, "image") and told[-1]["best"] == 0


def test_the_examples_of_the_documentation_run(online: httpx.Client, served: str, tmp_path: Any) -> None:
    document = online.get("/openapi.json").json()
    texts = [document["info"]["description"]]
    texts += [operation.get("description", "") for path in document["paths"].values() for operation in path.values()]
    commands = [command for text in texts for command in re.findall(r"^`?(curl [^`\n]+)`?$", text, re.M)]
    assert len(commands) >= 6
    for command in commands:
        here = command.replace("http://127.0.0.1:8000", served)
        done = subprocess.run(["bash", "-c", here], cwd=tmp_path, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, command
    assert Image.open(tmp_path / "picture.webp").size == (64, 64)


def test_memory_does_not_grow_over_2000_requests(online: httpx.Client) -> None:
    import psutil

    def resident_mb() -> dict[str, float]:
        return {
            " ".join(process.cmdline()): process.memory_info().rss / 2**20
            for process in psutil.Process().children(recursive=True)
            if process.cmdline() and process.cmdline()[0].startswith("ray::")
        }

    def ask(seed: int) -> int:
        return online.post(f"/v1/images?seed={seed}", content=example(), headers=WEBM).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(300))) == {200}  # caches fill, allocators settle
        before = resident_mb()
        assert set(pool.map(ask, range(2000))) == {200}
    grown = {name: after - before[name] for name, after in resident_mb().items() if name in before}
    assert len(grown) >= 4 and max(grown.values()) < 48, grown


def test_nothing_is_left_of_one_that_is_killed(alone: Served, serve_settings: ServeSettings) -> None:
    with served_alone(serve_settings) as beside:  # two on one machine do not get in each other's way
        assert httpx.get(f"{beside.url}/readyz", timeout=60).status_code == 200
        assert not beside.end(signal.SIGKILL, 20)
        assert httpx.get(f"{alone.url}/readyz", timeout=60).status_code == 200
