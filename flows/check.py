"""Whether Prefect answers, asks for a login, and has workers: over HTTP, without importing Prefect."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from s2i_core.doctor import Check, Subject, fetch
from s2i_core.errors import ConfigError
from s2i_core.network import is_loopback, trouble


def check(_: Subject) -> Iterable[Check]:
    """For `s2i doctor`: reachable, protected, of our version, and with a worker for each pool."""
    url = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if not url:
        yield Check("prefect", "ok", "PREFECT_API_URL is not set: each run starts a server of its own")
        return
    theirs = _ask(url, "/admin/version", login=True)
    if str(theirs).split(".")[:2] != version("prefect").split(".")[:2]:
        remedy = "Bring both to one version; a server may be newer than its clients, not older."
        yield Check("prefect", "warn", f"{url} runs {theirs}, this machine has {version('prefect')}", remedy)
    elif _open(url):
        remedy = "Whoever reaches it can start flows: set PREFECT_SERVER_API_AUTH_STRING on the server."
        yield Check("prefect", "warn", f"{url} answers, and asks for no login", remedy)
    elif url.startswith("http:") and not is_loopback(url):
        yield Check("prefect", "warn", f"{url} answers; the login travels there unencrypted", "Put TLS before it.")
    else:
        yield Check("prefect", "ok", f"{url} answers, and takes the login")
    pools = _ask(url, "/work_pools/filter", {"limit": 200}, login=True)
    idle = sorted(pool["name"] for pool in pools if pool.get("status") == "NOT_READY" and not pool.get("is_paused"))
    if idle:
        remedy = f"Start one: prefect worker start --pool {idle[0]}"
        yield Check("prefect pools", "warn", f"no worker for {', '.join(idle)}: runs wait there", remedy)
    elif pools:
        yield Check("prefect pools", "ok", ", ".join(sorted(pool["name"] for pool in pools)))


def _open(url: str) -> bool:
    try:
        _ask(url, "/admin/version", login=False)
    except ConfigError:
        return False
    return True


def _ask(url: str, path: str, body: dict[str, Any] | None = None, *, login: bool) -> Any:
    headers = {"Content-Type": "application/json"}
    if login and (auth := os.environ.get("PREFECT_API_AUTH_STRING")):
        headers["Authorization"] = f"Basic {b64encode(auth.encode()).decode()}"
    elif login and (key := os.environ.get("PREFECT_API_KEY")):
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    subject = f"Prefect at {url}"
    try:
        with fetch(urllib.request.Request(url + path, data, headers)) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code in {401, 403}:
            said = "refuses the login" if "Authorization" in headers else "asks for a login"
            remedy = "Set PREFECT_API_AUTH_STRING to the server's, as user:password."
            raise ConfigError(subject, f"it {said} ({error.code})", remedy) from error
        raise ConfigError(subject, f"it answers {error.code} to {path}", "PREFECT_API_URL ends with /api.") from error
    except (OSError, ValueError) as error:
        if (found := trouble(str(error), url)) is not None:
            raise ConfigError(subject, found.reason, found.remedy) from error
        remedy = "Start it, or correct PREFECT_API_URL; unset it to let each run bring its own server."
        raise ConfigError(subject, f"it does not answer ({error})", remedy) from error
