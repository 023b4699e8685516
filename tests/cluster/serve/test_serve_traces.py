"""A request's trace: under the client's own, with a span for each step."""

from __future__ import annotations

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from s2i_core import tracing

ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_is_one_trace(client: httpx.Client, clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    # The exporters of the process would stay for all tests after this one.
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer("test"))
    answer = client.post("/v1/images", content=clip, headers={"content-type": "audio/wav", "traceparent": ABOVE})
    assert answer.status_code == 200
    spans = {span.name: span for span in kept.get_finished_spans()}
    assert set(spans) == {"request", "decode", "encode", "draw"}
    request = spans["request"]
    assert request.parent is not None and format(request.parent.span_id, "016x") == ABOVE.split("-")[2]
    assert request.attributes == {"http.request.method": "POST", "url.path": "/v1/images"}
    assert spans["draw"].attributes == {"s2i.images": 1}
    for name in ("decode", "encode", "draw"):
        step = spans[name]
        assert step.parent is not None and step.parent.span_id == request.context.span_id
        assert format(step.context.trace_id, "032x") == ABOVE.split("-")[1]
