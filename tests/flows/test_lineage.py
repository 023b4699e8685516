"""Events of OpenLineage, as a receiver gets them; one that is not there or refuses harms nobody."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest

from flows.lineage import Lineage
from s2i_core.errors import ConfigError, StorageError

RUN = UUID("0198a1b2-c3d4-7000-8000-000000000001")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, dict[str, Any]]]]:
    """What came: path, authorization, event."""
    came: list[tuple[str, str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            came.append((self.path, self.headers.get("Authorization", ""), event))
            self.send_response(201 if event["eventType"] != "FAIL" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "secret")
    try:
        yield came
    finally:
        server.shutdown()
        server.server_close()


def lineage() -> Lineage:
    return Lineage.from_env(RUN, "illustrate-archive", "s3://archive/talks", "s3://pictures/out")


def test_a_run_tells_what_it_reads_and_writes(receiver: list[tuple[str, str, dict[str, Any]]]) -> None:
    made = lineage()
    assert made.tell("START") and made.tell("COMPLETE", {"run_id": "r", "images": 3})
    assert not made.tell("FAIL", {}, StorageError("s3://archive", "it is gone", "Bring it back."))  # refused with 500
    assert [event["eventType"] for _, _, event in receiver] == ["START", "COMPLETE", "FAIL"]
    path, key, event = receiver[1]
    assert (path, key) == ("/api/v1/lineage", "Bearer secret")
    assert event["run"]["runId"] == str(RUN) and event["run"]["facets"]["s2i"]["images"] == 3
    assert event["inputs"] == [{"namespace": "s3://archive", "name": "talks"}]
    outputs = {each["name"]: each["facets"]["schema"]["fields"] for each in event["outputs"]}
    assert {"out/tables/recordings", "out/tables/images"} < outputs.keys()
    assert {"name": "similarity", "type": "float"} in outputs["out/tables/images"]
    assert receiver[2][2]["run"]["facets"]["errorMessage"]["message"].startswith("s3://archive: it is gone")


def test_what_speaks_no_http_harms_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"220 mail.example.org ready\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert not lineage().tell("START")
        answering.join()


def test_without_an_address_nothing_is_told_and_a_wrong_one_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENLINEAGE_URL", raising=False)
    assert not lineage().tell("START")
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    assert not lineage().tell("START")
    monkeypatch.setenv("OPENLINEAGE_URL", "file:///etc/passwd")
    with pytest.raises(ConfigError, match="no address of HTTP"):
        lineage()
