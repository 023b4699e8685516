"""Write docs/cluster.md: what the chart refers to and who makes it, versions that go together, sizes and their cost.

`.venv/bin/python infra/page.py`; with --check, write nothing and fail where the page is out of date; with --prices
FILE, print the sizes and their cost by prices of your own. Needs helm, which `infra/tools.py` fetches.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import sizes
import yaml

from cluster.kubernetes.references import Reference, needs
from s2i_core.corpus.sources.packages import PackageError

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "cluster.md"
PLATFORM, CLUSTER = "infra/terraform/modules/platform/main.tf", "infra/terraform/modules/cluster/main.tf"
STEPS, POOLS = "infra/terraform/README.md", "infra/terraform/modules/cluster/pools/templates/pools.yaml"
JOB_TEMPLATE = "infra/terraform/modules/platform/job-template.json.tftpl"

INTRODUCTION = """# What a cluster must have, and what it costs

This page is written by `.venv/bin/python infra/page.py` from the chart as helm renders it, from the modules and from
[prices.yaml](../infra/prices.yaml); a test finds it out of date. `s2i doctor --cluster` looks for the same on a cluster
that is there: one line for each thing that is missing, with what to do.
"""
REFERENCES = """## What is referred to, and who makes it

By the three sizes with everything on, and by the pods of flows. What the chart makes itself is left out. A namespace
that is not there keeps nothing from starting: it is who would be let in.
"""
VERSIONS = """## Versions that go together

[versions.yaml](../infra/versions.yaml), by which the modules install, as each project says of itself.
"""
COST = """## Sizes, and the machines they need

Pods of each size, what one asks for (all of its containers), and the machines of the list that carry the most of
them for the least money: each group by itself, on demand, in us-east-1. *Used* is the larger of the shares of CPU and
memory; a pod that asks for just what a machine has would never fit, as its system wants a share. Spot costs a fraction
of it, where there is some; Karpenter buys what is cheapest at the moment.

Prices: {source}, as of {as_of}. Check them, and put in your own: `.venv/bin/python infra/page.py --prices FILE` prints
this part by a copy of prices.yaml with what you pay.
"""
TOGETHER = """**All together**, with what a cluster of the modules always has, in USD a month:
{listed}.
*At rest* are heads, the service's fewest pods and no worker, {hours} hours; *at most* is an hour with everything that
the size may ask for. Traffic, logs, a Redis, a database and storage come on top; what a night of your archive costs
says `s2i plan`. A nightly job of the chart has a head and workers of its own, as large as the batch cluster's, while it
runs.
"""


@dataclass(frozen=True)
class Maker:
    """Who makes some references, and where that is written.

    Attributes:
        what: kind and name, `*` for any letters.
        evidence: a file of ours, and a part of it that makes them; empty where others do.
    """

    what: str
    who: str
    evidence: tuple[str, str] = ("", "")


MAKERS = [
    Maker("Kind ray.io/v1 *", "KubeRay", (PLATFORM, 'chart      = "kuberay-operator"')),
    Maker("Kind cert-manager.io/v1 *", "cert-manager", (PLATFORM, 'chart            = "cert-manager"')),
    Maker("Kind monitoring.coreos.com/* *", "Prometheus' operator", (PLATFORM, 'chart      = "kube-prometheus-stack"')),
    Maker(
        "Machine nvidia.com/gpu",
        "NVIDIA's device plugin, on nodes with GPUs",
        (CLUSTER, 'chart      = "nvidia-device-plugin"'),
    ),
    Maker("Machine s2i/pool=*", "Karpenter's pools", (POOLS, "labels: {s2i/pool: {{ $pool }}}")),
    Maker("Namespace kube-system", "Kubernetes"),
    Maker("Namespace ingress-nginx", "you, where there is an ingress"),
    Maker("Namespace kuberay-system", "the module", (PLATFORM, 'kuberay-system = "restricted"')),
    Maker("Namespace monitoring", "the module", (PLATFORM, 'monitoring = "privileged"')),
    Maker("Namespace prefect", "the module", (PLATFORM, 'prefect = "baseline"')),
    Maker("Secret s2i-ray-token", "you", (STEPS, "create secret generic s2i-ray-token --from-literal auth_token=")),
    Maker("Secret s2i-redis", "you", (STEPS, "create secret generic s2i-redis --from-literal password=")),
    Maker("Secret s2i-serve-keys", "you", (STEPS, "create secret generic s2i-serve-keys --from-file keys.json")),
    Maker(
        "Secret s2i-serve-metrics-key",
        "you",
        (STEPS, "create secret generic s2i-serve-metrics-key --from-literal token="),
    ),
    Maker("Secret s2i-tls", "you, or cert-manager by an annotation", (STEPS, "-n s2i create secret tls s2i-tls")),
    Maker("Secret prefect-auth", "you", (STEPS, "create secret generic prefect-auth --from-literal auth-string=")),
    Maker("Secret grafana-admin", "you", (STEPS, "create secret generic grafana-admin --from-literal user=")),
    Maker(
        "StorageClass s2i", "the module", ("infra/terraform/modules/cluster/pools/templates/storage.yaml", "name: s2i")
    ),
    Maker("ServiceAccount s2i-batch", "the chart", ("infra/kuberay/values.yaml", "name: s2i-batch")),
]
FULL = (
    "job.enabled=true,job.source=s3://archive,job.destination=s3://pictures,service.enabled=true,"
    "service.ingress.enabled=true,service.ingress.host=s2i.example,service.ingress.tlsSecret=s2i-tls,"
    "metrics.podMonitor=true"
)


def maker(reference: Reference) -> Maker:
    """Who makes it.

    Raises:
        LookupError: nobody does that is known, or more than one.
    """
    name = f"{reference.kind} {reference.name}"
    found = [each for each in MAKERS if fnmatch(name, each.what)]
    if len(found) != 1:
        raise LookupError(f"{name} is made by {[each.who for each in found] or 'nobody'}: say who in infra/page.py")
    return found[0]


def of_the_modules() -> dict[Reference, list[str]]:
    """What the platform module refers to beside the chart: the pods of flows, and releases of others."""
    pod = (ROOT / JOB_TEMPLATE).read_text()
    variables = (ROOT / PLATFORM).with_name("variables.tf").read_text()
    names = dict(re.findall(r'(\w+) += optional\(string, "([^"]+)"\)', variables))
    for name in re.findall(r"\$\{(\w+)\}", pod):
        pod = pod.replace(f"${{{name}}}", names.get(name, name))
    (account,) = re.findall(r'"service_account_name": \{.*?"default": "([^"]+)"', pod)
    (storage,) = re.findall(r'variable "storage_class" \{.*?default\s+= "([^"]+)"', variables, re.DOTALL)
    found = {
        Reference("ServiceAccount", account): ["pods of flows"],
        Reference("StorageClass", storage): ["Prefect's server"],
        Reference("Secret", names["grafana"], "user"): ["Grafana"],
        Reference("Secret", names["grafana"], "password"): ["Grafana"],
        Reference("Secret", names["prefect_server"], "auth-string"): ["Prefect's server", "Prefect's worker"],
    }
    for name, key in re.findall(r'"secretKeyRef": \{"name": "([^"]+)", "key": "([^"]+)"\}', pod):
        found.setdefault(Reference("Secret", name, key), []).append("pods of flows")
    return found


def referred() -> dict[Reference, dict[str, list[str]]]:
    """Every reference of the three sizes, with who refers to it in which size; and those of the modules."""
    found: dict[Reference, dict[str, list[str]]] = {}
    for size in sizes.SIZES:
        wanted = needs(sizes.render(size, FULL))
        for reference in wanted:
            found.setdefault(reference, {})[size] = wanted.by[reference]
    for reference, users in of_the_modules().items():
        found.setdefault(reference, {})["modules"] = users
    return found


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """In Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"


def page() -> str:
    """The whole of it."""
    return "\n".join([INTRODUCTION, REFERENCES, _references(), VERSIONS, _versions(), cost()])


def cost() -> str:
    """Sizes, machines and what they cost, by the prices in use."""
    told = COST.format(source=sizes.PRICES["source"], as_of=sizes.PRICES["as_of"])
    return "\n".join([told, *_sizes()])


def _references() -> str:
    rows = []
    for reference, where in sorted(referred().items()):
        by = maker(reference)
        file = by.evidence[0]
        users = sorted({user for some in where.values() for user in some})
        kinds = sorted({user.partition(" ")[0] if user[0].isupper() and "s2i" in user else user for user in users})
        key = f" (`{reference.key}`)" if reference.key else ""
        seen = [size for size in sizes.SIZES if size in where]
        rows.append(
            [
                f"{reference.kind} `{reference.name}`{key}",
                ", ".join(kinds),
                "all" if len(seen) == len(sizes.SIZES) else ", ".join(seen) or "modules",
                f"[{by.who}](../{file})" if file else by.who,
            ]
        )
    return table(["what", "for", "in sizes", "made by"], rows)


def _versions() -> str:
    versions = yaml.safe_load((sizes.INFRA / "versions.yaml").read_text())
    kubernetes = versions.pop("kubernetes")
    rows = [[name.replace("_", "-"), of["version"], " to ".join(of["kubernetes"])] for name, of in versions.items()]
    return f"Kubernetes {kubernetes}, and with it:\n\n" + table(["part", "version", "for Kubernetes"], rows)


def _sizes() -> Iterator[str]:
    fixed = sizes.always()
    rows, totals = [], []
    for size in sizes.SIZES:
        rest, most = sum(fixed.values()), sum(fixed.values()) / sizes.HOURS
        for group in sizes.groups(sizes.render(size)):
            least, top = sizes.machines(group, group.least), sizes.machines(group, group.most)
            rest += least.hour * sizes.HOURS
            most += top.hour
            asked = f"{group.cpus:g} CPUs, {group.memory_gib:g} GiB" + (f", {group.gpus} GPU" if group.gpus else "")
            pods = f"{group.least}" if group.least == group.most else f"{group.least}–{group.most}"
            at_rest, at_most = f"{least.hour * sizes.HOURS:,.0f}", f"{top.hour:,.2f}"
            bought = [f"{top.count} × {top.kind}", top.each, f"{top.used:.0%}"]
            rows.append([size, group.name, pods, asked, *bought, at_rest, at_most])
        totals.append([size, f"{rest:,.0f}", f"{most:,.2f}"])
    head = ["size", "pods of", "how many", "one asks for", "machines at most", "pods on one", "used"]
    yield table([*head, "USD a month at rest", "USD an hour at most"], rows)
    listed = ", ".join(f"{name} {usd:,.0f}" for name, usd in fixed.items())
    yield TOGETHER.format(listed=listed, hours=sizes.HOURS)
    yield table(["size", "USD a month at rest", "USD an hour at most"], totals)


def main() -> int:
    """Write the page, or say that it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    parser.add_argument("--prices", type=Path, help="a file like infra/prices.yaml; prints, and writes no page")
    given = parser.parse_args()
    check: bool = given.check
    try:
        if given.prices:
            sizes.use(given.prices)
            sys.stdout.write(cost())
            return 0
        text = page()
    except (PackageError, subprocess.CalledProcessError, LookupError, ValueError) as error:
        sys.stderr.write(f"{getattr(error, 'stderr', None) or error}\n")
        return 2
    if check and text != PAGE.read_text():
        sys.stderr.write("docs/cluster.md is out of date: .venv/bin/python infra/page.py\n")
        return 1
    if not check:
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
