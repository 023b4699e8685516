"""HAProxy before a server of ours as it stands before a replica: configured by Ray, and started by our program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from ray.serve._private import haproxy as serves
from ray.serve.config import HTTPOptions

from cluster.local import free_ports
from cluster.serve.http.haproxy import Door, environment
from cluster.serve.settings import Limits

HEALTH = "/-/healthz"
_LIMITS = Limits()


class Healthy:
    """Middleware: answers Serve's health check as a replica does."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != HEALTH:
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Front:
    """HAProxy while it runs; the work is Ray's own."""

    def __init__(self, folder: Path, binary: str, behind: str, door: Door, idle_s: int) -> None:
        values = environment(folder, binary, door, idle_s=idle_s, longest_s=60, fallback_port=1)
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.program = values["RAY_SERVE_HAPROXY_BINARY_PATH"]
        self.file = Path(values["RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"])
        name, port = behind.removeprefix("http://").split(":")
        self._backend = serves.BackendConfig(
            name="http-s2i", path_prefix="/", app_name="s2i", servers=[serves.ServerConfig("one", name, int(port))]
        )
        self._config = serves.HAProxyConfig(
            http_options=HTTPOptions(host="127.0.0.1", port=self.port, keep_alive_timeout_s=65),
            socket_path=values["RAY_SERVE_HAPROXY_SOCKET_PATH"],
            metrics_socket_path=values["RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH"],
            server_state_base=values["RAY_SERVE_HAPROXY_SERVER_STATE_BASE"],
            server_state_file=values["RAY_SERVE_HAPROXY_SERVER_STATE_FILE"],
            timeout_client_s=int(values["RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S"]),
            maxconn=int(values["RAY_SERVE_HAPROXY_MAXCONN"]),
            nbthread=1,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def pid(self) -> int:
        """Of the HAProxy that takes requests now."""
        return int(self._api._proc.pid)

    def start(self) -> None:
        self._thread.start()
        self._api = serves.HAProxyApi(self._config, {"http-s2i": self._backend}, str(self.file))
        self._api.set_backend_configs({"http-s2i": self._backend})
        self._wait(self._api.start())

    def reload(self) -> None:
        """As when there is another replica."""
        self._wait(self._api.reload())

    def up(self) -> bool:
        """Whether it sees the server behind it."""
        return any(each.is_up for each in self._wait(self._api.get_all_stats()).get("http-s2i", {}).values())

    def stop(self) -> None:
        self._wait(self._api.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@contextmanager
def haproxy_before(
    behind: str, binary: str, folder: Path, limits: Limits = _LIMITS, idle_s: int = 60
) -> Iterator[Front]:
    """HAProxy in front of the server at that URL, as `s2i serve` has it."""
    front = Front(folder, binary, behind, Door("127.0.0.1", limits.head_s, limits.max_connections), idle_s)
    with mock.patch.object(serves, "RAY_SERVE_HAPROXY_BINARY_PATH", front.program):
        front.start()
        try:
            yield front
        finally:
            front.stop()
