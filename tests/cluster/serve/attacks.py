"""What attacks are made of: raw sockets, frames of WebSockets, the service that is attacked. All of it bounded."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from cluster.serve import keys

_NAMES = itertools.count()
TEXT, BINARY, CONTINUED, PING = 1, 2, 0, 9
PACKED = 0x40


@dataclass
class Attacked:
    """The service with keys, behind HAProxy where it runs."""

    url: str
    file: Path
    """Of the keys."""
    fronted: bool
    """Whether HAProxy is before it."""
    names: list[str] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def key(self, name: str | None = None, images_per_minute: int = 600) -> str:
        """A new key, once the service knows of it."""
        made = keys.add(self.file, name or f"key-{next(_NAMES)}", images_per_minute, 86400.0)
        until = time.monotonic() + 20
        # From an address of its own, where wrong keys are not counted for others.
        headers = bearer(made) | {"X-Forwarded-For": f"10.0.0.{next(_NAMES)}"}
        while (status := httpx.get(f"{self.url}/metrics", headers=headers).status_code) != 200:
            assert status == 401
            assert time.monotonic() < until
            time.sleep(0.2)
        return made

    def healthy_within(self, seconds: float, source: str = "127.0.0.1") -> None:
        """Somebody else is answered meanwhile."""
        with httpx.Client(transport=httpx.HTTPTransport(local_address=source), timeout=seconds) as client:
            started = time.monotonic()
            assert client.get(f"{self.url}/healthz").status_code == 200
            assert time.monotonic() - started < seconds

    def live(self, key: str, **options: Any) -> ClientConnection:
        return connect(
            self.url.replace("http", "ws") + "/v1/live",
            open_timeout=20,
            additional_headers=bearer(key),
            **options,
        )

    def raw(self, data: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
        """A connection on which so much was sent."""
        made = socket.create_connection(self.address, timeout=20, source_address=(source, 0))
        made.sendall(data)
        return made

    def head(self, path: str, *headers: str, method: str = "GET") -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address[0]}:{self.address[1]}", *headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def raw_live(self, key: str | None) -> socket.socket:
        """A live connection after its handshake, in which packed messages were offered."""
        nonce = base64.b64encode(os.urandom(16)).decode()
        headers = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        headers += [f"Sec-WebSocket-Key: {nonce}", "Sec-WebSocket-Extensions: permessage-deflate"]
        headers += [f"Authorization: Bearer {key}"] if key else []
        made = self.raw(self.head("/v1/live", *headers))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += made.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101") and b"deflate" not in answer.lower(), answer
        return made


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def frame(opcode: int, payload: bytes, *, last: bool = True, flags: int = 0, masked: bool = True) -> bytes:
    """One frame (RFC 6455, section 5.2), masked with zeros."""
    size, mask = len(payload), 0x80 if masked else 0
    head = bytes([(0x80 if last else 0) | flags | opcode])
    if size < 126:
        head += bytes([mask | size])
    elif size < 1 << 16:
        head += bytes([mask | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mask | 127]) + struct.pack(">Q", size)
    return head + (bytes(4) if masked else b"") + payload


def ends_within(connection: socket.socket, seconds: float) -> bytes:
    """What comes until the other side ends the connection."""
    until, got = time.monotonic() + seconds, b""
    with contextlib.suppress(ConnectionError):
        while True:
            connection.settimeout(max(0.01, until - time.monotonic()))
            more = connection.recv(1 << 16)
            if not more:
                break
            got += more
    assert time.monotonic() < until
    return got


@contextlib.contextmanager
def all_closed(connections: list[socket.socket]) -> Iterator[None]:
    try:
        yield
    finally:
        for each in connections:
            each.close()
