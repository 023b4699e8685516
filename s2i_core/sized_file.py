"""A read-only file of known size whose bytes are elsewhere: position and seeking, and nothing else."""

from __future__ import annotations

import io


class SizedFile(io.RawIOBase):
    """What readers of remote bytes share; a subclass provides `readinto`.

    Args:
        size_bytes: of the whole.
    """

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As for any file; beyond the end there is nothing to read.

        Raises:
            ValueError: the position is before the start.
        """
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"seek to {base + offset}, before the start")
        self._position = base + offset
        return self._position
