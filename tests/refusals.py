"""A server that answers as AWS S3 does where something is wrong, in the form that AWS documents."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

#: Status, headers and body by what is wrong.
ANSWERS = {
    "region": (
        301,
        {"x-amz-bucket-region": "eu-central-1"},
        "<Code>PermanentRedirect</Code><Message>Use the specified endpoint.</Message>",
    ),
    "signed for another region": (
        400,
        {},
        "<Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message><Region>eu-central-1</Region>",
    ),
    "answered from another region": (
        200,
        {"x-amz-bucket-region": "eu-central-1"},
        None,
    ),
    "expired": (400, {}, "<Code>ExpiredToken</Code><Message>The provided token has expired.</Message>"),
    "account": (403, {}, "<Code>AccessDenied</Code><Message>Access Denied</Message>"),
    "skewed": (403, {}, "<Code>RequestTimeTooSkewed</Code><Message>too far apart</Message>"),
}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, float], None]]:
    """Start a server that answers everything as AWS S3 would; its clock may be another."""
    servers: list[ThreadingHTTPServer] = []

    def start(wrong: str, ahead_s: float = 0.0) -> None:
        status, headers, error = ANSWERS[wrong]
        inner = f"<Error>{error}</Error>" if error else "<ListBucketResult></ListBucketResult>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>{inner}'.encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Date", format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s), usegmt=True))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_PUT = do_GET

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("S2I_S3_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        monkeypatch.setenv("AWS_REGION", "us-east-1")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
