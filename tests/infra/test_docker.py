"""The Dockerfile: how it is written. No image is built here, as there is no Docker; its steps were tried without it."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "infra" / "docker"


def instructions() -> list[tuple[str, str]]:
    """Instruction and argument, lines that go on put together."""
    text = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def of(name: str) -> list[str]:
    return [argument for instruction, argument in instructions() if instruction == name]


def default(argument: str) -> str:
    return next(each.partition("=")[2] for each in of("ARG") if each.startswith(f"{argument}="))


def test_the_base_is_pinned_and_the_stages_are_apart() -> None:
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", default("BASE"))
    assert of("FROM") == [
        "${BASE} AS build",
        "build AS sbom-build",
        "scratch AS sbom",
        "${BASE} AS runtime",
    ]


def test_versions_are_those_that_are_tested() -> None:
    script = (ROOT / "infra" / "install.sh").read_text()
    for name in ("TORCH", "UV"):
        assert f"{name}={default(name)}" in script.splitlines()
    assert (
        f"torch=={default('TORCH')}" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    )


def test_nothing_runs_as_root() -> None:
    after = [each for each in instructions()][[each[0] for each in instructions()].index("USER") :]
    assert after[0] == ("USER", "1000:1000")
    assert not [each for each in after if each[0] in {"RUN", "COPY", "ADD"}]
    assert "--no-new" not in str(after) and of("HEALTHCHECK")


def test_nothing_is_fetched_by_address_and_no_secret_is_passed() -> None:
    assert not of("ADD")
    text = (DOCKER / "Dockerfile").read_text()
    assert not re.findall(r"\b(curl|wget)\b", text)
    assert not re.findall(r"(?i)(ARG|ENV)\s+\w*(TOKEN|SECRET|PASSWORD|ACCESS_KEY)", text)


def test_what_is_copied_is_there_and_in_the_context() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [
        source
        for each in of("COPY")
        if "--from=" not in each
        for source in [part for part in each.split() if not part.startswith("--")][:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in kept), f"{source} is not sent to the builder"


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_a_good_answer_from_a_bad(status: int, code: int) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        answer = subprocess.run(
            [sys.executable, DOCKER / "healthcheck.py"], env={**os.environ, "HEALTH_URL": url}, check=False
        )
        server.shutdown()
    assert answer.returncode == code


def test_the_health_check_fails_where_nothing_answers() -> None:
    environment = {**os.environ, "HEALTH_URL": "http://127.0.0.1:9/"}
    answer = subprocess.run(
        [sys.executable, DOCKER / "healthcheck.py"], env=environment, capture_output=True, check=False
    )
    assert answer.returncode == 1
