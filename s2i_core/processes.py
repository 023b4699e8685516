"""Processes that this one starts and must not leave behind, and how this one ends when it is told to.

They are known by a mark in their environment, which a child has from its parent: so what a killed process has orphaned
is still found. Beside a process that starts others runs a keeper. It waits for that process to end, also by SIGKILL,
then ends all that carry the mark, and removes their folder. Marks are read from /proc: on Linux.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "S2I_STARTED_BY"
"""Variable of the environment: the marks of a process, with colons between them."""

_KILL_S = 10.0
_LOOK_S = 0.5
_ORDERLY_S = 3.0
"""How long an interrupted process may take to leave its blocks in order."""
_KEEPER_S = 1.5
"""How long a process that ends at once waits for what is kept for it to be gone; it goes in any case."""
_LAST_S = 4.7
"""After so long an interrupted process ends even where no code of Python can run any more."""

_ENDINGS: list[Callable[[], None]] = []
_at_interrupt: tuple[Callable[[], None], int] | None = None


def marks(*added: str) -> dict[str, str]:
    """Variables for what is started under these marks, besides those that this process's environment holds now.

    Programs that give themselves a title, as Ray's do, would write it over the environment that others see.
    """
    return {MARK: ":".join([*filter(None, [os.environ.get(MARK)]), *added]), "SPT_NOENV": "1"}


def marked(mark: str) -> list[int]:
    """Ids of all other living processes of this user that carry a mark."""
    found = []
    name = f"{MARK}=".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for variable in (folder / "environ").read_bytes().split(b"\0"):
                if variable.startswith(name) and mark.encode() in variable[len(name) :].split(b":"):
                    found.append(int(folder.name))
    return [pid for pid in found if pid != os.getpid()]


def end(mark: str, within_s: float = _KILL_S) -> list[int]:
    """SIGKILL all that carry a mark, until none is left; ids of those that still are after so long."""
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
    """Gives the variables for what is started within the block: it ends with the block, and the folder with it.

    So it does where this process is killed. The mark is the folder's path.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-IS", __file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # It carries no mark itself: who ends this process from outside would end it, too, and leave the folder.
        env={name: value for name, value in os.environ.items() if name != MARK},
        start_new_session=True,  # what a terminal sends to all its processes is not for this one
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
    """Have something called where `end_now` ends this process within the block."""
    _ENDINGS.append(ending)
    try:
        yield
    finally:
        _ENDINGS.remove(ending)


def end_now(code: int) -> None:
    """End this process without leaving its blocks in order; what is kept for it ends, too."""
    with contextlib.suppress(OSError):
        if os.isatty(2):
            os.write(2, b"\x1b[?25h")  # a progress bar hides the cursor
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # Ray's library would say at length that Ray is gone
    for ending in reversed(_ENDINGS):
        with contextlib.suppress(Exception):  # the end comes in any case
            ending()
    os._exit(code)


def at_interrupt(what: Callable[[], None], code: int) -> None:
    """What SIGINT and SIGTERM do from now on, in place of an exception in the main thread, which calls this.

    Args:
        what: called in a thread of its own; then this process is to end.
        code: its exit code where it does not do so in time.
    """
    global _at_interrupt  # noqa: PLW0603 - signals are of the process
    _at_interrupt = (what, code)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM end this process within five seconds, whatever it is doing; for the main thread.

    The first one asks for an orderly end: it raises an exception in the main thread, or does what was given to
    `at_interrupt`. Where that takes too long, and at the second one, all ends at once.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # The kernel's side of a signal writes here even while the main thread is deep in a library and hears of nothing.
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
    """Read the numbers of signals from a pipe, and see that the first one is followed; until the pipe's end."""
    code, deadline = 0, None
    silent = os.open(os.devnull, os.O_WRONLY)
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
            # A library may hold the interpreter while it waits for a server that has gone, as Ray's does: this thread
            # would not run again, and that one needs no interpreter.
            faulthandler.dump_traceback_later(_LAST_S, exit=True, file=silent)
            if what is not None:
                what()


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
