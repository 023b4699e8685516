"""Traces by OpenTelemetry: from a flow through its jobs and their stages to each call of the object store.

Nothing is loaded and nothing is recorded unless OpenTelemetry's own variables ask for it: `OTEL_EXPORTER_OTLP_ENDPOINT`
or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (a collector's, by HTTP), or `OTEL_TRACES_EXPORTER` (`otlp`, `console`, `none`).
Each process asks its own environment. Between processes a trace travels as a `traceparent` of W3C's Trace Context.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from s2i_core.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Attributes = Mapping[str, str | int | float]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_DELAY = "OTEL_BSP_SCHEDULE_DELAY"
_DELAY_MS = 200
_LOCK = threading.Lock()


@contextmanager
def span(name: str, attributes: Attributes | None = None, *, parent: str | None = None) -> Iterator[None]:
    """Record the block as a span; an error that leaves it is recorded with it.

    Args:
        name: the kind of work, with few values: `stage draw`, not a key.
        attributes: facts of this piece of work.
        parent: `traceparent` of the span above; by default the span of this thread, or else that of the variable
            `TRACEPARENT`.

    Raises:
        ConfigError: the variables ask for an exporter or a protocol that is not available here.
    """
    tracer = _tracer()
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(name, context=_above(parent), attributes=dict(attributes or {})):
        yield


def traceparent() -> str | None:
    """The span of this thread, to be handed to another process; None where there is none."""
    if _tracer() is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the span of this thread, in hexadecimal; empty where there is none."""
    parts = (traceparent() or "").split("-")
    return {"trace_id": parts[1], "span_id": parts[2]} if len(parts) == 4 else {}


def carried(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function for another thread to call: it runs under the current span of this thread."""
    if _tracer() is None:
        return function
    from opentelemetry import context

    here = context.get_current()

    def call(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        token = context.attach(here)
        try:
            return function(*arguments, **named)
        finally:
            context.detach(token)

    return call


def flush() -> None:
    """Send what was recorded so far; waits for a collector that does not answer for its own timeout (10 s)."""
    if _tracer() is not None:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider):
            provider.force_flush()


def _above(parent: str | None) -> Context | None:
    """The context of the parent; None means the span of this thread."""
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if parent is None and not trace.get_current_span().get_span_context().is_valid:
        parent = os.environ.get("TRACEPARENT")
    return TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None


def _exporters() -> list[str]:
    """Names of the ways to send; none where tracing is off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return []
    asked = os.environ.get("OTEL_TRACES_EXPORTER", "")
    if not asked:
        return ["otlp"] if any(os.environ.get(name) for name in _ENDPOINTS) else []
    return [name for each in asked.split(",") if (name := each.strip()) != "none"]


def _tracer() -> Tracer | None:
    names = _exporters()
    if not names:
        return None
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    with _LOCK:
        # A provider that the embedding program has set up stays.
        if not isinstance(trace.get_tracer_provider(), TracerProvider):
            trace.set_tracer_provider(_provider(names))
    return trace.get_tracer("s2i", version("s2i"))


def _provider(names: list[str]) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    protocol = next((value for name in _PROTOCOLS if (value := os.environ.get(name))), "http/protobuf")
    service = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "s2i"}
    provider = TracerProvider(resource=Resource.create(service))
    # Workers of a job end soon after their last call: spans that waited longer would be lost with them.
    delay_ms = None if os.environ.get(_DELAY) else _DELAY_MS
    for name in names:
        if name == "otlp" and protocol == "http/protobuf":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=delay_ms))
        elif name == "console":
            exporter = ConsoleSpanExporter(out=sys.stderr)
            provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=delay_ms))
        elif name == "otlp":
            raise ConfigError(
                f"{_PROTOCOLS[1]}={protocol}", "traces are sent by http/protobuf only", "Set it so, or unset it."
            )
        else:
            raise ConfigError(
                f"OTEL_TRACES_EXPORTER={name}", "there is no such exporter here", "Use otlp, console or none."
            )
    return provider
