"""The bytes of one recording: bounded in size and time, and hashed as they are read."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from typing import BinaryIO

from s2i_core.config import AudioConfig
from s2i_core.errors import DecodeError, LimitExceeded

_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Contents:
    """What identifies the bytes of a recording."""

    sha256: str
    size_bytes: int


class AudioSource:
    """A reader for a demuxer, which seeks at will, while the bytes are hashed in order.

    Bytes that the demuxer reads out of order or skips are read again by `contents`. Errors of the file are kept in
    `error`, because a demuxer may take them for the end of the file.

    Args:
        file: seekable; stays open, and its owner closes it.
        name: the recording's URI or path, for messages.
        config: `max_size_bytes` and `max_decode_s` are enforced here.

    Raises:
        DecodeError: there are no bytes.
        LimitExceeded: the file is larger than allowed.
    """

    def __init__(self, file: BinaryIO, name: str, config: AudioConfig) -> None:
        self.name = name
        self.size_bytes = file.seek(0, io.SEEK_END)
        self.error: Exception | None = None
        self._file = file
        self._limit_s = config.max_decode_s
        self._spent_s = 0.0
        self._running_since: float | None = time.monotonic()
        self._hash = hashlib.sha256()
        self._hashed = 0
        if self.size_bytes == 0:
            raise DecodeError(name, "the file is empty (0 bytes)", "Upload the recording again, or delete the file.")
        if self.size_bytes > config.max_size_bytes:
            raise LimitExceeded(
                name,
                f"its {self.size_bytes} bytes are more than the limit of {config.max_size_bytes}",
                "Split the recording, or raise audio.max_size_bytes.",
            )
        self._position = file.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from the current position; empty at the end.

        Raises:
            LimitExceeded: the time is up.
        """
        try:
            self.check_time()
            data = self._file.read(size)
        except Exception as error:
            self.error = self.error or error
            raise
        start, self._position = self._position, self._position + len(data)
        if start <= self._hashed < self._position:
            self._hash.update(memoryview(data)[self._hashed - start :])
            self._hashed = self._position
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves as `io.IOBase.seek` does."""
        try:
            self._position = self._file.seek(offset, whence)
        except Exception as error:
            # A demuxer that follows a damaged offset may ask for a position outside of the file: the data's fault.
            outside = whence == io.SEEK_SET and not 0 <= offset <= self.size_bytes
            if not (isinstance(error, ValueError | OSError | OverflowError) and outside):
                self.error = self.error or error
            raise
        return self._position

    def tell(self) -> int:
        """Current position."""
        return self._position

    def contents(self) -> Contents:
        """Digest and size of all the bytes; reads those that were not read in order.

        Raises:
            LimitExceeded: the time is up.
        """
        self.resume_clock()
        self.seek(self._hashed)
        while self.read(_READ_BYTES):
            pass
        self.pause_clock()
        return Contents(self._hash.hexdigest(), self._hashed)

    def check_time(self) -> None:
        """Raises `LimitExceeded` once reading and decoding took longer than allowed."""
        if self.spent_s > self._limit_s:
            raise time_is_up(self.name, self._limit_s)

    @property
    def spent_s(self) -> float:
        """Seconds on the clock, without those for which it was paused."""
        running = 0.0 if self._running_since is None else time.monotonic() - self._running_since
        return self._spent_s + running

    def pause_clock(self) -> None:
        """Stops the clock: while the consumer of the audio works or waits, the recording is not to blame."""
        self._spent_s, self._running_since = self.spent_s, None

    def resume_clock(self) -> None:
        """Starts the clock again."""
        self._running_since = time.monotonic()


def time_is_up(name: str, limit_s: float) -> LimitExceeded:
    """The error for a recording that takes longer than `max_decode_s`."""
    return LimitExceeded(
        name,
        f"reading and decoding took longer than {limit_s:g} s",
        "Split the recording, look for a slow store or a damaged file, or raise audio.max_decode_s.",
    )
