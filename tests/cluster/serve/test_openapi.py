"""The OpenAPI document, tried by schemathesis: whatever it allows, and whatever it forbids, gives no server error."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


def test_nothing_that_is_sent_breaks_the_service(url: str) -> None:
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    tried: set[str] = set()
    for operation in (result.ok() for result in document.get_all_operations()):

        @settings(max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
        @given(case=operation.as_strategy())
        def whatever_is_sent(case: schemathesis.Case) -> None:
            answer = case.call(timeout=30)
            if answer.status_code != 503:  # all places taken, or the time that was asked for is too short
                case.validate_response(answer, checks=CHECKS)

        whatever_is_sent()
        tried.add(f"{operation.method.upper()} {operation.path}")
    assert {"POST /v1/images", "POST /v1/recordings", "GET /v1/recordings/{id}", "GET /metrics"} <= tried
