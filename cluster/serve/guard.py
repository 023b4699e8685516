"""Who may come in: this machine alone, or whoever has a key; and no page of another site in a visitor's browser."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Address, Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.serve.keys import CHECK_S, Key, Keys, Quotas
from cluster.serve.metrics import Meter
from cluster.serve.problems import Refusal, log, withdrawn
from cluster.serve.settings import ServeSettings
from s2i_core import tracing
from s2i_core.errors import ConfigError

WS_PROTOCOL = "s2i"
_WS_KEY = "s2i.key."
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
_SAID_OF_PATH = 200
REFUSED = "s2i.refused"
"""Of a WebSocket's scope: the status with which it was ended."""
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

    @property
    def key_name(self) -> str | None:
        """Whose share is counted."""
        return self.key.name if self.key else None


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


class Doorkeeper:
    """Finds out who a caller is, and whether they still are.

    Raises:
        ConfigError: the file of keys is missing or damaged.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._keys = Keys(Path(settings.keys_file)) if settings.access == "keys" else None
        self._wrong = Quotas()
        self._wrong_per_minute = float(settings.limits.wrong_keys_per_minute)

    def caller(self, headers: Headers, client: Address | None, protocols: list[str] | None = None) -> Caller:
        """Who asks.

        Args:
            headers: of the request.
            client: where it comes from.
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
        if key is not None:
            # Also from an address of many wrong ones: it may be that of a whole house.
            return Caller(key.name, key)
        message = "This needs a key."
        if given:
            message, most = "This key is not known.", self._wrong_per_minute
            if wait_s := self._wrong.spend(_neighbourhood(client), "wrong keys", 1, most, most / 60):
                message = "Too many wrong keys came from this address."
                raise Refusal(429, "wrong_keys", message, "Wait, and send the right one.", wait_s)
        raise Refusal(401, "unauthorized", message, "Send the header Authorization: Bearer <key>.")

    @contextlib.asynccontextmanager
    async def holding(self, caller: Caller) -> AsyncIterator[None]:
        """End the block when the caller's key is withdrawn, within seconds.

        Raises:
            Refusal: it was.
        """
        if self._keys is None or caller.key is None:
            yield
            return
        end = asyncio.timeout(None)
        try:
            async with end:
                watching = asyncio.ensure_future(self._watch(self._keys, caller.key, end))
                try:
                    yield
                finally:
                    watching.cancel()
        except TimeoutError:
            if not end.expired():
                raise
            raise withdrawn() from None

    async def _watch(self, keys: Keys, key: Key, end: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        while self._holds(keys, key):
            await asyncio.sleep(CHECK_S / 2)
        end.reschedule(loop.time())

    def _holds(self, keys: Keys, key: Key) -> bool:
        try:
            return keys.hold(key)
        except ConfigError as error:
            # Without the file nobody is known, as for those who come.
            log.error("the file of keys cannot be read any more", exc_info=error)
            return False


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


def _neighbourhood(client: Address | None) -> str:
    """The address, or what one customer of a provider has of IPv6: a /64."""
    try:
        address = ipaddress.ip_address(str(client[0]) if client else "")
    except ValueError:
        return "unknown"
    if address.version == 6 and not address.ipv4_mapped:
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
