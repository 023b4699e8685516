"""Ray on one machine: embedded in this process (`local_ray`), or a real cluster of several nodes (`LocalCluster`).

Everything listens on 127.0.0.1 only, asks for a token that is made for the occasion, reports no usage, and keeps its
logs in a folder of its own. Nothing here affects any other Ray on the machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from s2i_core import processes
from s2i_core.errors import S2IError
from s2i_core.network import direct_loopback
from s2i_core.state import state_home

OBJECT_STORE_BYTES = 512 << 20
_HOST = "127.0.0.1"
free_ports = processes.free_ports
_START_ATTEMPTS = 2
_AGENT_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
_START_S = 400
"""Ray's many processes need time to start; its own limit of 10 s is too short on a very busy machine."""

# Ray replaces 127.0.0.1 by the host's address, and then listens on all interfaces, unless it believes that it is on a
# system without clusters. This switch is read when ray is imported, so the attribute is set as well.
_LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


#: Nothing listens here: with usage reports off, Ray would still report that they are off.
_NOWHERE = "http://127.0.0.1:9/"


class RayError(S2IError):
    """Ray could not be started."""


@contextlib.contextmanager
def local_ray(
    num_cpus: int,
    *,
    object_store_bytes: int = OBJECT_STORE_BYTES,
    environment: Callable[[Path], Mapping[str, str]] = lambda folder: {},
) -> Iterator[None]:
    """An embedded Ray for the duration of the block; if this process is already connected to one, that is used and
    kept.

    Its processes and its folder go with this process, even if it is killed. Start and stop it in the same
    thread.

    Args:
        num_cpus: CPUs that Ray hands out, whatever the machine has: give it what all pools of a job need together
            (`cluster.jobs.resources.logical_cpus`), or the job waits for ever.
        object_store_bytes: shared memory for blocks between stages.
        environment: variables for Ray's processes only, as a function of the folder where they keep their files, which
            is private, has a short path, and is removed after the block. Not called if a running Ray is used.

    Raises:
        RayError: it does not start.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_settings())
        folder = stack.enter_context(_folder())
        mark = stack.enter_context(processes.kept(folder))
        # Like `ray.init`, but without the processes that nothing here needs: autoscaler, log forwarding.
        with variables({**environment(folder), **mark}):
            node = start_node(
                folder / _RAY,
                object_store_bytes,
                head=True,
                num_cpus=num_cpus,
                include_dashboard=False,
                no_monitor=True,
            )
        stack.callback(_kill, node)
        with _quiet_library():
            ray.init(node.gcs_address, log_to_driver=False, logging_level=logging.ERROR)
        stack.callback(ray.shutdown)
        yield


class LocalCluster:
    """A real cluster on this machine: a head that runs no work, and worker nodes with raylets of their own.

    For developing and testing what happens between nodes. Jobs go to `address` through Ray's Jobs API. Worker number
    i offers the custom resource `node<i>`, so that work can be pinned to it.

    Args:
        workers: CPUs of each worker node.
        environment: variables for the processes of the cluster, such as the login of the object store. If they make Ray
            speak TLS, this process does so too, with every Ray that it is connected to.
        object_store_bytes: shared memory of each node.
        jobs_api: whether to serve the Jobs API at `address`; a driver that joins at `gcs_address` does not need it.
    """

    def __init__(
        self,
        workers: Sequence[int] = (2, 2),
        *,
        environment: Mapping[str, str] | None = None,
        object_store_bytes: int = 128 << 20,
        jobs_api: bool = True,
    ) -> None:
        self._jobs_api = jobs_api
        self._cpus = tuple(workers)
        self._environment = dict(environment or {})
        self._object_store_bytes = object_store_bytes
        self._stack = contextlib.ExitStack()
        self._head: Any = None
        self._head_environment: dict[str, str] = {}
        self._workers: list[Any] = []
        self._mark: dict[str, str] = {}
        self._started = 0
        self.logs: Path | None = None
        """Folder of Ray's logs while the cluster is up."""

    @property
    def address(self) -> str:
        """Address of the Jobs API: `http://127.0.0.1:<port>`."""
        return f"http://{self._head.webui_url}"

    @property
    def gcs_address(self) -> str:
        """Address for `ray.init(address=…)`."""
        return str(self._head.gcs_address)

    @property
    def node_ids(self) -> list[str]:
        """Ids of the living worker nodes, in hexadecimal."""
        return [str(node.node_id) for node in self._workers]

    def __enter__(self) -> Self:
        from ray._private.utils import write_ray_address

        with contextlib.ExitStack() as stack:
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
            # First, so that Ray's library in this process sees them as well: it must speak TLS if they do.
            stack.enter_context(variables({"PATH": path, **self._environment}))
            stack.enter_context(_settings())
            folder = stack.enter_context(_folder())
            self._mark = stack.enter_context(processes.kept(folder))
            self.logs = folder / _RAY
            stack.callback(self._stop)
            with variables(self._mark):
                self._head = start_node(
                    self.logs,
                    self._object_store_bytes,
                    head=True,
                    num_cpus=0,
                    num_gpus=0,
                    include_dashboard=self._jobs_api,
                    dashboard_host=_HOST,
                    dashboard_port=free_ports(1)[0],
                    no_monitor=True,
                    env_vars=self._head_environment,
                )
            # Like `ray start`. Otherwise a job joins any Ray that it finds among the processes of the machine.
            write_ray_address(self.gcs_address, str(self.logs))
            for cpus in self._cpus:
                self.add_node(cpus)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add_node(self, cpus: int, *, folder: Path | None = None) -> str:
        """Start another worker node; returns its id once it runs.

        Args:
            cpus: that it offers.
            folder: where it keeps its files, if not with the others.
        """
        assert self.logs is not None, "the cluster is not up"
        with variables(self._mark):
            node = start_node(
                folder or self.logs,
                self._object_store_bytes,
                head=False,
                gcs_address=self.gcs_address,
                num_cpus=cpus,
                num_gpus=0,
                resources={f"node{self._started}": 1000},
            )
        self._started += 1
        self._workers.append(node)
        return str(node.node_id)

    def processes(self, node_id: str) -> list[int]:
        """Ids of the processes that Ray started for a worker node; its workers are their children."""
        node = next(node for node in self._workers if node.node_id == node_id)
        return [each.process.pid for some in node.all_processes.values() for each in some]

    def kill_node(self, node_id: str) -> None:
        """SIGKILL all processes of a worker node at once, like a machine that loses power."""
        node = next(node for node in self._workers if node.node_id == node_id)
        _kill(node)
        self._workers.remove(node)

    def _stop(self) -> None:
        for node in [*reversed(self._workers), *([self._head] if self._head else [])]:
            _kill(node)
        self._workers.clear()
        self._head = None


def start_node(
    logs: Path,
    object_store_bytes: int,
    *,
    head: bool,
    host: str = _HOST,
    **parameters: Any,
) -> Any:
    """One node; `parameters` are those of Ray's own launcher. Its `kill_all_processes` also ends the node's agents.

    Args:
        logs: folder of its files.
        object_store_bytes: its shared memory.
        head: whether it is the head of a cluster.
        host: address that it listens on.

    Raises:
        RayError: it does not start.
    """
    from ray import _raylet
    from ray._private.node import Node
    from ray._private.parameter import RayParams
    from ray.experimental import internal_kv

    class PatientNode(Node):  # type: ignore[misc]
        """Tells the raylet the port of the node's agent, for which it would only wait 15 s: too short on a busy
        machine.

        Ray itself leaves the raylet's agents behind, which take a minute to notice.
        """

        def kill_all_processes(self, *arguments: Any, **options: Any) -> None:
            super().kill_all_processes(*arguments, **options)
            processes.end(mark)

        def start_raylet(self, *arguments: Any, **options: Any) -> None:
            port = self._ray_params.dashboard_agent_listen_port
            name = _raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME  # type: ignore[attr-defined]
            _raylet.persist_port(self._session_dir, self._node_id, name, port)  # type: ignore[attr-defined]
            super().start_raylet(*arguments, **options)

    # A node with a dashboard would replace the Ray that this process is connected to.
    connected_to = internal_kv.global_gcs_client
    mark = f"{logs}#{secrets.token_hex(8)}"
    for attempts_left in reversed(range(_START_ATTEMPTS)):
        try:
            params = RayParams(
                node_ip_address=host,
                object_store_memory=object_store_bytes,
                temp_dir=str(logs),
                # Several nodes share this machine, so each takes free ports. Ray would not wait long enough, on a busy
                # machine, for processes that choose their own: so they are told.
                **dict(zip(_AGENT_PORTS, free_ports(len(_AGENT_PORTS)), strict=True)),
                node_manager_port=0,
                min_worker_port=0,
                max_worker_port=0,
                include_log_monitor=False,
                **parameters,
            )
            # Linux ends these processes with ours, however ours ends.
            with variables(processes.marks(mark)):
                return PatientNode(params, head=head, shutdown_at_exit=False, spawn_reaper=True)
        except Exception as error:
            processes.end(mark)
            if not attempts_left:
                remedy = f"Is memory left? Its logs are kept in {keep_logs(logs)}."
                raise RayError("a Ray node on this machine", f"it did not start ({error})", remedy) from error
        finally:
            if connected_to is not None:
                internal_kv._initialize_internal_kv(connected_to)
    raise AssertionError("unreachable")


def _kill(node: Any) -> None:
    node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


def keep_logs(folder: Path) -> Path:
    """Copy the ends of the logs of a folder's last Ray to `ray-logs` in the state folder, where they stay.

    Readable by the owner only, replacing those kept before. Returns where they are.
    """
    kept = state_home() / "ray-logs"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True, mode=0o700)
    logs = (folder / "session_latest" / "logs").resolve()
    files = sorted((path for path in logs.rglob("*") if path.is_file()), key=lambda path: -path.stat().st_mtime)
    for path in files[:_KEPT_LOGS]:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _KEPT_BYTES))
            kept.joinpath("-".join(path.relative_to(logs).parts)).write_bytes(file.read(_KEPT_BYTES))
    return kept


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Loopback only, a token, no usage reports: for Ray processes that are started within the block.

    Ray gives its workers a low priority (niceness 15); here they are what the machine is for.
    """
    settings = {_LOOPBACK_SWITCH: "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    settings["RAY_USAGE_STATS_REPORT_URL"] = _NOWHERE
    with variables(
        settings
        | direct_loopback()
        | {"RAY_raylet_start_wait_time_s": str(_START_S), "RAY_DASHBOARD_STARTUP_TIMEOUT_S": str(_START_S)}
    ):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_urlsafe(32))
        from ray import _raylet
        from ray._private import ray_constants

        _raylet.Config.initialize("")  # type: ignore[attr-defined]  # takes up the mode if ray was imported before
        before = ray_constants.ENABLE_RAY_CLUSTER
        ray_constants.ENABLE_RAY_CLUSTER = False
        ray_constants.RAY_DASHBOARD_STARTUP_TIMEOUT_S = _START_S
        try:
            yield
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Keeps Ray's library in this process, if it is loaded within the block, from ever writing to the terminal.

    It would warn about what Ray Data does on purpose, and announce on the terminal that it was silenced. Ray's other
    processes write to their logs as usual.
    """
    terminal = os.dup(2)
    with variables({"RAY_BACKEND_LOG_LEVEL": "fatal"}), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


@contextlib.contextmanager
def variables(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set these variables in the environment for the duration of the block, and unset those that are None."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder with a short path, as Ray puts sockets into it, whose names may have at most 107 characters.

    Nobody else has access. Ray makes its own folder world-writable, so that is one below. It is ours for the time of
    the block; folders whose owners were killed together with their keepers are removed, with what still runs there.
    """
    place = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())
    for left in place.glob(f"{_FOLDER}*"):
        with contextlib.suppress(OSError), _owned(left):
            processes.end(str(left))
            shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=place))
    with _owned(folder, new=True):
        yield folder


@contextlib.contextmanager
def _owned(folder: Path, *, new: bool = False) -> Iterator[None]:
    """Hold the lock in a folder of ours; the kernel frees it when this process ends, however it ends.

    Raises:
        OSError: another process holds it, or it belongs to another user, or it has none and is new.
    """
    if not new and folder.lstat().st_uid != os.geteuid():
        raise PermissionError(folder)
    lock = folder / "owner.lock"
    # Its owner is about to lock it, or was killed while removing it.
    if not new and not lock.exists() and time.time() - folder.stat().st_mtime < _UNLOCKED_S:
        raise FileNotFoundError(lock)
    descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


_FOLDER = "s2i-ray-"
_UNLOCKED_S = 600.0
_KEPT_LOGS, _KEPT_BYTES = 64, 1 << 16
_RAY = "ray"
"""Where Ray keeps its files in such a folder."""
