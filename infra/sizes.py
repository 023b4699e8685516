"""The chart's sizes as pods, the machines that they need, and what those cost.

A machine's room for pods is what EKS leaves of it: the kubelet's share by the number of pods, and that of what runs on
every node. Karpenter buys what it finds cheapest at the moment, spot included; here stand prices of the list.
"""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tools import program

INFRA = Path(__file__).parent
CHART = INFRA / "kuberay"
SIZES = ("small", "medium", "large")
HOURS = 730
"""Of a month."""
DISK_GB = 100
"""Of a node, as the pools have it."""

PRICES: dict[str, Any] = yaml.safe_load((INFRA / "prices.yaml").read_text())
"""Those of the file beside this, or of one's own (`use`)."""
_NAMED = (
    "image.repository=registry.example/s2i,redis.address=rediss://redis.example:6379,redis.cidr=10.1.0.0/16,"
    f"image.digest=sha256:{'1' * 64},image.gpuDigest=sha256:{'2' * 64}"
)
"""What the sizes leave to their owner."""

# Of the agents on every node: network, proxy, volumes, identity, metrics.
_AGENTS_CPUS, _AGENTS_GIB = 0.3, 0.4
_VM_OVERHEAD = 0.075  # of the memory, as Karpenter reckons


@dataclass(frozen=True)
class Group:
    """Pods of one kind.

    Attributes:
        pool: where they run: `head`, `cpu` or `gpu`.
        cpus, memory_gib, gpus: what all containers of one pod ask for.
        least, most: how many there are.
    """

    name: str
    pool: str
    cpus: float
    memory_gib: float
    gpus: int
    least: int
    most: int


@dataclass(frozen=True)
class Machines:
    """What carries some pods of a group."""

    kind: str
    each: int
    count: int
    used: float

    @property
    def hour(self) -> float:
        """USD, disks included."""
        disk = DISK_GB * PRICES["disk_gb_month"] / HOURS
        return self.count * (PRICES["machines"][self.kind]["hour"] + disk)


def use(path: Path) -> None:
    """Reckon by the prices of another file.

    Raises:
        ValueError: it lacks something that prices.yaml has, or is no such file.
    """
    try:
        own = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: it cannot be read ({error}); copy infra/prices.yaml and change it") from error
    missing = sorted(PRICES.keys() - (own.keys() if isinstance(own, dict) else set()))
    if missing:
        raise ValueError(f"{path}: it does not name {', '.join(missing)}; copy infra/prices.yaml and change it")
    PRICES.clear()
    PRICES.update(own)


def render(size: str, *settings: str, files: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """All resources of a size of the chart.

    Raises:
        PackageError: helm cannot be had.
        subprocess.CalledProcessError: the chart refuses the settings.
    """
    values = [
        "-f",
        str(CHART / f"values-{size}.yaml"),
        *(word for each in files for word in ("-f", str(each))),
        *(word for each in (_NAMED, *settings) for word in ("--set", each)),
    ]
    command = [str(program("helm")), "template", "s2i", str(CHART), "-n", "s2i", *values]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return [resource for resource in yaml.safe_load_all(answer.stdout) if resource]


def groups(resources: list[dict[str, Any]]) -> list[Group]:
    """The pods of every cluster that always is; that of the nightly job has the batch cluster's sizes."""
    found = []
    for resource in resources:
        if resource["kind"] not in {"RayCluster", "RayService"}:
            continue
        spec = resource["spec"]
        cluster = spec.get("rayClusterConfig", spec)
        part = "service" if resource["kind"] == "RayService" else "batch"
        head = cluster["headGroupSpec"]
        beside = [cluster["autoscalerOptions"]]
        found.append(_group(f"{part}, head", head, (1, 1), beside))
        for group in cluster["workerGroupSpecs"]:
            bounds = (group["minReplicas"], group["maxReplicas"])
            name = part if part == "service" else f"{part}, {group['groupName']}"
            found.append(_group(name, group, bounds, []))
    return found


def _group(name: str, group: dict[str, Any], bounds: tuple[int, int], beside: list[dict[str, Any]]) -> Group:
    pod = group["template"]["spec"]
    asked = [each["resources"]["requests"] for each in (*pod["containers"], *beside)]
    gpus = sum(int(each.get("nvidia.com/gpu", 0)) for each in asked)
    return Group(
        name,
        pod.get("nodeSelector", {}).get("s2i/pool") or ("head" if "head" in name else "gpu" if gpus else "cpu"),
        sum(cpus(each["cpu"]) for each in asked),
        sum(_gib(each["memory"]) for each in asked),
        gpus,
        *bounds,
    )


def machines(group: Group, count: int) -> Machines:
    """The machines of one kind that carry so many pods for the least money.

    Raises:
        ValueError: no machine of the list is large enough for one.
    """
    choices = []
    for kind, machine in PRICES["machines"].items():
        has_cpus, memory = room(machine)
        if bool(machine["gpus"]) != bool(group.gpus):
            continue
        fits = [
            has_cpus / group.cpus,
            memory / group.memory_gib,
            *([machine["gpus"] / group.gpus] if group.gpus else []),
        ]
        each = min(int(min(fits)), max(count, 1))
        if each:
            used = max(each * group.cpus / machine["cpus"], each * group.memory_gib / machine["memory"])
            choices.append(Machines(kind, each, math.ceil(count / each), used))
    if not choices:
        raise ValueError(
            f"{group.name}: no machine of prices.yaml has room for {group.cpus} CPUs, {group.memory_gib} GiB"
        )
    prices = {kind: machine["hour"] for kind, machine in PRICES["machines"].items()}
    # Of two that cost the same the smaller, so that a machine that is lost takes fewer pods along.
    return min(choices, key=lambda one: (round(one.count * prices[one.kind], 4), prices[one.kind]))


def room(machine: dict[str, Any]) -> tuple[float, float]:
    """CPUs and GiB that a machine has left for pods of ours."""
    shares = [0.06, 0.01, 0.005, 0.005] + [0.0025] * machine["cpus"]
    kept_gib = (255 + 11 * machine["pods"] + 100) / 1024
    return (
        machine["cpus"] - sum(shares[: machine["cpus"]]) - _AGENTS_CPUS,
        machine["memory"] * (1 - _VM_OVERHEAD) - kept_gib - _AGENTS_GIB,
    )


def always() -> dict[str, float]:
    """USD a month of what a cluster of the modules has besides the chart's pods."""
    variables = (INFRA / "terraform/modules/cluster/variables.tf").read_text()
    system = re.search(r'variable "system_instance" \{.*?default\s+= "([^"]+)"', variables, re.DOTALL)
    count = re.search(r"min_size\s+= (\d+)", (INFRA / "terraform/modules/cluster/main.tf").read_text())
    assert system and count, "the module's system nodes are not where they were"
    nodes = Machines(system[1], 1, int(count[1]), 0)
    return {
        "EKS' control plane": PRICES["control_plane_hour"] * HOURS,
        f"{nodes.count} × {nodes.kind} for what always runs": nodes.hour * HOURS,
        "a NAT gateway": PRICES["nat_gateway_hour"] * HOURS,
        "two keys": 2 * PRICES["key_month"],
    }


def cpus(text: str) -> float:
    """Of Kubernetes' notation: 3500m are 3.5."""
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _gib(text: str) -> float:
    units = {"Mi": 1 / 1024, "Gi": 1, "Ti": 1024}
    return float(text[:-2]) * units[text[-2:]]
