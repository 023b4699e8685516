"""HAProxy, configured and started by Ray's own code: where it listens, what it says of clients, when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import httpx
import psutil
import pytest
from asking import problem
from fronted import Front, Healthy, haproxy_before
from inprocess import uvicorn_server

from cluster.local import free_ports
from cluster.serve.http import haproxy
from cluster.serve.http.haproxy import Door, closed

BINARY = haproxy.binary()
DOOR = Door("127.0.0.1", 5, 256)

# On Linux it comes with Ray, and must run; elsewhere Serve's own proxy is used.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no HAProxy comes with Ray on this system")


async def echo(scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
    """Answers with what it knows of the client; `/slow` after 3 s."""
    if scope["path"] == "/slow":
        await asyncio.sleep(3)
    forwarded = [value.decode() for name, value in scope["headers"] if name == b"x-forwarded-for"]
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    body = f"{scope['client'][0]} {','.join(forwarded)}".encode()
    await send({"type": "http.response.body", "body": body})  # type: ignore[operator]


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    assert BINARY
    with (
        tempfile.TemporaryDirectory(prefix="s2i-") as folder,
        uvicorn_server(Healthy(echo)) as behind,
        haproxy_before(behind, BINARY, Path(folder), idle_s=1) as front,
    ):
        yield front


def listening(pid: int) -> set[tuple[str, int]]:
    connections = psutil.Process(pid).net_connections("inet")
    return {(each.laddr.ip, each.laddr.port) for each in connections if each.status == "LISTEN"}


def beside(front: Front, folder: Path) -> tuple[list[str], str]:
    """Command and URL of a second HAProxy, with the configuration of the first."""
    port = free_ports(1)[0]
    file = folder / "haproxy.cfg"
    lines = [line for line in front.file.read_text().splitlines() if "stats socket" not in line]
    file.write_text("\n".join(lines).replace(f"ipv4@127.0.0.1:{front.port}", f"127.0.0.1:{port}") + "\n")
    assert BINARY
    return [BINARY, "-db", "-f", str(file)], f"http://127.0.0.1:{port}"


def until_up(url: str) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing answers at {url}")


def test_it_listens_where_the_service_is_and_nowhere_else_also_after_a_reload(front: Front) -> None:
    first = front.pid
    for _ in range(2):
        assert listening(front.pid) == {("127.0.0.1", front.port)}
        assert httpx.get(front.url).status_code == 200
        front.reload()
    assert front.pid != first and not psutil.pid_exists(first)


def test_nobody_else_comes_to_its_sockets(front: Front) -> None:
    assert front.file.parent.stat().st_mode & 0o777 == 0o700


def test_what_a_client_of_this_machine_says_of_others_is_passed_on(front: Front) -> None:
    assert httpx.get(front.url).text == "127.0.0.1 "
    # A proxy before ours, on this machine, is believed as Serve's own proxy would believe it.
    assert httpx.get(front.url, headers={"X-Forwarded-For": "10.2.3.4"}).text == "10.2.3.4 10.2.3.4"


def test_a_client_of_another_machine_does_not_say_where_it_comes_from(front: Front, tmp_path: Path) -> None:
    # Tests have no other machine, so the configuration takes this one for another.
    (command, url), local = beside(front, tmp_path), "{ src 127.0.0.0/8 ::1 }"
    file = Path(command[-1])
    text = file.read_text()
    assert text.count(f"unless {local}") == 2
    file.write_text(text.replace(f"unless {local}", f"if {local}"))
    with subprocess.Popen(command) as process:
        try:
            until_up(url)
            assert httpx.get(url, headers={"X-Forwarded-For": "10.2.3.4"}).text == "127.0.0.1 127.0.0.1"
        finally:
            process.kill()


def test_who_is_silent_is_cut_off_and_who_waits_is_not(front: Front) -> None:
    body = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n12345"
    with socket.create_connection(("127.0.0.1", front.port), timeout=20) as answered:
        answered.sendall(body)  # it has its answer before all was sent
        assert httpx.get(f"{front.url}/slow", timeout=20).status_code == 200
        while answered.recv(65536):
            pass


def test_without_a_replica_its_error_is_as_everywhere() -> None:
    assert BINARY
    with (
        tempfile.TemporaryDirectory(prefix="s2i-") as folder,
        haproxy_before(f"http://127.0.0.1:{free_ports(1)[0]}", BINARY, Path(folder)) as front,
    ):
        answer = httpx.get(f"{front.url}/v1/styles", timeout=20)
        assert problem(answer, 503)["code"] == "starting" and answer.headers["retry-after"] == "2"


def test_a_configuration_that_opens_more_is_refused() -> None:
    front = "frontend http_frontend\n    bind 127.0.0.1:8000\n"
    assert "ipv6@::1:8000" in closed(front, replace(DOOR, address="::1"))
    unasked = "frontend prometheus\n    bind :9101\n" + front + "listen stats\n  bind *:8404\n"
    assert closed(unasked, replace(DOOR, address="0.0.0.0")).count("bind ") == 1
    for more in ("frontend grpc_frontend\n    bind 127.0.0.1:9000\n", "listen new\n  bind *:1\n", front):
        with pytest.raises(ValueError, match="bind"):
            closed(front + more, DOOR)
    with pytest.raises(ValueError, match="0 lines"):
        closed("global\n", DOOR)


def test_it_does_not_start_with_such_a_configuration(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text("listen new\n  bind *:1\n")
    command = [sys.executable, "-IS", haproxy.__file__, BINARY or "", json.dumps(asdict(DOOR)), "-f", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "RAY_SERVE_ENABLE_HA_PROXY=0" in ran.stderr


def test_it_ends_with_the_process_that_started_it(front: Front, tmp_path: Path) -> None:
    port, file = free_ports(1)[0], tmp_path / "haproxy.cfg"
    answer = ["mode http", "timeout client 5s", f"bind 127.0.0.1:{port}", "http-request return status 200"]
    file.write_text("\n    ".join(["frontend http_frontend", *answer]) + "\n")
    command, url = [front.program, "-db", "-f", str(file)], f"http://127.0.0.1:{port}"
    code = f"import subprocess, time; print(subprocess.Popen({command!r}).pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        until_up(url)
        assert child.name() == "haproxy"
        parent.kill()
    psutil.wait_procs([child], 10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("files", [512, 2048])
def test_it_starts_with_few_open_files(files: int) -> None:
    code = f"""
import pathlib, resource, sys, tempfile
resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from fronted import haproxy_before
with tempfile.TemporaryDirectory(prefix="s2i-") as folder, haproxy_before("http://127.0.0.1:1", {BINARY!r},
        pathlib.Path(folder)) as front:
    print("up", front.pid)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout.startswith("up"), ran.stderr
