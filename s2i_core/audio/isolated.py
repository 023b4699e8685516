"""Decoding in a process of its own, which may crash, hang or exhaust its memory without harming the caller.

FFmpeg reads whatever somebody has uploaded. Here it runs in a child that has no login, no network and no file: it asks
the caller for the bytes it wants, and hands back samples. Both speak over one socket, in messages of a kind (one byte),
a length (eight) and a body; what comes from the child is never unpickled.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from s2i_core import processes
from s2i_core.audio.decode import CHUNK_S, UNREADABLE, AudioInfo, Decoder, decode
from s2i_core.audio.source import Contents, time_is_up
from s2i_core.config import AudioConfig, DecoderConfig
from s2i_core.errors import DecodeError, LimitExceeded, S2IError
from s2i_core.sized_file import SizedFile

START_LIMIT_S = 120
"""Longest wait for the interpreter to start, on a busy machine."""
FILES_PER_PROCESS = 256
"""Then the child is replaced: what FFmpeg leaks over damaged files must not count against a good one."""

_HEADER = struct.Struct("!cQ")
_RANGE = struct.Struct("!QQ")
_READ_BYTES = 1 << 20
_CHUNKS_A_MESSAGE = 8
"""Each message wakes the other process, which takes longer than to copy it."""
_MOST_BYTES = 1 << 26
# From the caller.
_OPEN, _DATA, _STOP = b"O", b"D", b"X"
# From the child.
_READY, _READ, _INFO, _AUDIO, _END, _ERROR = b"S", b"R", b"I", b"A", b"F", b"E"


class DecoderProcess:
    """A child that decodes one file after another; started when it is needed, and again after it died.

    For one thread. Close it, or use it as a context manager.
    """

    def __init__(self, config: DecoderConfig) -> None:
        self._config = config
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._files = 0

    def decode(self, file: BinaryIO, name: str, config: AudioConfig) -> IsolatedDecoder:
        """Like `audio.decode.decode`, with the same samples and errors.

        Raises:
            DecodeError: also where the decoder crashed, ran out of memory or CPU time, or made no progress.
        """
        if self._child is None or self._child.poll() is not None or self._files >= FILES_PER_PROCESS:
            self.close()
            self._start()
        self._files += 1
        return IsolatedDecoder(self, file, name, config)

    @property
    def pid(self) -> int | None:
        """Process id of the child; None while there is none."""
        return None if self._child is None else self._child.pid

    def close(self) -> None:
        """Ends the child, whatever it does."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        if self._socket is not None:
            self._socket.close()
        self._child = self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def send(self, kind: bytes, body: bytes, name: str) -> None:
        """Sends a message to the child that works on `name`."""
        assert self._socket is not None
        try:
            _send(self._socket, kind, body)
        except OSError as error:
            raise self._died(name) from error

    def receive(self, name: str, limit_s: float | None = None) -> tuple[bytes, memoryview]:
        """Waits for the child's next message.

        Raises:
            DecodeError: it died, or says nothing for longer than the limit, and was ended.
        """
        assert self._socket is not None
        limit_s = limit_s or self._config.stall_s
        self._socket.settimeout(limit_s)
        try:
            return _receive(self._socket)
        except TimeoutError as error:
            self.close()
            raise DecodeError(name, f"the decoder made no progress for {limit_s:g} s", UNREADABLE) from error
        except (OSError, EOFError) as error:
            raise self._died(name) from error

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        # The child gets no login and no setting of ours: what it needs comes by the socket.
        names = ("PATH", "LD_LIBRARY_PATH", "LANG", processes.MARK)
        kept = {name: os.environ[name] for name in names if name in os.environ}
        places = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        environment = {**kept, "PYTHONPATH": places, "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", __spec__.name, str(theirs.fileno()), str(self._config.memory_bytes)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        self._socket = ours
        self._files = 0
        kind, _ = self.receive("the decoder", START_LIMIT_S)
        assert kind == _READY

    def _died(self, name: str) -> DecodeError:
        assert self._child is not None
        try:
            code = self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = 0
        self.close()
        killed = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        if code == -signal.SIGXCPU:
            return DecodeError(name, "the decoder ran out of CPU time", "Split it, or raise audio.max_decode_s.")
        died = DecodeError(name, f"the decoder crashed ({killed})", UNREADABLE)
        # The machine may have killed it, for want of memory.
        died.transient = code == -signal.SIGKILL
        return died


class IsolatedDecoder:
    """Iterate once, as a `Decoder`. A decoder that is left half-way ends its process."""

    def __init__(self, process: DecoderProcess, file: BinaryIO, name: str, config: AudioConfig) -> None:
        self.samples = 0
        """Samples yielded so far, at 16 kHz."""
        self.damage: str | None = None
        """What was wrong with a file that was usable nevertheless; complete after the last chunk."""
        self.tracks: str | None = None
        """What each of several audio tracks holds, and which were used; None if there is only one."""
        self._process = process
        self._file = file
        self._name = name
        self._contents: Contents | None = None
        self._read_error: Exception | None = None
        self._limit_s = config.max_decode_s
        self._chunk = CHUNK_S * config.sampling_rate_hz
        self._spent_s = 0.0
        self._answered = False
        """Whether the child is done with the file, and can take the next."""
        wanted = {"name": name, "size_bytes": file.seek(0, io.SEEK_END), "config": config.model_dump()}
        process.send(_OPEN, json.dumps(wanted).encode(), name)
        _, body = self._next(_INFO)
        self.info = AudioInfo(**json.loads(bytes(body)))

    def close(self) -> None:
        """Frees the file, which stays open; a child that was left half-way is ended."""
        if not self._answered:
            self._process.close()

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        try:
            while True:
                kind, body = self._next(_AUDIO, _END)
                if kind == _END:
                    break
                samples = np.frombuffer(body, np.float32)
                for start in range(0, len(samples), self._chunk):
                    chunk = samples[start : start + self._chunk]
                    self.samples += len(chunk)
                    yield chunk
            end = json.loads(bytes(body))
            self._answered = True
            self.damage, self.tracks = end["damage"], end["tracks"]
            self._contents = Contents(end["sha256"], end["size_bytes"])
        finally:
            self.close()

    def contents(self) -> Contents:
        """Digest and size of the file's bytes; known after the last chunk."""
        if self._contents is None:
            raise RuntimeError("take all chunks before you ask for the contents")
        return self._contents

    def _next(self, *wanted: bytes) -> tuple[bytes, memoryview]:
        """The next message of the wanted kinds; until it comes, the child is given what it asks to read.

        Only the time in here counts against the recording, not that of whoever takes the chunks.
        """
        began = time.monotonic()
        while True:
            if self._spent_s + time.monotonic() - began > self._limit_s:
                self._process.close()
                raise time_is_up(self._name, self._limit_s)
            kind, body = self._process.receive(self._name)
            if kind == _READ:
                self._read(*_RANGE.unpack(body))
            elif kind == _ERROR:
                told = json.loads(bytes(body))
                self._answered = not told["last"]
                raise self._read_error or _error(self._name, told)
            elif kind in wanted:
                self._spent_s += time.monotonic() - began
                return kind, body
            else:
                self._process.close()
                raise DecodeError(self._name, "the decoder crashed (it sent what makes no sense)", UNREADABLE)

    def _read(self, start: int, size: int) -> None:
        try:
            self._file.seek(start)
            data = self._file.read(min(size, _MOST_BYTES))
        except Exception as error:  # noqa: BLE001 -- raised again once the child has let go of the file
            self._read_error = error
            self._process.send(_STOP, b"", self._name)
            return
        self._process.send(_DATA, data, self._name)


Decode = Callable[[BinaryIO, str, AudioConfig], Decoder | IsolatedDecoder]
"""Opens a file for decoding: `audio.decode.decode` in this process, or `DecoderProcess.decode`."""


def _error(name: str, told: dict[str, Any]) -> S2IError:
    kinds = {"LimitExceeded": LimitExceeded, "DecodeError": DecodeError}
    return kinds.get(told["error"], DecodeError)(name, told["reason"], told["remedy"])


# What follows avoids copies: half of the work on a WAV is handing its samples on.


def _send(end: socket.socket, kind: bytes, *body: bytes | memoryview) -> None:
    """Sends the parts of the body, end to end, in one message."""
    parts = [memoryview(_HEADER.pack(kind, sum(map(len, body)))), *(memoryview(part) for part in body)]
    sent = end.sendmsg(parts)
    for part in parts:
        if sent < len(part):
            end.sendall(part[sent:])
        sent = max(0, sent - len(part))


def _receive(end: socket.socket) -> tuple[bytes, memoryview]:
    kind, length = _receive_head(end)
    body = np.empty(length, np.uint8).data  # not cleared, as a bytearray would be
    _fill(end, body)
    return kind, body


def _receive_head(end: socket.socket) -> tuple[bytes, int]:
    header = bytearray(_HEADER.size)
    _fill(end, memoryview(header))
    kind, length = _HEADER.unpack(header)
    if length > _MOST_BYTES:
        raise EOFError
    return kind, length


def _fill(end: socket.socket, view: memoryview) -> None:
    while view:
        received = end.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]


class _RemoteFile(SizedFile):
    """In the child: the file, whose bytes the caller reads."""

    def __init__(self, end: socket.socket, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self._end = end

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size_bytes:
            return 0
        _send(self._end, _READ, _RANGE.pack(self._position, len(buffer)))
        kind, length = _receive_head(self._end)
        if kind != _DATA or length > len(buffer):
            raise OSError("the caller cannot read the file")
        _fill(self._end, memoryview(buffer).cast("B")[:length])
        self._position += length
        return length


def _serve(end: socket.socket, memory_bytes: int) -> None:
    """The child: decodes what it is asked to, until the caller is gone."""
    # On top of what the interpreter and the libraries have mapped.
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory_bytes, mapped + memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _send(end, _READY, b"")
    while True:
        kind, body = _receive(end)
        assert kind == _OPEN
        wanted = json.loads(bytes(body))
        # Not validated again; and a page's sound has another rate than the settings allow for speech.
        config = AudioConfig.model_construct(**wanted["config"])
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = int(usage.ru_utime + usage.ru_stime + config.max_decode_s) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        told = {"error": "DecodeError", "remedy": UNREADABLE, "last": False}
        try:
            # The caller keeps the time: it knows when this process only waits for it.
            timeless = config.model_copy(update={"max_decode_s": math.inf})
            _decode(end, wanted["name"], wanted["size_bytes"], timeless)
            continue
        except S2IError as error:
            told |= {"error": type(error).__name__, "reason": error.reason, "remedy": error.remedy}
        except MemoryError:
            told |= {"reason": f"decoding it takes more than {memory_bytes >> 20} MiB of memory", "last": True}
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:  # noqa: BLE001 -- the caller decides what becomes of it
            told |= {"reason": f"the decoder failed ({error!r})"}
        _send(end, _ERROR, json.dumps(told).encode())
        if told["last"]:
            return


def _decode(end: socket.socket, name: str, size_bytes: int, config: AudioConfig) -> None:
    file = io.BufferedReader(_RemoteFile(end, size_bytes), buffer_size=_READ_BYTES)
    with decode(file, name, config) as decoder:
        info = {field: getattr(decoder.info, field) for field in AudioInfo.__dataclass_fields__}
        _send(end, _INFO, json.dumps(info).encode())
        chunks: list[memoryview] = []
        for chunk in decoder:
            chunks.append(np.ascontiguousarray(chunk).view(np.uint8).data)
            if len(chunks) == _CHUNKS_A_MESSAGE:
                _send(end, _AUDIO, *chunks)
                chunks.clear()
        _send(end, _AUDIO, *chunks)
        contents = decoder.contents()
    told = {
        "damage": decoder.damage,
        "tracks": decoder.tracks,
        "sha256": contents.sha256,
        "size_bytes": contents.size_bytes,
    }
    _send(end, _END, json.dumps(told).encode())


if __name__ == "__main__":
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the caller is gone
        _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
