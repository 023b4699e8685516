"""The service in one process: the real deployments behind handles that call them directly, without Ray.

For the many cases of HTTP; what Serve itself does is tested on Serve.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from cluster.serve.app import build
from cluster.serve.deployments import Encoder, Generator
from cluster.serve.desk import Desk
from cluster.serve.service import Service
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
def uvicorn_server(app: Any) -> Iterator[str]:
    """The application behind a real HTTP server on loopback, in a thread; gives its URL."""
    import socket
    import threading

    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws_max_size=1 << 20, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
