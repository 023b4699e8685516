"""The supervisor with small programs in the place of servers; tests/e2e/test_night.py has the real ones."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.local import LocalCluster
from flows.platform import (
    Home,
    PartState,
    PlatformPart,
    Program,
    Supervisor,
    _PageServer,
    page,
    stop,
    targets,
)
from s2i_core import processes
from s2i_core.errors import ConfigError
from s2i_core.identity import digest
from s2i_core.storage.embedded import EmbeddedStore

#: A server that has a child of its own.
_SERVER = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "time.sleep(600)"
)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def until(true: Callable[[], object], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def part(name: str, program: Program) -> PlatformPart:
    return PlatformPart(PartState(name), program.start, lambda: program.alive, program.stop)


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, Program]:
    return {
        name: Program([sys.executable, "-c", _SERVER], tmp_path / f"{name}.log", lambda: {"PART": "1"})
        for name in ("one", "two")
    }


def test_what_dies_is_started_again_and_nothing_is_left_at_the_end(programs: dict[str, Program]) -> None:
    told: list[list[tuple[str, bool]]] = []
    parts = [part(name, program) for name, program in programs.items()]
    supervisor = Supervisor(parts, lambda states: told.append([(each.name, each.healthy) for each in states]))
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        until(lambda: all(each.state.healthy for each in parts))
        first = next(index for index, states in enumerate(told) if ("two", True) in states)
        assert ("one", True) in told[first], "the second comes after the first"
        victim = programs["two"]._process
        assert victim is not None
        until(lambda: len(processes.marked(programs["two"]._mark)) == 2)
        (grandchild,) = {*processes.marked(programs["two"]._mark)} - {victim.pid}
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda: parts[1].state.starts == 2 and parts[1].state.healthy)
        assert parts[0].state.starts == 1
        pids = [pid for program in programs.values() for pid in processes.marked(program._mark)] + [grandchild]
    finally:
        supervisor.stop()
        thread.join(60)
    assert not thread.is_alive()
    until(lambda: not any(alive(pid) for pid in pids), 5)


def test_a_program_ends_with_its_supervisor_however_that_ends(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from flows.platform import Program\n"
        "p = Program([sys.executable, '-c', 'import time; time.sleep(600)'], Path(sys.argv[1]), dict); p.start()\n"
        "print(p._process.pid, flush=True); time.sleep(600)"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    child = int(supervisor.stdout.readline())
    assert alive(child)
    supervisor.kill()
    supervisor.wait()
    until(lambda: not alive(child), 20)


def test_what_cannot_start_says_why_and_is_tried_with_growing_pauses() -> None:
    tries: list[float] = []

    def fails() -> None:
        tries.append(time.monotonic())
        raise ConfigError("a part", "it is missing", "Install it.")

    later = PlatformPart(
        PartState("later"), lambda: pytest.fail("what comes after must wait"), lambda: False, lambda: None
    )
    broken = PlatformPart(PartState("broken"), fails, lambda: False, lambda: None)
    supervisor = Supervisor([broken, later], lambda _: None)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    until(lambda: len(tries) == 3)
    supervisor.stop()
    thread.join(30)
    assert tries[2] - tries[1] > tries[1] - tries[0] >= 0.9
    assert "it is missing" in broken.state.note
    assert later.state.starts == 0


def test_the_page_tells_of_each_part_and_answers_no_other_site() -> None:
    states = [PartState("ray", True, 1, "http://127.0.0.1:8265"), PartState("serve", False, 3, note="<b>died</b>")]
    text = page(states)
    assert 'href="http://127.0.0.1:8265"' in text
    assert "&lt;b&gt;died" in text
    assert "<b>died" not in text
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = _PageServer(port, lambda: states)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert [each["name"] for each in json.loads(answer.read())] == ["ray", "serve"]
        elsewhere = urllib.request.Request(f"http://127.0.0.1:{port}/health", headers={"Host": "evil.example:80"})
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(elsewhere)
    finally:
        server.close()


def test_the_login_is_private_the_ports_stay_and_a_stale_state_is_not_believed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    login, ports = home.login(), home.ports()
    assert home.login() == login
    assert home.ports() == ports
    assert len(set(ports.values())) == len(ports)
    assert (home.folder / "login.json").stat().st_mode & 0o077 == 0
    assert home.folder.stat().st_mode & 0o077 == 0
    home.write({"pid": os.getpid(), "ready": True})
    assert home.read() is None, "this process is no supervisor"


def test_prometheus_is_told_of_a_ray_of_ours(cluster: LocalCluster) -> None:
    assert cluster.logs
    until((cluster.logs / "prom_metrics_service_discovery.json").is_file)
    until(lambda: {"job": "ray"} in [target["labels"] for target in targets([])])


def rays() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("s2i-ray-*"))


def left(before: set[Path]) -> list[Path]:
    """New folders of Ray that no living process holds; others' tests may have made some meanwhile."""
    locks = Path("/proc/locks").read_text()
    made = [folder / "owner.lock" for folder in rays() - before]
    return [lock for lock in made if lock.exists() and f":{lock.stat().st_ino} " not in locks]


def test_nothing_is_left_of_what_is_interrupted_while_it_comes_up(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    before = rays()
    command = [sys.executable, "-m", "s2i_core.cli", "platform", "up", "--no-serve", "--no-samples", "--workers", "1"]
    with subprocess.Popen(
        command,
        env=os.environ | {"S2I_HOME": str(home.root)},
        stderr=subprocess.PIPE,
        # A suite in the background of a shell has it ignored, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as up:
        try:
            until(lambda: any(part["healthy"] for part in (home.read() or {"parts": []})["parts"]))
            mine = digest(str(home.folder))
            assert processes.marked(mine)
            up.send_signal(signal.SIGINT)
            assert up.wait(20) == 130
            until(lambda: not processes.marked(mine), 5)
            assert home.read() is None and EmbeddedStore(home.root / "store").status() is None
            until(lambda: not left(before), 5)
        finally:
            up.kill()
            stop(home)
