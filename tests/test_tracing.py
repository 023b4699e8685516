"""Traces: silent unless asked for, and under one another where they should be."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from otlp import facts, receiving

WORK = """
import sys
from concurrent.futures import ThreadPoolExecutor
from s2i_core import tracing

def below(name):
    with tracing.span(name):
        return tracing.ids()["trace_id"]

with tracing.span("outer", {"s2i.batch": 3}):
    print(tracing.traceparent())
    with ThreadPoolExecutor(1) as threads:
        threads.submit(tracing.carried(below), "in a thread").result()
        threads.submit(below, "lost").result()
    try:
        with tracing.span("inner"):
            raise ValueError("no good")
    except ValueError:
        pass
"""
SILENT = """
import sys
from s2i_core import tracing
with tracing.span("outer"):
    print(tracing.traceparent(), tracing.ids(), tracing.carried(print) is print)
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TRACEPARENT"))}
    return subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    ],
)
def test_nothing_is_recorded_or_loaded_where_nobody_asks(environment: dict[str, str]) -> None:
    done = python(SILENT, **environment)
    assert (done.stdout, done.stderr) == ("None {} True\n[]\n", "")


def test_spans_reach_a_collector_under_the_one_that_the_environment_names() -> None:
    with receiving() as receiver:
        done = python(WORK, TRACEPARENT=ABOVE, **receiver.environment)
    assert done.returncode == 0, done.stderr
    (outer,), (inner,), (thread,) = (receiver.named(name) for name in ("outer", "inner", "in a thread"))
    assert outer.trace_id.hex() == ABOVE.split("-")[1] and outer.parent_span_id.hex() == ABOVE.split("-")[2]
    assert done.stdout.strip() == f"00-{outer.trace_id.hex()}-{outer.span_id.hex()}-01"
    assert facts(outer) == {"s2i.batch": 3}
    assert inner.parent_span_id == thread.parent_span_id == outer.span_id
    assert receiver.named("lost")[0].parent_span_id != outer.span_id  # a thread does not know by itself
    assert (inner.status.code, outer.status.code) == (inner.status.STATUS_CODE_ERROR, outer.status.STATUS_CODE_UNSET)
    assert "no good" in str(inner.events)
    assert receiver.services == {"s2i"}


def test_the_console_is_the_error_output_and_names_are_the_users() -> None:
    done = python(WORK, OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="night")
    assert done.returncode == 0
    assert '"name": "outer"' in done.stderr and '"service.name": "night"' in done.stderr
    assert "outer" not in done.stdout


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin: there is no such exporter here"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: traces are sent by http/protobuf only",
        ),
    ],
)
def test_what_cannot_be_sent_is_said(environment: dict[str, str], told: str) -> None:
    done = python(WORK, **environment)
    assert done.returncode != 0 and told in done.stderr


def test_a_collector_that_is_not_there_holds_nobody_up() -> None:
    timed = f"import time\nstarted = time.monotonic()\n{WORK}\nprint(time.monotonic() - started)"
    started = time.monotonic()
    done = python(timed, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT="2")
    assert done.returncode == 0
    assert float(done.stdout.splitlines()[-1]) < 10  # mostly its imports
    assert time.monotonic() - started < 60
