"""Ray nodes in network namespaces of their own, so that the link to one can be cut (needs root and `ip`).

A bridge on this machine stands for the network; the head is on this side of it, each worker behind a pair of virtual
Ethernet devices.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from s2i_core import processes

ROOT = Path(__file__).parents[2]
#: The head finds a node that does not answer after about 15 s; Ray's own settings would take a minute.
HEALTH = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}


class Network:
    """A cluster whose workers can be cut off.

    Args:
        workers: CPUs of each worker.
        environment: variables for its processes.
    """

    def __init__(self, workers: tuple[int, ...], environment: Mapping[str, str]) -> None:
        self._cpus = workers
        self._name = f"s2i{secrets.token_hex(2)}"
        self._subnet = f"10.231.{secrets.randbelow(250)}"
        # Short: Ray puts sockets below it.
        self.folder = Path(tempfile.mkdtemp(prefix="s2ic-", dir="/tmp"))
        self.environment = {
            **os.environ,
            **environment,
            **HEALTH,
            **processes.marks(str(self.folder)),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_urlsafe(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._undo = contextlib.ExitStack()
        self.gcs_address = ""
        """For `RAY_ADDRESS`, once the head runs."""

    @property
    def host(self) -> str:
        """Address of this machine on the bridge."""
        return f"{self._subnet}.1"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            _ip("link", "add", self._name, "type", "bridge")
            stack.callback(_ip, "link", "del", self._name)
            _ip("addr", "add", f"{self.host}/24", "dev", self._name)
            _ip("link", "set", self._name, "up")
            stack.callback(self._end)
            self.gcs_address = self._start("head", [], self.host, 0)
            for number, cpus in enumerate(self._cpus):
                self._wire(number, stack)
                where = ["ip", "netns", "exec", self._space(number)]
                self._start(f"worker{number}", where, self.address(number), cpus)
            self._undo = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def cut(self, number: int) -> None:
        """Unplug a worker: nothing reaches it any more, and nothing says so."""
        _ip("link", "set", f"{self._name}{number}", "down")

    @property
    def variables(self) -> dict[str, str]:
        """What a driver on this machine needs to join."""
        return {name: self.environment[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}

    @contextlib.contextmanager
    def watch(self) -> Iterator[Callable[[], float]]:
        """Gives what waits until the head declares a worker dead, and returns when that was (monotonic clock)."""
        look = (
            "import ray, time; ray.init(log_to_driver=False); print('ready', flush=True)\n"
            "while all(node['Alive'] for node in ray.nodes()): time.sleep(0.5)\n"
            "print('lost', time.monotonic(), flush=True)"
        )
        variables = self.environment | {"RAY_ADDRESS": self.gcs_address}
        with subprocess.Popen([sys.executable, "-c", look], env=variables, stdout=subprocess.PIPE) as looker:
            assert looker.stdout is not None
            assert looker.stdout.readline() == b"ready\n"
            # Ray says on the same pipe what it sees of the node.
            told = (line.removeprefix(b"lost ") for line in looker.stdout if line.startswith(b"lost "))
            try:
                yield lambda: float(next(told))
            finally:
                looker.kill()

    def address(self, number: int) -> str:
        """Of a worker."""
        return f"{self._subnet}.{number + 2}"

    def _space(self, number: int) -> str:
        return f"{self._name}n{number}"

    def _wire(self, number: int, stack: contextlib.ExitStack) -> None:
        space, here = self._space(number), f"{self._name}{number}"
        _ip("netns", "add", space)
        stack.callback(_ip, "netns", "del", space)
        _ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", here, "master", self._name)
        _ip("link", "set", here, "up")
        _ip("-n", space, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", space, "link", "set", device, "up")

    def _start(self, name: str, where: list[str], address: str, cpus: int) -> str:
        """Start a node; returns the address of its cluster's head."""
        command = [*where, sys.executable, "-m", "tests.chaos.node", str(self.folder), address, str(cpus)]
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, self.gcs_address], cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=output
            )
        self._processes[name] = process
        assert process.stdout is not None
        said = process.stdout.readline().decode().split()
        if said[:1] != ["up"]:
            raise RuntimeError(f"{name} did not start:\n{log.read_text()[-3000:]}")
        return said[1]

    def _end(self) -> None:
        processes.end(str(self.folder))
        for process in self._processes.values():
            process.wait()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
