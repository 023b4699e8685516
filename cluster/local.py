"""Ray on one machine: embedded in this process (`local_ray`), or a real cluster of several nodes (`LocalCluster`).

Everything listens on 127.0.0.1 only, asks for a token that is made for the occasion, reports no usage, and keeps its
logs in a folder of its own. Nothing here stops any other Ray on the machine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from s2i_core.errors import S2IError

OBJECT_STORE_BYTES = 512 << 20
_HOST = "127.0.0.1"
_START_ATTEMPTS = 3

# Ray replaces 127.0.0.1 by the host's address, and then listens on all interfaces, unless it believes itself on a
# system without clusters. This switch is read when ray is imported, hence the attribute as well.
_LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


class RayError(S2IError):
    """Ray could not be started."""


@contextlib.contextmanager
def local_ray(num_cpus: int, *, object_store_bytes: int = OBJECT_STORE_BYTES) -> Iterator[None]:
    """An embedded Ray for the time of the block; one that this process is connected to already is used and left on.

    Its processes die with this one, also where this one is killed. Start and stop it in the same thread.

    Args:
        num_cpus: CPUs that Ray hands out, whatever the machine has: give it what all pools of a job take together
            (`cluster.jobs.resources.logical_cpus`), or the job waits for ever.
        object_store_bytes: shared memory for blocks between stages.

    Raises:
        RayError: it does not start.
    """
    with _settings():
        import ray

        if ray.is_initialized():
            yield
            return
        # Ray gives its processes 30 s to come up, which cannot be set and is too short for a very busy machine.
        for attempts_left in reversed(range(_START_ATTEMPTS)):
            folder = _folder()
            try:
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    include_dashboard=False,
                    object_store_memory=object_store_bytes,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _node_ip_address=_HOST,
                    _temp_dir=str(folder),
                )
                break
            except Exception as error:
                ray.shutdown()
                _end_processes(folder)
                if not attempts_left:
                    remedy = f"Its logs are in {folder}; is there memory left?"
                    raise RayError("the embedded Ray", f"it did not start ({error})", remedy) from error
                shutil.rmtree(folder, ignore_errors=True)
        try:
            yield
        finally:
            ray.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


class LocalCluster:
    """A real cluster on this machine: a head that runs no work, and worker nodes with raylets of their own.

    For developing and testing what happens between nodes. Jobs go to `address` through Ray's Jobs API. Worker number
    i offers the custom resource `node<i>`, so that work can be pinned to it.

    Args:
        workers: CPUs of each worker node.
        environment: variables for the processes of the cluster, such as the login of the object store.
        object_store_bytes: shared memory of each node.
    """

    def __init__(
        self,
        workers: Sequence[int] = (2, 2),
        *,
        environment: Mapping[str, str] | None = None,
        object_store_bytes: int = 128 << 20,
    ) -> None:
        self._cpus = tuple(workers)
        self._environment = dict(environment or {})
        self._object_store_bytes = object_store_bytes
        self._stack = contextlib.ExitStack()
        self._head: Any = None
        self._workers: list[Any] = []
        self.logs: Path | None = None
        """Folder of Ray's logs while the cluster is up."""

    @property
    def address(self) -> str:
        """Of the Jobs API: `http://127.0.0.1:<port>`."""
        return f"http://{self._head.webui_url}"

    @property
    def gcs_address(self) -> str:
        """For `ray.init(address=…)`."""
        return str(self._head.gcs_address)

    @property
    def node_ids(self) -> list[str]:
        """Ids of the worker nodes that were not killed, in hexadecimal."""
        return [str(node.node_id) for node in self._workers]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_settings())
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
            stack.enter_context(_variables({"PATH": path, **self._environment}))
            self.logs = _folder()
            stack.callback(shutil.rmtree, self.logs, ignore_errors=True)
            stack.callback(self._stop)
            self._head = self._start(head=True, num_cpus=0, include_dashboard=True, dashboard_host=_HOST)
            for cpus in self._cpus:
                self.add_node(cpus)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add_node(self, cpus: int) -> str:
        """Start one more worker node; returns its id once it runs."""
        number = len(self._workers)
        self._workers.append(self._start(head=False, num_cpus=cpus, resources={f"node{number}": 1000}))
        return self.node_ids[-1]

    def kill_node(self, node_id: str) -> None:
        """SIGKILL all processes of a worker node at once, as a machine that loses its power."""
        node = next(node for node in self._workers if node.node_id == node_id)
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        self._workers.remove(node)

    def _start(self, *, head: bool, **parameters: Any) -> Any:
        from ray._private.node import Node
        from ray._private.parameter import RayParams

        if not head:
            parameters |= {"gcs_address": self.gcs_address, "node_manager_port": 0}
        params = RayParams(
            node_ip_address=_HOST,
            num_gpus=0,
            object_store_memory=self._object_store_bytes,
            dashboard_agent_listen_port=0,  # each node has agents of its own
            min_worker_port=0,
            max_worker_port=0,
            temp_dir=str(self.logs),
            **parameters,
        )
        try:
            # No reaper and no exit hook: Linux ends these processes with ours.
            return Node(params, head=head, shutdown_at_exit=True, spawn_reaper=True)
        except Exception as error:
            raise RayError(
                "a Ray node on this machine", f"it did not start ({error})", f"Look at its logs in {self.logs}."
            ) from error

    def _stop(self) -> None:
        for node in [*reversed(self._workers), *([self._head] if self._head else [])]:
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        self._workers.clear()
        self._head = None


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Loopback only, a token, no usage report: for Ray processes that are started within the block."""
    with _variables({_LOOPBACK_SWITCH: "0", "RAY_USAGE_STATS_ENABLED": "0"}):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_urlsafe(32))
        from ray import _raylet
        from ray._private import ray_constants

        _raylet.Config.initialize("")  # type: ignore[attr-defined]  # takes up the mode where ray was imported before
        before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
        try:
            yield
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _folder() -> Path:
    """A folder whose path is short: Ray puts sockets below it, whose names may have 107 characters."""
    short = Path("/tmp") if Path("/tmp").is_dir() else None
    return Path(tempfile.mkdtemp(prefix="s2i-ray-", dir=short))


def _end_processes(folder: Path) -> None:
    """End what is left of a Ray that did not come up: children of this process that work in its folder."""
    import psutil  # type: ignore[import-not-found]  # comes with ray

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in word for word in process.cmdline()):
                process.kill()
                process.wait(10)
