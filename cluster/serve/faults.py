"""Faults of the service: each has the id of its request, and a place where it can be read.

Replicas are other processes, whose logs lie in Ray's folder and go with it. So on one machine each sends its warnings
and errors, a line of JSON each, to a socket in that folder. Who started the service keeps them in a file, and says of
each error on its standard error that there was one. On a cluster there is no such socket, and the logs are Serve's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import os
import re
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.serve.problems import internal, log
from s2i_core.logs import JsonLines

SOCKET = "S2I_SERVE_FAULTS"
"""Variable of the environment of the replicas: path of the socket."""

_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_MOST_BYTES = 60_000
"""Longest line: a datagram holds hardly more."""
_FILE_BYTES = 4 << 20


class Faults:
    """Middleware: an exception becomes the answer 500, and a line in the log, under one id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            id = request_id(Headers(scope=scope))
            log.error("request %s, %s %s failed", id, scope.get("method"), scope["path"], exc_info=error)
            if scope["type"] != "http" or begun:
                raise  # whoever reads the answer must see that it broke off
            await internal(id).response()(scope, receive, send)


def request_id(headers: Headers) -> str:
    """The id of a request, as Serve names it in the answer's `X-Request-ID`; a new one where that is no proper name."""
    given = headers.get("x-request-id", "")
    return given if _ID.fullmatch(given) else secrets.token_hex(16)


def tell() -> None:
    """Have this replica tell what it logs: to be called in the `__init__` of every deployment."""
    if path := os.environ.get(SOCKET):
        log.addHandler(_ToOwner(path))


class _ToOwner(logging.handlers.DatagramHandler):
    """Lines to the socket of who started the service; while that one can take no more, they are left out."""

    def __init__(self, path: str) -> None:
        super().__init__(path, None)
        self.setLevel(logging.WARNING)
        self.setFormatter(JsonLines())

    def makeSocket(self, timeout: float = 1) -> socket.socket:
        made: socket.socket = super().makeSocket()
        made.setblocking(False)
        return made

    def makePickle(self, record: logging.LogRecord) -> bytes:
        """The line; of a very long traceback its end."""
        text = self.format(record)
        if len(text.encode()) > _MOST_BYTES:
            line = json.loads(text)
            line["exception"] = line.get("exception", "")[-_MOST_BYTES // 8 :]
            text = json.dumps(line | {"message": line["message"][: _MOST_BYTES // 8]})
        return text.encode()

    def handleError(self, record: logging.LogRecord) -> None:
        """Serve's own log has the line as well."""


@contextlib.contextmanager
def kept(path: Path, file: Path) -> Iterator[None]:
    """Keep the lines that replicas tell in a file of bounded size, for its owner only; errors also in short on stderr.

    Args:
        path: of the socket to make.
        file: grows to a few megabytes and then begins anew; the one before stays beside it.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(str(path))
        thread = threading.Thread(target=_keep, args=(inbox, file), daemon=True)
        thread.start()
        try:
            yield
        finally:
            inbox.shutdown(socket.SHUT_RD)  # what has come is read, and then nothing
            thread.join()


def _keep(inbox: socket.socket, file: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=_FILE_BYTES, backupCount=1, delay=True)
    with contextlib.closing(handler):
        while text := inbox.recv(1 << 18).decode(errors="replace"):
            if not file.exists():
                os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
            handler.emit(logging.makeLogRecord({"msg": text}))
            with contextlib.suppress(ValueError, KeyError):
                line = json.loads(text)
                if line["level"] in {"error", "critical"}:
                    cause = str(line.get("exception", "")).strip().rpartition("\n")[2]
                    sys.stderr.write(f"error: {line['message']}: {cause[:300]} (see {file})\n")
                    sys.stderr.flush()
