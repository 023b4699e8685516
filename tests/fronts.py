"""Servers that stand before a store: a company's proxy, TLS of a private authority, a store that refuses."""

from __future__ import annotations

import http.client
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

#: What to answer instead of the store: status, headers and body by method and path; None passes the request on.
Answer = Callable[[str, str], tuple[int, dict[str, str], bytes] | None]
_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding"}


class Front:
    """A server on loopback that passes on to the store what it gets, as origin or as proxy, and remembers it.

    Attributes:
        seen: method and target of each request, as they came.
        answer: may be set while it runs.
        listing: changes the body of a listing.
    """

    def __init__(self, upstream: str, tls: tuple[Path, Path] | None = None) -> None:
        self.seen: list[tuple[str, str]] = []
        self.answer: Answer = lambda method, path: None
        self.listing: Callable[[bytes], bytes] = lambda body: body
        self._upstream = urlsplit(upstream).netloc
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def pass_on(self) -> None:
                front._pass_on(self)

            def do_CONNECT(self) -> None:
                front._tunnel(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that does not believe our certificate hangs up."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, handler: Any) -> None:
        self.seen.append((handler.command, handler.path))
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        parts = urlsplit(handler.path)
        path = parts._replace(scheme="", netloc="").geturl() or "/"
        found = self.answer(handler.command, path)
        if found is None:
            found = self._ask(handler, path, body)
        status, headers, data = found
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if "content-length" not in {name.lower() for name in headers}:
            handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)

    def _ask(self, handler: Any, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        connection.putrequest(handler.command, path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            if name.lower() not in _HOP:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        if b"<ListBucketResult" in data:
            data = self.listing(data)
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        connection.close()
        return answer.status, headers, data

    def _tunnel(self, handler: Any) -> None:
        """To the upstream, whatever name was asked for: only a proxy knows the names of this network."""
        self.seen.append(("CONNECT", handler.path))
        host, _, port = self._upstream.rpartition(":")
        with socket.create_connection((host, int(port)), 10) as there:
            handler.send_response_only(200)
            handler.end_headers()
            here = handler.connection
            while True:
                ready, _, _ = select.select([here, there], [], [], 60)
                if not ready:
                    break
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        handler.close_connection = True
                        return
                    (there if one is here else here).sendall(data)


@contextmanager
def front(upstream: str, tls: tuple[Path, Path] | None = None) -> Iterator[Front]:
    """A front for the time of the block."""
    made = Front(upstream, tls)
    try:
        yield made
    finally:
        made.close()


def listings(seen: list[tuple[str, str]], bucket: str, folder: str = "") -> list[str]:
    """Of what a front has seen, each page of a whole listing of a folder; checks ask for one object alone."""
    found = []
    for method, target in seen:
        parts = urlsplit(target)
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        whole = (asked.get("list-type"), asked.get("max-keys"), asked.get("prefix")) == ("2", "1000", folder)
        if method == "GET" and whole and parts.path.strip("/") == bucket:
            found.append(target)
    return found


def refusal(status: int, code: str, message: str, more: str = "") -> tuple[int, dict[str, str], bytes]:
    """An answer of a store that refuses, in the form of S3."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'
    return status, {"Content-Type": "application/xml"}, body.encode()


def archived(storage_class: str, marked: str, restore: str = "") -> Callable[[bytes], bytes]:
    """For `Front.listing`: objects with `marked` in their keys are of this class; `restore` is said of them."""
    entry = re.compile(rb"<Contents>(?:(?!</Contents>).)*</Contents>", re.S)

    def change(found: re.Match[bytes]) -> bytes:
        text = found.group()
        if not re.search(rb"<Key>[^<]*" + marked.encode() + rb"[^<]*</Key>", text):
            return text
        text = re.sub(rb"<StorageClass>[^<]*</StorageClass>", b"", text)
        more = f"<StorageClass>{storage_class}</StorageClass>{restore}</Contents>".encode()
        return text.replace(b"</Contents>", more)

    return lambda body: entry.sub(change, body)
