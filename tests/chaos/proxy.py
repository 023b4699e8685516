"""A real HTTP proxy in front of an S3 server, which can refuse a share of the requests as an overloaded store does."""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


class Proxy(ThreadingHTTPServer):
    """Passes requests on to `upstream`; refuses every tenth or so with 503 SlowDown where `refuse` is 0.1.

    Attributes:
        passed, refused: requests so far.
    """

    daemon_threads = True

    def __init__(self, upstream: str, refuse: float, host: str) -> None:
        super().__init__((host, 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.refuse = refuse
        self.random = random.Random(1)
        self.passed = self.refused = 0

    @property
    def endpoint(self) -> str:
        """URL of the proxy."""
        return f"http://{self.server_address[0]}:{self.server_address[1]}"


@contextmanager
def proxy(upstream: str, *, refuse: float = 0.0, host: str = "127.0.0.1") -> Iterator[Proxy]:
    """A proxy for as long as the block lasts."""
    with Proxy(upstream, refuse, host) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.random.random() < self.server.refuse:
            self.server.refused += 1
            self._answer(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
            return
        self.server.passed += 1
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            # The host is signed: the store must see the one that the client asked.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP | {"expect"}:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
        except OSError:
            self.close_connection = True  # the store is gone: so is the connection to it
            return
        finally:
            connection.close()
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
        self._answer(answer.status, [each for each in kept if each[0].lower() != "content-length"], data, length)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, length: str | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""
