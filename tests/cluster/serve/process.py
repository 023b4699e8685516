"""The service in a process of its own, as `s2i serve` runs it, with any settings: these come on the standard input."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import ray  # noqa: F401 -- brings psutil

import psutil  # isort: skip

from cluster.local import free_ports
from cluster.serve.local import serving
from cluster.serve.settings import ServeSettings

_START_S = 400


class Served:
    """The process; `url` of its service."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._seen: set[psutil.Process] = set()

    def processes(self) -> list[psutil.Process]:
        """It, and those below it."""
        own = psutil.Process(self._process.pid)
        found = [own, *own.children(recursive=True)]
        self._seen |= set(found)
        return found

    def end(self, number: signal.Signals, within_s: float) -> list[str]:
        """Send it a signal; names of the processes that are left so long after it has ended."""
        self.processes()
        self._process.send_signal(number)
        self._process.wait(120)
        _, left = psutil.wait_procs(self._seen, within_s)
        return [name for each in left if (name := _name(each))]


@contextlib.contextmanager
def served_alone(settings: ServeSettings) -> Iterator[Served]:
    """The service with a Ray of its own, until the end of the block."""
    command = [sys.executable, __file__, str(free_ports(1)[0])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        late = threading.Timer(_START_S, process.kill)
        late.start()
        process.stdin.write(settings.model_dump_json())
        process.stdin.close()
        try:
            # Ray writes there too.
            url = next((line.strip() for line in process.stdout if line.startswith("http://")), "")
            late.cancel()
            assert url, "the service did not start"
            yield Served(process, url)
        finally:
            late.cancel()
            process.send_signal(signal.SIGINT)
            try:
                process.wait(120)
            finally:
                process.kill()


def _name(process: psutil.Process) -> str | None:
    """None of one that has ended and waits for whoever started it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return None if process.status() == psutil.STATUS_ZOMBIE else process.name()
    return None


def main() -> None:
    """Serve until interrupted."""
    settings = ServeSettings.model_validate_json(sys.stdin.read())
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    with serving(settings, port=int(sys.argv[1])) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        stopped.wait()


if __name__ == "__main__":
    main()
