"""A receiver of traces on loopback: takes what OpenTelemetry's own exporter sends over HTTP, as a collector does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Receiver:
    """What came, by span id."""

    port: int
    spans: dict[bytes, Span] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)

    @property
    def environment(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}"}

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans.values() if span.name == name]

    def above(self, span: Span) -> list[str]:
        """Names of the spans above one, from the nearest to the first."""
        names = []
        while (parent := self.spans.get(span.parent_span_id)) is not None:
            names.append(parent.name)
            span = parent
        return names


def facts(span: Span) -> dict[str, str | int]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver for the time of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in sent.resource_spans:
                for each in resource.resource.attributes:
                    if each.key == "service.name":
                        receiver.services.add(each.value.string_value)
                for scope in resource.scope_spans:
                    receiver.spans |= {span.span_id: span for span in scope.spans}
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
