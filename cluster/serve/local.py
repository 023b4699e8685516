"""The service on this machine: Ray, Serve, the application, for the time of a block."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster.local import free_ports, keep_logs, local_ray
from cluster.serve import faults
from cluster.serve.http import haproxy
from cluster.serve.settings import ServeSettings
from s2i_core.errors import ConfigError, S2IError

APP = "s2i"
_READY_S = 120
"""A proxy that is not there by then is started again; Ray's own patience of 5 s is too short for a busy machine."""
_IDLE_S = 60.0
"""The service says itself that a client was silent for too long; HAProxy cuts it off so much later."""


class ServeError(S2IError):
    """The service did not start."""


@contextlib.contextmanager
def serving(settings: ServeSettings, host: str = "127.0.0.1", port: int = 8000) -> Iterator[str]:
    """Run the service for the time of the block; gives its URL once the models are loaded.

    HAProxy takes the requests where it can, and `log_file` keeps the replicas' warnings and errors. In a Ray that runs
    already both are as Serve has them; elsewhere Serve's own proxy takes the requests.

    Raises:
        ConfigError: it would be open to other machines without keys.
        ServeError: it did not start.
    """
    import ray
    from ray import serve
    from ray.serve.config import HTTPOptions, ProxyLocation

    from cluster.serve.http import server

    if host not in {"127.0.0.1", "localhost", "::1"} and settings.access != "keys":
        raise ConfigError(
            f"host {host}",
            "other machines could use the service without a key",
            "Make a key with `s2i serve key`, and start with --keys FILE.",
        )
    settings.config()
    _see_free(host, port)
    binary = haproxy.binary()
    listens_on = host
    inbox: Path | None = None

    def before_ingress(folder: Path) -> Mapping[str, str]:
        nonlocal listens_on, inbox
        inbox = folder / "faults"
        callback = server.ALONE if binary is None else server.BEHIND_HAPROXY
        bounded = {
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": str(_READY_S),
            server.ASK_HERE: callback,
            faults.SOCKET: str(inbox),
        }
        if binary is None:
            return bounded
        listens_on = "127.0.0.1"  # of the replicas; HAProxy listens on the host
        limits = settings.limits
        idle_s = max(limits.upload_idle_s, limits.live_idle_s) + _IDLE_S
        door = haproxy.Door(host, limits.head_s, limits.max_connections, settings.trusted_proxies)
        return bounded | haproxy.environment(
            folder, binary, door, idle_s=idle_s, longest_s=limits.live_s, fallback_port=free_ports(1)[0]
        )

    with (
        local_ray(math.ceil(settings.logical_cpus()), environment=before_ingress),
        _quiet(),
        faults.kept(inbox, log_file(port)) if inbox else contextlib.nullcontext(),
    ):
        from cluster.serve.app import app

        try:
            serve.start(
                proxy_location=ProxyLocation.HeadOnly,
                http_options=HTTPOptions(host=listens_on, port=port, keep_alive_timeout_s=65),
            )
            serve.run(app(settings), name=APP, route_prefix="/")
        except Exception as error:
            kept = keep_logs(Path(ray.get_runtime_context().get_temp_dir())) if inbox else "Ray's own folder"
            serve.shutdown()
            remedy = f"Is the port free, and is memory left? The logs are kept in {kept}."
            raise ServeError(f"the service on {host}:{port}", f"it did not start ({error})", remedy) from error
        try:
            yield f"http://{host}:{port}"
        finally:
            serve.shutdown()


def log_file(port: int) -> Path:
    """Where the warnings and errors of the service on a port are kept."""
    return Path(os.environ.get("S2I_HOME") or ".s2i").absolute() / "serve" / f"{port}.jsonl"


def _see_free(host: str, port: int) -> None:
    """Raise before anything is started: Serve would try for a minute, and not say why it cannot."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        remedy = "Choose another one with --port; --host names an address of this machine."
        raise ServeError(f"the service on {host}:{port}", f"it cannot listen there ({error})", remedy) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Serve's own log lines stay in its files."""
    log = logging.getLogger("ray.serve")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
