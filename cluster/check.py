"""Whether a Ray cluster answers, asks for a token, and what it has: over HTTP, without importing Ray, in seconds."""

from __future__ import annotations

import json
import math
import os
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cluster.jobs.pools import held
from s2i_core.config import ResourceConfig
from s2i_core.doctor import Check, Subject, fetch
from s2i_core.errors import ConfigError
from s2i_core.network import is_loopback, trouble


@dataclass(frozen=True)
class Capacity:
    """What the living nodes of a cluster have in total."""

    nodes: int
    cpus: float
    gpus: float


def check(subject: Subject) -> Iterable[Check]:
    """For `s2i doctor`: reachable, protected, of our version, and what it has."""
    address = subject.address
    if address is None:
        yield Check("ray", "ok", f"no cluster named: each run starts Ray {version('ray')} on this machine")
        return
    asks = _asks_for_token(address)
    facts = _get(address, "/api/version")
    theirs = str(facts.get("ray_version", ""))
    if theirs != version("ray"):
        remedy = f"Install ray=={theirs} here, or {version('ray')} on the cluster: they must be equal."
        yield Check("ray", "fail", f"{address} runs Ray {theirs}, this machine has {version('ray')}", remedy)
        return
    if not asks:
        remedy = "Whoever reaches it can run code there: start the cluster with RAY_AUTH_MODE=token."
        yield Check("ray", "warn", f"{address} answers, and asks for no token", remedy)
    elif address.startswith("http:") and not is_loopback(address):
        remedy = "Put TLS before it, or reach it through `kubectl port-forward` or ssh."
        yield Check("ray", "warn", f"{address} answers; the token travels there unencrypted", remedy)
    else:
        yield Check("ray", "ok", f"{address} answers, and takes the token")
    has = capacity(address)
    told = f"{has.nodes} nodes, {has.cpus:g} CPUs, {has.gpus:g} GPUs now"
    if not has.cpus:
        remedy = "Look at its autoscaler: `ray status` on the head. Without one, add workers."
        yield Check("ray nodes", "warn", f"{told}: nothing that works", remedy)
        return
    yield Check("ray nodes", "ok", told)


def capacity(address: str) -> Capacity:
    """What a cluster has at this moment; an autoscaler may add to it.

    Args:
        address: that of the cluster's Jobs API, such as `http://127.0.0.1:8265`.

    Raises:
        ConfigError: nothing answers there, or the token is refused.
    """
    answer = _get(
        address, "/api/v0/nodes?detail=1&limit=10000&filter_keys=state&filter_predicates=%3D&filter_values=ALIVE"
    )
    nodes = [node["resources_total"] for node in answer["data"]["result"]["result"]]
    return Capacity(
        nodes=len(nodes),
        cpus=sum(float(node.get("CPU", 0)) for node in nodes),
        gpus=sum(float(node.get("GPU", 0)) for node in nodes),
    )


def here(config: ResourceConfig) -> Capacity:
    """What this machine gives to a run with these settings: at most what its pools hold."""
    gpus = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    cpus = math.ceil(held(config, "num_cpus"))
    return Capacity(1, min(os.cpu_count() or 1, cpus), min(gpus, math.ceil(held(config, "num_gpus"))))


def _asks_for_token(address: str) -> bool:
    return str(_get(address, "/api/authentication_mode").get("authentication_mode", "")).lower() == "token"


def _get(address: str, path: str) -> dict[str, Any]:
    subject = f"cluster {address}"
    request = urllib.request.Request(f"{address.rstrip('/')}{path}")
    if token := _token():
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with fetch(request) as answer:
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        if error.code in {401, 403}:
            said = "refuses the token" if token else "asks for a token"
            remedy = "Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to the cluster's token."
            raise ConfigError(subject, f"it {said} ({error.code})", remedy) from error
        raise ConfigError(
            subject, f"it answers {error.code} to {path}", "Is it the address of a Ray dashboard?"
        ) from error
    except (OSError, ValueError) as error:
        if (found := trouble(str(error), address)) is not None:
            raise ConfigError(subject, found.reason, found.remedy) from error
        raise ConfigError(
            subject,
            f"its Jobs API does not answer ({error})",
            "Give the address of the head's dashboard, such as http://head:8265; see that the network lets it through.",
        ) from error


def _token() -> str:
    """The token, found as Ray itself finds it."""
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token.strip()
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    return path.read_text().strip() if path.is_file() else ""
