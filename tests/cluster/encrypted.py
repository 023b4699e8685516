"""A head and a worker node that speak TLS, for as long as the standard input of this program is open.

A process speaks TLS with all of Ray or with none, hence not in that of the tests, which have a Ray without:
`python tests/cluster/encrypted.py HEAD WORKER`, the folders with the nodes' certificates.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

BLOCK = 4 << 20
"""Bytes of an answer that goes through the stores of both nodes, so from one to the other."""

_PORTS = ("NodeManagerPort", "ObjectManagerPort", "MetricsAgentPort")


def settings(files: Path) -> dict[str, str]:
    """What the chart tells Ray, of the files that `cluster.certificates` wrote."""
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(files / "tls.crt"),
        "RAY_TLS_SERVER_KEY": str(files / "tls.key"),
        "RAY_TLS_CA_CERT": str(files / "ca.crt"),
    }


def main(head: Path, worker: Path) -> None:
    import numpy as np
    import ray

    from cluster.local import LocalCluster

    @ray.remote
    def work() -> tuple[str, str, Any]:
        context = ray.get_runtime_context()
        return context.get_node_id(), os.environ["RAY_TLS_SERVER_CERT"], np.ones(BLOCK, np.uint8)

    with LocalCluster((), environment=settings(head), jobs_api=False) as cluster:
        os.environ.update(settings(worker))
        node = cluster.add_node(1)
        ray.init(cluster.gcs_address, log_to_driver=False)
        worked_on, certificate, block = ray.get(work.options(resources={"node0": 1}).remote(), timeout=300)
        found = {
            "worked_on_worker": worked_on == node,
            "certificate": certificate,
            "moved": int(block.sum()),
            "gcs": cluster.gcs_address,
            "nodes": [_address(each, port) for each in ray.nodes() for port in _PORTS],
            "probed": [_address(each, "DashboardAgentListenPort") for each in ray.nodes()],
        }
        sys.stdout.write(f"{json.dumps(found)}\n")
        sys.stdout.flush()
        sys.stdin.read()
        ray.shutdown()


def _address(node: dict[str, Any], port: str) -> str:
    return f"{node['NodeManagerAddress']}:{node[port]}"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
