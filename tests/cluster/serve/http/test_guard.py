"""Who may come in: loopback by name and address, no other site's pages; headers on every answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from asking import problem
from starlette.types import Receive, Scope, Send

from cluster.serve.http.guard import Guard
from cluster.serve.metrics import Meter
from cluster.serve.settings import ServeSettings


@pytest.mark.parametrize("host", ["evil.example", "169.254.169.254", "127.0.0.1.evil.example", "localhost:bad", ""])
def test_another_name_for_this_machine_is_refused(client: httpx.Client, host: str) -> None:
    assert problem(client.get("/v1/styles", headers={"host": host}), 403)["code"] == "forbidden"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
def test_a_page_of_another_site_is_refused(client: httpx.Client, clip: bytes, origin: str) -> None:
    headers = {"content-type": "audio/wav", "origin": origin}
    assert problem(client.post("/v1/images", content=clip, headers=headers), 403)["code"] == "forbidden"


def test_its_own_page_is_not(client: httpx.Client, clip: bytes) -> None:
    own = f"http://{client.base_url.host}:{client.base_url.port}"
    headers = {"content-type": "audio/wav", "origin": own}
    assert client.post("/v1/images", content=clip, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/v1/styles", "/nothing", "/docs", "/openapi.json", "/"])
def test_every_answer_has_the_headers_of_safety(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert (
        "default-src" in headers["content-security-policy"] and "unsafe-eval" not in headers["content-security-policy"]
    )
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 204), ("::1", 204), ("10.0.0.7", 403), ("junk", 403)])
def test_another_address_is_refused_until_there_are_keys(address: str, status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    def ask(settings: ServeSettings) -> int:
        transport = httpx.ASGITransport(Guard(app, settings, Meter("ingress")), client=(address, 5))

        async def call() -> int:
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return (await client.get("/")).status_code

        import asyncio

        return asyncio.run(call())

    assert ask(ServeSettings()) == status
    open_to_all: Any = ServeSettings(access="keys", keys_file="/k")
    assert ask(open_to_all) == 204
