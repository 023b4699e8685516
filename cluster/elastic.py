"""A cluster on this machine whose nodes come and go with demand, under Ray's own autoscaler (version 2).

The kinds of nodes, with what they offer and how many there may be, come from a launcher file as Ray reads them. Each
node is a raylet of its own, on loopback, and offers what its kind says, whatever the machine has: a kind may offer a
GPU where there is none, to try how pools and nodes interact.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FakeMultiNodeProvider
from ray.autoscaler.tags import NODE_KIND_WORKER, TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME, TAG_RAY_USER_NODE_TYPE

from cluster.local import LocalCluster, free_ports, start_node, variables
from s2i_core import processes

LAUNCHER = Path(__file__).parent / "configs" / "local-nodes.yaml"


class ProcessNodes(FakeMultiNodeProvider):  # type: ignore[misc]
    """Ray's stand-in for a cloud, whose machines are processes. These listen on loopback and end with the autoscaler.

    The launcher file's `provider` gives it `gcs_address`, `folder` for the nodes' files and `object_store_bytes` of
    each node.
    """

    def _create_node_with_resources_and_labels(
        self,
        node_config: Mapping[str, Any],
        tags: Mapping[str, str],
        count: int,
        resources: Mapping[str, float],
        labels: Mapping[str, str],
    ) -> None:
        """Start one node. Ray calls it as often as it wants nodes (`launch_multiple`)."""
        offered = dict(resources)
        with self.lock:
            name, kind = self._next_hex_node_id(), tags[TAG_RAY_USER_NODE_TYPE]
            node = start_node(
                Path(self.provider_config["folder"]),
                self.provider_config["object_store_bytes"],
                head=False,
                gcs_address=self._gcs_address,
                num_cpus=offered.pop("CPU", 0),
                num_gpus=offered.pop("GPU", 0),
                resources=offered,
                labels=dict(labels),
                env_vars=_identity(name, kind),
            )
            fixed = {TAG_RAY_NODE_KIND: NODE_KIND_WORKER, TAG_RAY_USER_NODE_TYPE: kind, TAG_RAY_NODE_NAME: name}
            self._nodes[name] = {"tags": fixed | dict(tags), "node": node}


class ElasticCluster(LocalCluster):
    """A head that runs no work, and nodes that the autoscaler starts and stops.

    Args:
        launcher: file with the kinds of nodes.
        idle_timeout_s: a node that is idle for this long is stopped; by default as the launcher file says.
        environment: variables for the processes of the cluster, such as the login of the object store.
        object_store_bytes: shared memory of each node.
        jobs_api: as in `LocalCluster`.
    """

    def __init__(
        self,
        launcher: Path = LAUNCHER,
        *,
        idle_timeout_s: float | None = None,
        environment: Mapping[str, str] | None = None,
        object_store_bytes: int = 128 << 20,
        jobs_api: bool = True,
    ) -> None:
        import yaml  # type: ignore[import-untyped]  # comes with ray

        self._launcher: dict[str, Any] = yaml.safe_load(launcher.read_text(encoding="utf-8"))
        if idle_timeout_s is not None:
            self._launcher["idle_timeout_minutes"] = idle_timeout_s / 60
        scaling = {
            "RAY_enable_autoscaler_v2": "1",
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "AUTOSCALER_METRIC_PORT": str(free_ports(1)[0]),
        }
        super().__init__(
            (), environment=scaling | dict(environment or {}), object_store_bytes=object_store_bytes, jobs_api=jobs_api
        )
        self._head_environment = _identity(FAKE_HEAD_NODE_ID, self._launcher["head_node_type"])
        self._autoscaler: Any = None
        self._scaling_mark = ""

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._start_autoscaler()
        except BaseException:
            super().__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Before the head, as it would replace nodes that end; this also ends the nodes that it started.
        processes.end(self._scaling_mark)
        self._autoscaler.process.wait()
        super().__exit__(kind, error, trace)

    def nodes(self) -> Counter[str]:
        """How many nodes of each kind are up, not counting the head."""
        from ray.autoscaler.v2.sdk import get_cluster_status

        status = get_cluster_status(self.gcs_address)
        kinds = Counter(node.ray_node_type_name for node in (*status.active_nodes, *status.idle_nodes))
        del kinds[self._launcher["head_node_type"]]
        return kinds

    def _start_autoscaler(self) -> None:
        from ray._private.services import start_monitor

        provider = {
            "type": "external",
            "module": f"{ProcessNodes.__module__}.{ProcessNodes.__name__}",
            "head_node_id": FAKE_HEAD_NODE_ID,
            "launch_multiple": True,
            "gcs_address": self.gcs_address,
            "folder": str(self.logs),
            "object_store_bytes": self._object_store_bytes,
        }
        with tempfile.NamedTemporaryFile("w", dir=self.logs, suffix=".yaml", delete=False) as file:
            import yaml

            yaml.safe_dump(self._launcher | {"provider": provider}, file)
        logs = self._head.get_logs_dir_path()
        self._scaling_mark = f"{self.logs}#autoscaler"
        with variables(self._mark), variables(processes.marks(self._scaling_mark)):
            self._autoscaler = start_monitor(
                self.gcs_address,
                logs,
                stdout_filepath=f"{logs}/monitor.out",
                stderr_filepath=f"{logs}/monitor.err",
                autoscaling_config=file.name,
                fate_share=True,
                monitor_ip="127.0.0.1",
                autoscaler_v2=True,
            )


def _identity(name: str, kind: str) -> dict[str, str]:
    """The variables by which the autoscaler recognises a node that it asked for."""
    return {"RAY_OVERRIDE_NODE_ID_FOR_TESTING": name, "RAY_CLOUD_INSTANCE_ID": name, "RAY_NODE_TYPE_NAME": kind}
