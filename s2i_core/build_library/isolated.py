"""Cutting out in a process of its own, which may crash, hang or exhaust its memory without harming the caller.

Pillow and resvg read whatever somebody has put into a folder. Here they run in a child that has no login and opens no
file: it gets the bytes over its standard input and hands back the drawing. Each message is a length (eight bytes each)
of its JSON and of its bytes, and then those; what comes from the child is never unpickled.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from s2i_core import processes
from s2i_core.build_library.cut_out import CutOut, cut_out
from s2i_core.errors import ModelError
from s2i_core.models.decoders.native.library import SPRITE_SIZE

MEMORY_BYTES = 1536 << 20
"""What one file may map on top of the program's: 40 million pixels take about a gigabyte."""
LIMIT_S = 30.0
_START_LIMIT_S = 120.0
"""Longest wait for the interpreter to start, on a busy machine."""
_HEADER = struct.Struct("!QQ")
_MOST_BYTES = 64 << 20
_AGAIN = "Save it again, or simpler."


class Cutter:
    """A child that cuts out one file after another; started when it is needed, and again after it died.

    For one thread. Close it, or use it as a context manager.

    Args:
        memory_bytes: what a file may take.
        limit_s: how long a file may take.
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES, limit_s: float = LIMIT_S) -> None:
        self._memory_bytes = memory_bytes
        self._limit_s = limit_s
        self._child: subprocess.Popen[bytes] | None = None

    def cut_out(self, name: str, data: bytes) -> CutOut:
        """As `cut_out.cut_out`.

        Raises:
            ModelError: also where reading the file crashed, took too long or too much memory.
        """
        child = self._started()
        assert child.stdin is not None
        try:
            _send(child.stdin, {"name": name}, data)
            told, made = self._answer(self._limit_s)
        except TimeoutError as error:
            self.close()
            raise ModelError(name, f"reading it takes more than {self._limit_s:g} s", _AGAIN) from error
        except (OSError, EOFError) as error:
            code = child.wait(5)
            self.close()
            how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            raise ModelError(name, f"reading it crashed ({how})", _AGAIN) from error
        if reason := told.pop("reason", ""):
            raise ModelError(name, reason, told["remedy"])
        length = told.pop("large_bytes")
        sprite = np.frombuffer(made[length:], np.uint8).reshape(SPRITE_SIZE, SPRITE_SIZE, 4)
        return CutOut(large=made[:length], sprite=sprite, **told)

    def close(self) -> None:
        """End the child, whatever it does."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self.close()
        # The child gets no login and no setting of ours.
        names = ("PATH", "LD_LIBRARY_PATH", "LANG", processes.MARK)
        kept = {name: os.environ[name] for name in names if name in os.environ}
        places = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", __spec__.name, str(self._memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONPATH": places, "OPENBLAS_NUM_THREADS": "1"},
        )
        self._answer(_START_LIMIT_S)
        return self._child

    def _answer(self, limit_s: float) -> tuple[dict[str, Any], bytes]:
        assert self._child is not None and self._child.stdout is not None
        return _receive(self._child.stdout, time.monotonic() + limit_s)


def _send(pipe: BinaryIO | Any, told: dict[str, Any], data: bytes) -> None:
    words = json.dumps(told).encode()
    pipe.write(_HEADER.pack(len(words), len(data)) + words)
    pipe.write(data)
    pipe.flush()


def _receive(pipe: BinaryIO | Any, until: float = float("inf")) -> tuple[dict[str, Any], bytes]:
    """The next message.

    Raises:
        TimeoutError: it did not come in time.
        EOFError: the other end is closed.
    """
    words, data = _HEADER.unpack(_read(pipe, _HEADER.size, until))
    if words + data > _MOST_BYTES:
        raise EOFError
    return json.loads(_read(pipe, words, until)), _read(pipe, data, until)


def _read(pipe: BinaryIO | Any, size: int, until: float) -> bytes:
    parts, left = [], size
    while left:
        wait_s = max(0.0, until - time.monotonic()) if until < float("inf") else None
        if not select.select([pipe], [], [], wait_s)[0]:
            raise TimeoutError
        part = os.read(pipe.fileno(), min(left, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _serve(memory_bytes: int) -> None:
    """The child: cuts out what it is given, until the caller is gone."""
    # On top of what the interpreter and the libraries have mapped.
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory_bytes, mapped + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    given, answers = io.FileIO(sys.stdin.fileno(), closefd=False), sys.stdout.buffer
    _send(answers, {}, b"")
    while True:
        wanted, data = _receive(given)
        told: dict[str, Any] = {"remedy": _AGAIN}
        try:
            made = cut_out(wanted["name"], data)
        except ModelError as error:
            told |= {"reason": error.reason, "remedy": error.remedy}
        except MemoryError:
            told["reason"] = f"reading it takes more than {memory_bytes >> 20} MiB of memory"
        except Exception as error:  # noqa: BLE001 -- this file's outcome, not the folder's
            told["reason"] = f"it cannot be read ({error!r})"
        if "reason" in told:
            _send(answers, told, b"")
            continue
        told = {name: value for name, value in vars(made).items() if name not in {"large", "sprite"}}
        _send(answers, told | {"large_bytes": len(made.large)}, made.large + made.sprite.tobytes())


if __name__ == "__main__":
    with contextlib.suppress(EOFError, BrokenPipeError):  # the caller is gone
        _serve(int(sys.argv[1]))
