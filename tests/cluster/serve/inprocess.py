"""The service in one process: the real deployments behind handles that call them directly, without Ray.

For the many cases of HTTP; what Serve itself does is tested on Serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from cluster.local import free_ports
from cluster.serve.clips.service import Service
from cluster.serve.http import server
from cluster.serve.http.application import build
from cluster.serve.model.encoder import Encoder
from cluster.serve.model.generator import Generator
from cluster.serve.recordings.desk import Desk
from cluster.serve.settings import ServeSettings


class Handle:
    """As a `DeploymentHandle`, for the methods of one object."""

    def __init__(self, target: Any, stream: bool = False) -> None:
        self._target = target
        self._stream = stream

    def options(self, *, stream: bool) -> Handle:
        return Handle(self._target, stream)

    def __getattr__(self, name: str) -> Any:
        return _Method(getattr(self._target, name), self._stream)


class _Method:
    def __init__(self, function: Any, stream: bool) -> None:
        self._function = function
        self._stream = stream

    def remote(self, *arguments: Any) -> Any:
        if self._stream:
            return _Stream(self._function(*arguments))
        return asyncio.ensure_future(self._function(*arguments))


class _Stream:
    def __init__(self, items: AsyncIterator[Any]) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._items

    def cancel(self) -> None:
        self._closing = asyncio.ensure_future(self._items.aclose())  # type: ignore[attr-defined]


class InProcess:
    """The service and its deployments; `app` is the ASGI application."""

    def __init__(
        self, settings: ServeSettings, encoders: type[Encoder] = Encoder, generators: type[Generator] = Generator
    ) -> None:
        self.encoder, self.generator = encoders(settings), generators(settings)
        encoder, generator = Handle(self.encoder), Handle(self.generator)
        self.desk = Desk(settings, encoder, generator)  # type: ignore[arg-type]
        self.service = Service(settings, encoder, generator, Handle(self.desk))  # type: ignore[arg-type]
        self.app = build(self.service)


@contextmanager
def uvicorn_server(app: Any, callback: str = server.BEHIND_HAPROXY) -> Iterator[str]:
    """The application behind the HTTP server of a replica, started by Serve's own code as in the product; its URL."""
    import queue
    import threading
    from unittest import mock

    from ray.serve._private import http_util
    from ray.serve.config import HTTPOptions

    port = free_ports(1)[0]
    with mock.patch.object(http_util, server.ASK_HERE, callback):
        options = http_util.configure_http_options_with_defaults(HTTPOptions(host="127.0.0.1", port=port))
        options = http_util.configure_http_middlewares(options)
    told: queue.Queue[Any] = queue.Queue()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        serving, running = await http_util.start_asgi_http_server(app, options, event_loop=loop)
        told.put(running)
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    running = told.get(timeout=60)
    try:
        while not running.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        running.config.timeout_graceful_shutdown = 2
        running.should_exit = True
        thread.join(20)
