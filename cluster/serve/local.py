"""The service on this machine: Ray, Serve, the application, for the time of a block."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator

from cluster.local import local_ray
from cluster.serve.settings import ServeSettings
from s2i_core.errors import ConfigError, S2IError

APP = "s2i"
_START_S = 300.0


class ServeError(S2IError):
    """The service did not start."""


@contextlib.contextmanager
def serving(settings: ServeSettings, host: str = "127.0.0.1", port: int = 8000) -> Iterator[str]:
    """Run the service for the time of the block; gives its URL once the models are loaded.

    Raises:
        ConfigError: it would be open to other machines without keys.
        ServeError: it did not start.
    """
    from ray import serve
    from ray.serve.config import HTTPOptions, ProxyLocation

    if host not in {"127.0.0.1", "localhost", "::1"} and settings.access != "keys":
        raise ConfigError(
            f"host {host}",
            "other machines could use the service without a key",
            "Make a key with `s2i serve key`, and start with --keys FILE.",
        )
    settings.config()
    with local_ray(math.ceil(settings.logical_cpus())), _quiet():
        from cluster.serve.app import app

        try:
            serve.start(
                proxy_location=ProxyLocation.HeadOnly,
                http_options=HTTPOptions(host=host, port=port, keep_alive_timeout_s=65),
            )
            serve.run(app(settings), name=APP, route_prefix="/")
        except Exception as error:
            serve.shutdown()
            remedy = "Is the port free, and is memory left? --verbose shows the log."
            raise ServeError(f"the service on {host}:{port}", f"it did not start ({error})", remedy) from error
        try:
            yield f"http://{host}:{port}"
        finally:
            serve.shutdown()


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
