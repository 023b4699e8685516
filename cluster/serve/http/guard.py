"""Where requests may come from: this machine alone, or anywhere; never a page of another site in a browser."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.serve.metrics import Meter
from cluster.serve.problems import Refusal
from cluster.serve.settings import ServeSettings
from s2i_core import tracing

_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
_SAID_OF_PATH = 200
REFUSED = "s2i.refused"
"""Key of a WebSocket's scope: the status with which it was ended."""
_METHODS = _UNSAFE | {"GET", "HEAD", "OPTIONS", "WS"}

#: Of answers that are no pages: nothing in them is ever run or shown as a page.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # What was said, and what was drawn of it, is in no cache after it was deleted; what is the same for all says so.
    "Cache-Control": "no-store",
}


class Guard:
    """Middleware: checks where a request comes from, sets the headers of safety, counts, and opens the trace.

    A service for this machine alone refuses other addresses, and other names for this one: a page of another site
    could have its own name lead here (DNS rebinding). A browser's request from another origin is refused everywhere.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, meter: Meter) -> None:
        self._app = app
        self._settings = settings
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        method = scope.get("method", "WS")
        # A client can make up methods; a label must not grow with them.
        method = method if method in _METHODS else "other"
        about = {"http.request.method": method, "url.path": scope["path"][:_SAID_OF_PATH]}
        with tracing.span("request", about, parent=Headers(scope=scope).get("traceparent")):
            await self._guarded(scope, receive, send, method)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send, method: str) -> None:
        started = time.monotonic()
        status = 499

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if status == 408:  # who was too slow is not to go on
                    headers["Connection"] = "close"
            elif message["type"] == "websocket.accept":
                status = 101
            elif message["type"] == "websocket.close" and status == 499:
                status = 403
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is not None and scope["type"] == "websocket":
                await receive()
                await counted({"type": "websocket.close", "code": 1008, "reason": refusal.problem.code})
            elif method == "HEAD":
                scope = {**scope, "method": "GET"}
                await _without_body(refusal.response() if refusal else self._app, scope, receive, counted)
            else:
                await (refusal.response() if refusal else self._app)(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            # A socket is accepted first and refused then: a browser's page cannot see why it was not accepted.
            self._meter.request(method, route, scope.get(REFUSED, status), time.monotonic() - started)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = _name(host)
        if self._settings.access == "loopback":
            client = scope.get("client")
            if name not in _LOCAL_NAMES or not (client is None or _is_loopback(str(client[0]))):
                message = "This service is for the machine that it runs on."
                return Refusal(403, "forbidden", message, "Open it as http://127.0.0.1, or have it opened with keys.")
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] in _UNSAFE
        if origin is not None and changes and _authority(origin) != host:
            return Refusal(403, "forbidden", "Pages of other sites may not use this service.", "Call it from a server.")
        return None


async def _without_body(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """What a GET is answered, but for the body (RFC 9110, section 9.3.2); what would make more of it is ended."""
    begun = asyncio.get_running_loop().create_future()

    async def headers_alone(message: Message) -> None:
        if begun.done():
            return
        if message["type"] == "http.response.body":
            await send({"type": "http.response.body", "body": b""})
            begun.set_result(None)
        else:
            await send(message)

    answering = asyncio.ensure_future(app(scope, receive, headers_alone))
    try:
        await asyncio.wait({answering, begun}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if answering.done() and not begun.done():
            answering.result()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


def _name(host: str) -> str | None:
    """The name in a `Host` header; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
        return parts.hostname
    except ValueError:
        return None


def _authority(origin: str) -> str | None:
    """Name and port in an `Origin` header; None where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
