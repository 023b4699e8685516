"""Who may come in: this machine alone, or whoever has a key; and no page of another site in a visitor's browser."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.serve.keys import Key, Keys
from cluster.serve.metrics import Meter
from cluster.serve.problems import Refusal
from cluster.serve.settings import ServeSettings
from s2i_core import tracing

WS_PROTOCOL = "s2i"
_WS_KEY = "s2i.key."
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
_SAID_OF_PATH = 200
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


@dataclass(frozen=True)
class Caller:
    """Who asks; `key` is None on this machine."""

    name: str
    key: Key | None = None


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
        status = 101 if scope["type"] == "websocket" else 499

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, counted)
            elif scope["type"] == "http":
                await refusal.response()(scope, receive, counted)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.problem.code})
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._meter.request(method, route, status, time.monotonic() - started)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname if _is_host(host) else None
        if self._settings.access == "loopback":
            client = scope.get("client")
            if name not in _LOCAL_NAMES or not (client is None or _is_loopback(str(client[0]))):
                message = "This service is for the machine that it runs on."
                return Refusal(403, "forbidden", message, "Open it as http://127.0.0.1, or have it opened with keys.")
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] in _UNSAFE
        if origin is not None and changes and urlsplit(origin).netloc != host:
            return Refusal(403, "forbidden", "Pages of other sites may not use this service.", "Call it from a server.")
        return None


class Doorkeeper:
    """Finds out who a caller is.

    Raises:
        ConfigError: the file of keys is missing or damaged.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._keys = Keys(Path(settings.keys_file)) if settings.access == "keys" else None

    def caller(self, headers: Headers, protocols: list[str] | None = None) -> Caller:
        """Who asks.

        Args:
            headers: of the request.
            protocols: of a WebSocket, where a browser can put a key and nowhere else.

        Raises:
            Refusal: a key is needed, and there is none or a wrong one.
        """
        if self._keys is None:
            return Caller("local")
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = next((name.removeprefix(_WS_KEY) for name in protocols or () if name.startswith(_WS_KEY)), "")
        key = self._keys.find(given.strip())
        if key is None:
            message = "This needs a key." if not given else "This key is not known."
            raise Refusal(401, "unauthorized", message, "Send the header Authorization: Bearer <key>.")
        return Caller(key.name, key)


def _is_host(host: str) -> bool:
    try:
        _ = urlsplit(f"//{host}").port
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
