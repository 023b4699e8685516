"""Processes that this one starts and must not leave behind, and how this one ends when told to.

They are known by a mark in their environment, which a child inherits from its parent, so that even what a killed
process has orphaned is found. Beside a process that starts others runs a keeper: it waits until that process has ended,
even by SIGKILL, then ends all that carry the mark and removes their folder. Marks are read from /proc: Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

MARK = "S2I_STARTED_BY"
"""The environment variable with the marks of a process, separated by colons."""

_KILL_S = 10.0
_LOOK_S = 0.5
_ORDERLY_S = 3.0
"""How long an interrupted process may take to leave its `with` blocks."""
_KEEPER_S = 1.5
"""How long a process that ends at once waits for its keeper to clean up; it exits in any case."""
_LAST_S = 4.7
"""After this time an interrupted process ends even if no Python code can run any more."""

_ENDINGS: list[Callable[[], None]] = []
_at_interrupt: tuple[Callable[[], None], int] | None = None


def marks(*added: str) -> dict[str, str]:
    """Variables for what is started under these marks, in addition to the marks that this process carries itself.

    SPT_NOENV keeps programs that set their own title, as Ray's do, from overwriting the environment that others see.
    """
    return {MARK: ":".join([*filter(None, [os.environ.get(MARK)]), *added]), "SPT_NOENV": "1"}


def marked(mark: str) -> list[int]:
    """Ids of all other living processes of this user that carry the mark."""
    found = []
    name = f"{MARK}=".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for variable in (folder / "environ").read_bytes().split(b"\0"):
                if variable.startswith(name) and mark.encode() in variable[len(name) :].split(b":"):
                    found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


def end(mark: str, within_s: float = _KILL_S) -> list[int]:
    """SIGKILL all that carry the mark until none is left; returns the ids of those that are left after `within_s`."""
    deadline = time.monotonic() + within_s
    while left := marked(mark):
        if time.monotonic() > deadline:
            return left
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return []


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[dict[str, str]]:
    """Yields the variables for what is started within the block: all of it ends with the block, and the folder goes.

    It does so even if this process is killed. The mark is the folder's path.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-IS", __file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # It carries no mark itself: to end all that carry this process's marks would end it, too, and leave the folder.
        env={name: value for name, value in os.environ.items() if name != MARK},
        start_new_session=True,  # not reached by what a terminal sends to all its processes
    )
    assert keeper.stdin is not None
    end_of_input = keeper.stdin.close

    def end_and_wait() -> None:
        end_of_input()
        keeper.wait(_KEEPER_S)

    try:
        with at_end_now(end_and_wait):
            yield marks(str(folder))
    finally:
        end_of_input()
        keeper.wait(2 * _KILL_S)


@contextlib.contextmanager
def at_end_now(ending: Callable[[], None]) -> Iterator[None]:
    """Call `ending` if `end_now` ends this process within the block."""
    _ENDINGS.append(ending)
    try:
        yield
    finally:
        _ENDINGS.remove(ending)


def end_now(code: int) -> None:
    """End this process without leaving its `with` blocks; what is kept for it ends, too."""
    with contextlib.suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\x1b[?25h")  # a progress bar hides the cursor
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # Ray's library would say at length that Ray is gone
    for ending in reversed(_ENDINGS):
        with contextlib.suppress(Exception):  # the end comes in any case
            ending()
    os._exit(code)


def at_interrupt(what: Callable[[], None], code: int) -> None:
    """Set what SIGINT and SIGTERM do from now on, instead of raising in the main thread; called in the main thread.

    Args:
        what: called in a thread of its own; then this process is to end.
        code: the exit code if it does not do so in time.
    """
    global _at_interrupt  # noqa: PLW0603 - signals are of the process
    _at_interrupt = (what, code)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM end this process within five seconds, whatever it is doing; enter it in the main thread.

    The first one asks for an orderly end: it raises an exception in the main thread, or does what was given to
    `at_interrupt`. If that takes too long, or at the second one, all ends at once.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # The C-level signal handler writes here even while the main thread is deep in a library and runs no Python.
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_end_in_time, args=(reading,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)


def _exit(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _end_in_time(signals: int) -> None:
    """Read the numbers of signals from a pipe until its end, and see to it that the first one is obeyed."""
    code, deadline = 0, None
    while True:
        left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([signals], [], [], left_s)[0]:
            end_now(code)
        numbers = os.read(signals, 64)
        if not numbers:
            os.close(signals)
            return
        for number in numbers:
            if number not in {signal.SIGINT, signal.SIGTERM}:
                continue
            what, code = _at_interrupt or (None, 128 + number)
            if deadline is not None:
                end_now(code)
            deadline = time.monotonic() + _ORDERLY_S
            # A library may hold the GIL while it waits for a server that is gone, as Ray's does: then this thread does
            # not run again, but the timer needs no interpreter.
            _exit_in(_LAST_S, code)
            if what is not None:
                what()


class _Event(ctypes.Structure):
    """`struct sigevent` of timer_create(2), for a call of a function with a number."""

    _fields_ = (
        ("value", ctypes.c_size_t),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("padding", ctypes.c_char * 32),
    )


def _exit_in(seconds: float, code: int) -> None:
    """Have the C library alone end this process then, with this exit code."""
    library, call_function = ctypes.CDLL(None), 2
    event = _Event(code, 0, call_function, ctypes.cast(library._exit, ctypes.c_void_p))
    timer, once = ctypes.c_void_p(), (ctypes.c_long * 4)(0, 0, int(seconds), int(seconds % 1 * 1e9))
    with contextlib.suppress(AttributeError):  # macOS has no such timers
        library.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer))
        library.timer_settime(timer, 0, once, None)


def command_line(pid: int) -> list[str]:
    """Arguments of a live process; empty for none and for a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        if Path("/proc/self").exists():
            return []
    # No /proc, as on macOS; there a path with spaces would come in pieces, so match by the whole line.
    answer = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.split(" ")


def free_ports(count: int, last: Sequence[int] = ()) -> list[int]:
    """Ports of loopback on which nothing listens now: those of `last` where they are free, others where not."""
    with contextlib.ExitStack() as held:  # all at once, so that no port is given twice
        ports = []
        for wanted in [*last, *[0] * count][:count]:
            listener = held.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", wanted))
            except OSError:
                listener.bind(("127.0.0.1", 0))
            ports.append(int(listener.getsockname()[1]))
        return ports


def main(folder: str) -> None:
    """The keeper: wait until who started this has ended or closes its pipe; then end what is marked."""
    parent = os.getppid()
    while os.getppid() == parent:
        if select.select([sys.stdin], [], [], _LOOK_S)[0]:  # nothing is ever written: it is the end
            break
    end(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
