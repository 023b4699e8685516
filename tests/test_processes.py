"""What a process starts ends with it, however it ends; and it ends soon when it is told to."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2i_core import processes

#: Starts a child whose own child is in another session, and ends: nobody knows any more whose that one is.
ORPHAN = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)"
KEPT = f"""
import os, subprocess, sys, time
from pathlib import Path
from s2i_core import processes
with processes.kept(Path(sys.argv[1])) as mark:
    subprocess.run([sys.executable, "-c", {ORPHAN!r}], env=os.environ | mark, check=True)
    print(len(processes.marked(sys.argv[1])), flush=True)
    sys.stdin.read()
print("over", flush=True)
"""
STUBBORN = """
import signal, sys, time
from pathlib import Path
from s2i_core import processes
with processes.interruptible(), processes.kept(Path(sys.argv[1])):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: print("heard", flush=True))
    print("up", flush=True)
    while True:
        time.sleep(600)
"""


@contextlib.contextmanager
def running(code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    return tmp_path / "kept"


def gone(folder: Path, within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not folder.exists() and not processes.marked(str(folder)):
            return True
        time.sleep(0.05)
    return False


def test_what_was_orphaned_ends_with_the_block(folder: Path) -> None:
    with running(KEPT, folder) as process:
        assert process.stdout and process.stdin
        assert process.stdout.readline() == "1\n"
        process.stdin.close()
        assert process.stdout.readline() == "over\n"
        assert gone(folder, 0.1)


def test_it_ends_where_its_starter_is_killed(folder: Path) -> None:
    with running(KEPT, folder) as process:
        assert process.stdout
        assert process.stdout.readline() == "1\n" and folder.exists()
        process.kill()
        assert gone(folder)


def test_marks_add_up_and_another_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{tmp_path}/{name}" for name in ("one", "two", "tw")]
    monkeypatch.setenv(processes.MARK, names[0])
    sleeper = subprocess.Popen(["sleep", "600"], env=os.environ | processes.marks(names[1]))
    try:
        assert [processes.marked(name) for name in names] == [[sleeper.pid], [sleeper.pid], []]
        assert processes.end(names[2]) == [] and sleeper.poll() is None
        assert processes.end(names[0]) == [] and sleeper.wait(5) == -signal.SIGKILL
    finally:
        sleeper.kill()
        sleeper.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_does_not_end_when_told_to_is_ended_in_time(folder: Path, number: signal.Signals) -> None:
    with running(STUBBORN, folder) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        told = time.monotonic()
        process.send_signal(number)
        assert process.wait(20) == 128 + number
        assert time.monotonic() - told < 5
        assert process.stdout.readline() == "heard\n", "it is asked before"
        assert gone(folder, 0.1)


def test_told_twice_it_ends_at_once(folder: Path) -> None:
    with running(STUBBORN, folder) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        told = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "heard\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 128 + signal.SIGINT
        assert time.monotonic() - told < 2
        assert gone(folder, 0.1)


def test_a_folder_goes_where_another_ends_all_that_it_started(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keeps the inner folder must outlive the end of all that carries the outer mark."""
    outer = str(tmp_path / "outer")
    monkeypatch.setenv(processes.MARK, outer)
    with running(KEPT, folder) as process:
        assert process.stdout
        assert process.stdout.readline() == "1\n"
        assert not processes.end(outer)
        assert gone(folder)


def test_who_holds_the_interpreter_is_ended_in_time(folder: Path) -> None:
    held = "signal.signal(number, lambda *_: (time.sleep(0.5), ctypes.PyDLL(None).sleep(60)))"
    code = STUBBORN.replace("import signal", "import ctypes, signal").replace(
        'signal.signal(number, lambda *_: print("heard", flush=True))', held
    )
    with running(code, folder) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(5.5) == 128 + signal.SIGINT
        assert gone(folder)


def test_ports_of_the_last_time_are_kept_where_they_are_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        occupied = taken.getsockname()[1]
        (free,) = processes.free_ports(1)
        ports = processes.free_ports(3, [free, occupied])
    assert ports[0] == free
    assert len({*ports, occupied}) == 4
