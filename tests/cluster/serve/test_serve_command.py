"""`s2i serve` as a person starts it: told to stop, at any time, it is gone within seconds with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cluster.local import free_ports
from cluster.serve.clips.decoding import example
from s2i_core import processes

STOP_S = 5.0
#: Where Ray's library holds the interpreter until the last moment, as it may on a busy machine, a timer in C ends
#: the program, whose code is always 1 (`processes.interruptible`).
STOPPED_EARLY = {130, 1}


class Command:
    """The program while it runs; its state folder and what it says are below `home`."""

    def __init__(self, home: Path, checkpoint: str) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self._said = home / "said.txt"
        self._mark = f"test-{home}"
        command = [sys.executable, "-m", "s2i_core.cli", "serve", "--port", self.url.rpartition(":")[2]]
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [*command, "--checkpoint", checkpoint],
                env=os.environ | processes.marks(self._mark) | {"S2I_HOME": str(home)},
                stderr=said,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """Its standard error so far."""
        return self._said.read_text()

    @property
    def folders(self) -> list[Path]:
        """Ray's, with its session in it; named after the process."""
        return list(Path("/tmp").glob(f"s2i-ray-*/ray/session_*_{self.process.pid}"))

    def until(self, happens: Callable[[], object], within_s: float = 300) -> None:
        deadline = time.monotonic() + within_s
        while not happens():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def ready(self) -> bool:
        return "Stop with Ctrl+C" in self.said

    def stop(self, *numbers: signal.Signals) -> int:
        """Its exit code, once nothing of it is left."""
        folders = [path.parents[1] for path in self.folders]
        told = time.monotonic()
        for number in numbers:
            self.process.send_signal(number)
            time.sleep(0.2)
        code = self.process.wait(60)
        # On a busy machine the keeper may be a moment behind it.
        while (left := processes.marked(self._mark)) or any(folder.exists() for folder in folders):
            assert time.monotonic() - told < STOP_S, (left, folders)
            time.sleep(0.05)
        assert time.monotonic() - told < STOP_S
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        processes.end(self._mark)


@contextlib.contextmanager
def started(home: Path, checkpoint: str) -> Iterator[Command]:
    command = Command(home, checkpoint)
    try:
        yield command
    finally:
        command.close()


def test_it_stops_while_ray_starts_and_while_models_load(tmp_path: Path, checkpoint: str) -> None:
    with started(tmp_path, checkpoint) as command:
        command.until(lambda: command.folders)
        assert command.stop(signal.SIGINT) in STOPPED_EARLY
    with started(tmp_path, checkpoint) as command:
        command.until(lambda: any((folder / "logs" / "serve").exists() for folder in command.folders))
        assert command.stop(signal.SIGTERM) in STOPPED_EARLY
    assert "Traceback" not in command.said


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM)])
def test_it_stops_while_it_draws(tmp_path: Path, checkpoint: str, numbers: tuple[signal.Signals, ...]) -> None:
    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            url = f"{command.url}/v1/images?steps=50&size=512&timeout_s=120"
            httpx.post(url, content=example(), headers={"content-type": "audio/webm"}, timeout=120)

    with started(tmp_path, checkpoint) as command:
        command.until(command.ready)
        askers = [threading.Thread(target=ask) for _ in range(8)]
        for each in askers:
            each.start()
        time.sleep(0.5)
        assert command.stop(*numbers) == 0
        for each in askers:
            each.join(30)
            assert not each.is_alive()
