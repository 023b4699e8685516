"""What goes wrong inside has an id for who asked, and a traceback for who runs the service."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from asking import WAV, events, problem, until_over
from inprocess import InProcess, uvicorn_server

from cluster.serve import faults
from cluster.serve.problems import log
from cluster.serve.settings import ServeSettings


@pytest.fixture
def broken(serve_settings: ServeSettings, monkeypatch: pytest.MonkeyPatch) -> InProcess:
    service = InProcess(serve_settings)

    async def fails(*_: Any) -> Any:
        raise RuntimeError("the inside broke")

    monkeypatch.setattr(service.encoder, "encode", fails)
    return service


def test_a_fault_has_an_id_a_line_and_a_traceback(
    broken: InProcess, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "home" / "serve" / "8000.jsonl"
    monkeypatch.setenv(faults.SOCKET, str(tmp_path / "inbox"))
    handlers = list(log.handlers)
    try:
        faults.tell()
        with (
            faults.kept(tmp_path / "inbox", file),
            uvicorn_server(broken.app) as url,
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            answer = client.post("/v1/images", content=clip, headers=WAV | {"x-request-id": "ask-1"})
            bad = client.post("/v1/images", content=clip, headers=WAV | {"x-request-id": "a b\\n" + "x" * 99})
            begun = client.post("/v1/recordings", content=clip, headers=WAV).json()
            view = until_over(client, begun["url"])
            log.error("very long", exc_info=RuntimeError("x" * 200_000))
    finally:
        log.handlers[:] = handlers
    error = problem(answer, 500)
    assert error["request_id"] == "ask-1" and "ask-1" in error["remedy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    made = problem(bad, 500)["request_id"]
    assert UUID(made)
    assert view["error"]["request_id"] == begun["id"]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for name in ("ask-1", made, begun["id"]):
        (line,) = [line for line in lines if f"{name}, " in line["message"] or f" {name} " in line["message"]]
        assert "Traceback" in line["exception"] and "the inside broke" in line["exception"]
    assert file.stat().st_mode & 0o077 == 0 and file.parent.stat().st_mode & 0o077 == 0
    said = capfd.readouterr().err
    assert f"error: request ask-1, POST /v1/images failed: RuntimeError: the inside broke (see {file})" in said
    assert "error: very long" in said


def test_a_recording_is_forgotten_in_its_time_and_is_in_no_cache(serve_settings: ServeSettings, clip: bytes) -> None:
    limits = serve_settings.limits.model_copy(update={"kept_s": 1.0})
    service = InProcess(serve_settings.model_copy(update={"limits": limits}))
    with uvicorn_server(service.app) as url, httpx.Client(base_url=url, timeout=60) as client:
        begun = client.post("/v1/recordings", content=clip, headers=WAV)
        told = list(events(client, begun.json()["events_url"]))
        picture = next(data["image_url"] for _, name, data in told if name == "image")
        answers = [
            begun,
            *map(client.get, (picture, begun.json()["url"])),
            client.post("/v1/images", content=clip, headers=WAV),
        ]
        assert [each.headers["cache-control"] for each in answers] == ["no-store"] * 4
        assert "public" in client.get("/v1/example").headers["cache-control"]
        deadline = time.monotonic() + 6
        while service.desk._recordings and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not service.desk._recordings, "nobody began another one"
        assert problem(client.get(picture), 404)
