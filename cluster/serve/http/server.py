"""The HTTP server before the application: what a connection may have it hold, and what a request may tell Ray Serve.

Ray Serve starts uvicorn in every replica and every proxy, and takes no settings for it. Right before, it calls what
`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names, to ask for middleware: that is the place where both are set.
"""

from __future__ import annotations

import re
from typing import Any

import uvicorn
from ray.serve._private.constants import (
    SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
    SERVE_HTTP_REQUEST_ID_HEADER,
    SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
    SERVE_INGRESS_ROUTER_HEADER_PREFIX,
    SERVE_MULTIPLEXED_MODEL_ID,
    SERVE_SESSION_ID,
)
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from cluster.serve.problems import missing

ASK_HERE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
BEHIND_HAPROXY = f"{__name__}:middlewares"
ALONE = f"{__name__}:middlewares_of_a_proxy"

MAX_MESSAGE_BYTES = 64 << 10
"""Largest message of a WebSocket; a larger one is refused with its reason."""
_MOST_MESSAGE_BYTES = 2 * MAX_MESSAGE_BYTES
"""What is larger than this ends the connection before it is read, with WebSocket's own code 1009."""
_MOST_FRAGMENTS = 64
"""Frames of one message: empty ones would be kept without an end."""
_MOST_PINGS = 64
"""Between two messages; a client sends one in many seconds."""
_MOST_UNREAD_BYTES = 8 << 20
"""What waits for a client that does not read what it asked for."""
_SLICE_BYTES = 4 << 10
"""So much is taken at a time, so that a connection that has gone wrong is left with the rest unread."""
_CLOSE_S = 2.0
"""How long a client may take to say goodbye."""
_MOST_LATE = 16
"""Slices that are looked at meanwhile."""

_INNER = "/-/"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_STEERING = {
    name.encode().replace(b"_", b"-")
    for name in (
        SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
        SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
        SERVE_MULTIPLEXED_MODEL_ID,
        SERVE_SESSION_ID.lower(),
    )
}


def middlewares() -> list[Middleware]:
    """Bound what uvicorn holds in this process; gives what stands before Serve's own code."""
    if not issubclass(uvicorn.Config, BoundedConfig):
        setattr(uvicorn, "Config", BoundedConfig)  # noqa: B010 -- a type, for mypy
    return [Middleware(Unsteered)]


def middlewares_of_a_proxy() -> list[Middleware]:
    """The same for Serve's own proxy where nothing stands before it, and nobody asks for Serve's own pages."""
    return [*middlewares(), Middleware(WithoutInner)]


class BoundedSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket with bounds on what it keeps, and does, for a client that keeps to the protocol's letter."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.close_timeout = _CLOSE_S
        self._pings = self._late = 0

    def data_received(self, data: bytes) -> None:
        """A part at a time, until the connection ends: what was sent after that is not looked at."""
        for start in range(0, len(data), _SLICE_BYTES):
            if self.close_sent:
                self._late += 1
                if self._late == _MOST_LATE:
                    self.transport.pause_reading()  # the timer ends it
            if self.transport.is_closing() or self._late >= _MOST_LATE:
                return
            super().data_received(data[start : start + _SLICE_BYTES])
            if self.conn.handshake_exc is not None and not self.handshake_complete:
                self._reject()  # uvicorn would leave it open, and unanswered

    def handle_connect(self, event: Request) -> None:
        """The request that opens the connection."""
        try:
            super().handle_connect(event)
        except UnicodeError:  # websockets cannot say what is wrong with a header that is no text
            self._reject()

    def handle_cont(self, event: Frame) -> None:
        """A further frame of a message."""
        if len(self.frames) >= _MOST_FRAGMENTS:
            self._fail(1009, "too many fragments")
        else:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """A whole message."""
        self._pings = 0
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """A ping, which is answered while the client reads the answers."""
        self._pings += 1
        if self._pings > _MOST_PINGS:
            self._fail(1008, "too many pings")
        else:
            super().handle_ping()
        if self.transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            self.transport.abort()

    async def send(self, message: Any) -> None:
        """To who has been left already nothing is sent; uvicorn takes that for a fault of the application."""
        if self.close_sent and self.initial_response is None:
            raise ClientDisconnected
        await super().send(message)

    def _reject(self) -> None:
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.handshake_complete = self.close_sent = True
        self.transport.close()

    def _fail(self, code: int, reason: str) -> None:
        self.conn.fail(code, reason)
        if not self.close_sent:
            self.handle_parser_exception()


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings: messages of WebSockets are bounded as they come, and never packed.

    A packed message (permessage-deflate, RFC 7692) may be a thousand times as large as what was sent.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        bounds = {"ws": BoundedSocket, "ws_max_size": _MOST_MESSAGE_BYTES, "ws_per_message_deflate": False}
        super().__init__(*arguments, **options | bounds)


class Unsteered:
    """Middleware: leaves out the headers with which Serve would let a client steer it, and an id that is none.

    With them a client could leave without its work being ended, or have Serve fail over what it cannot read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] in {"http", "websocket"}:
            scope["headers"] = [(name, value) for name, value in scope["headers"] if not _steers(name, value)]
        await self._app(scope, receive, send)


class WithoutInner:
    """Middleware: Serve's own pages below `/-/` are not there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if not scope.get("path", "").startswith(_INNER):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await missing().response()(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})


def _steers(name: bytes, value: bytes) -> bool:
    name = name.lower().replace(b"_", b"-")
    if name == SERVE_HTTP_REQUEST_ID_HEADER.encode():
        return _REQUEST_ID.fullmatch(value) is None
    return name in _STEERING or name.startswith(SERVE_INGRESS_ROUTER_HEADER_PREFIX.encode()) or not name.isascii()
