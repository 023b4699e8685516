"""The HTTP server as Serve starts it: what it lets through to Serve and the application, without HAProxy before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from inprocess import uvicorn_server
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from cluster.serve.http import server


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with the headers that reached it; a WebSocket is accepted."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    await send({"type": "http.response.body", "body": json.dumps(headers).encode()})


@pytest.fixture(scope="module")
def alone() -> Iterator[str]:
    with uvicorn_server(echo, server.ALONE) as url:
        yield url


def test_headers_with_which_a_client_would_steer_serve_are_left_out(alone: str) -> None:
    steering = ["X-Request-Timeout-Seconds", "X-Request-Disconnect-Disabled", "Serve_Multiplexed_Model_Id"]
    steering += ["serve-multiplexed-model-id", "X-Session-Id", "X-Serve-Router-Anything"]
    seen = httpx.get(alone, headers=dict.fromkeys(steering, "1") | {"X-Other": "1"}).json()
    assert seen["x-other"] == "1" and not {name.lower() for name in steering} & set(seen)


@pytest.mark.parametrize(("given", "kept"), [("trace-1", True), ("a b", False), ("x" * 65, False), ('"', False)])
def test_an_id_of_a_request_is_one_or_is_made(alone: str, given: str, kept: bool) -> None:
    seen = httpx.get(alone, headers={"X-Request-Id": given}).json()["x-request-id"]
    assert (seen == given) is kept and len(seen) <= 64


@pytest.mark.parametrize("path", ["/-/routes", "/-/healthz", "/%2d/routes"])
def test_pages_of_serve_are_not_there(alone: str, path: str) -> None:
    assert httpx.get(f"{alone}{path}").status_code == 404
    with pytest.raises(InvalidStatus), connect(alone.replace("http", "ws") + path):
        pass


def test_packed_messages_are_not_offered(alone: str) -> None:
    with connect(alone.replace("http", "ws"), compression="deflate") as socket:
        assert socket.protocol.extensions == []
