"""Who calls, by their key; and whether they still may."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Address, Headers

from cluster.serve.keys import CHECK_S, Key, Keys, Quotas
from cluster.serve.problems import Refusal, log, withdrawn
from cluster.serve.settings import ServeSettings
from s2i_core.errors import ConfigError

WS_PROTOCOL = "s2i"
_WS_KEY = "s2i.key."


@dataclass(frozen=True)
class Caller:
    """Who asks; `key` is None on this machine."""

    name: str
    key: Key | None = None

    @property
    def key_name(self) -> str | None:
        """Whose share is counted."""
        return self.key.name if self.key else None

    @property
    def may_edit(self) -> bool:
        """Whether they may change what runs drew."""
        return self.key is None or self.key.edits


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


def _neighbourhood(client: Address | None) -> str:
    """The address, or what one customer of a provider has of IPv6: a /64."""
    try:
        address = ipaddress.ip_address(str(client[0]) if client else "")
    except ValueError:
        return "unknown"
    if address.version == 6 and not address.ipv4_mapped:
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
