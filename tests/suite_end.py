"""At the suite's end: nothing that it started outlives it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from s2i_core import processes

SUITE = f"suite-{os.getpid()}-{uuid.uuid4().hex}"
"""The mark of all that this suite starts, however deep."""
os.environ.update(processes.marks(SUITE))
_LEFT_S = 20.0
"""A Prefect server lingers for some seconds, in case somebody wants it again."""
_left: list[str] = []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing that the suite started outlives it: no agent of Ray, no server, no decoder."""
    if hasattr(session.config, "workerinput"):
        return  # a part of the suite; the whole, whose mark it bears as well, looks at the end
    deadline = time.monotonic() + _LEFT_S
    while (left := outliving(SUITE)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for pid, line in left.items():
        _left.append(f"{pid} {line}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left."""
    if _left:
        terminalreporter.section("left running by the suite, and ended now")
        terminalreporter.write("\n".join([*_left, ""]))


def outliving(mark: str) -> dict[int, str]:
    """Marked processes, with their command lines, that would outlive this one: not its own helpers in its session."""
    found = {}
    for pid in processes.marked(mark):
        with contextlib.suppress(OSError, IndexError):
            parent, _, session = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split())[1:4]
            if int(parent) != os.getpid() or int(session) != os.getsid(0):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[pid] = line.strip()[:200]
    return found
