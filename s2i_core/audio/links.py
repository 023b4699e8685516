"""Files that are several recordings one after the other: chained Ogg, and WAV, FLAC and MP3 files put together.

FFmpeg opens the first of them. It stops where the next begins, or takes its header for sound, or takes its sound for
that of the first. So each is opened by itself, as a file that ends where the next one's header begins.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from s2i_core.audio.source import AudioSource

Find = Callable[[bytes, int], int]
"""Where the next header begins in some bytes, from a place on; -1 where none does."""

_MARK_BYTES = 64
"""No mark is longer."""
_READ_BYTES = 1 << 16
# The first page of a stream (RFC 3533, 6: the flag 0x02), with the name of its codec; a later one has not the flag.
_OGG_FIRST = re.compile(
    rb"OggS\x00[\x02\x06].{20}\x01.(?:OpusHead|\x01vorbis|\x7fFLAC|Speex   |\x80theora|fishead\x00)", re.DOTALL
)
_OGG_LATER = re.compile(rb"OggS\x00[\x00\x01\x04\x05]")
_WAV = re.compile(rb"RIFF.{4}WAVE(?:fmt |JUNK|bext|LIST)", re.DOTALL)
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_ID3 = re.compile(rb"ID3[\x02-\x04]\x00[\x00\x10\x20\x40\x60\x80\xa0\xc0\xe0][\x00-\x7f]{4}")


class Link:
    """One of the recordings in a file, as a file for a demuxer.

    Args:
        source: the whole file.
        start: where the recording begins.
        find: looks for the next one's header.
    """

    def __init__(self, source: AudioSource, start: int, find: Find) -> None:
        self.next_start: int | None = None
        """Where the next recording begins, once that was met."""
        self._source = source
        self._start = start
        self._find = find
        self._at = start
        self._held = b""
        self._searched = start + _tags(source, start) + len(b"OggS")

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; empty where the next recording begins."""
        size = _READ_BYTES if size < 0 else size
        if self.next_start is None:
            # A mark may begin in these bytes and end in the next, so some more are looked at.
            while (missing := size + _MARK_BYTES - len(self._held)) > 0:
                self._source.seek(self._at + len(self._held))
                new = self._source.read(missing)
                if not new:
                    break
                self._held += new
            self._search()
        else:
            self._source.seek(self._at)
            self._held = self._source.read(max(0, min(size, self.next_start - self._at)))
        if self.next_start is not None:
            self._held = self._held[: max(0, self.next_start - self._at)]
        data, self._held = self._held[:size], self._held[size:]
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves as `io.IOBase.seek` does."""
        base = {io.SEEK_SET: self._start, io.SEEK_CUR: self._at}.get(whence)
        if base is None:
            base = self._source.size_bytes if self.next_start is None else self.next_start
        if base + offset < self._start:
            raise ValueError("seek to a place before the start")
        self._at, self._held = base + offset, b""
        return self.tell()

    def tell(self) -> int:
        """Current position."""
        return self._at - self._start

    def pass_over(self) -> None:
        """Reads what nobody wanted, until the next recording or the end."""
        self.seek(max(0, min(self._at, self._searched) - self._start))
        while self.next_start is None and self.read(_READ_BYTES):
            pass

    def _search(self) -> None:
        """Only what passes in order is searched: a demuxer that looks at a file's end meets no mark there."""
        until = self._at + len(self._held)
        if self._at <= self._searched < until:
            found = self._find(self._held, self._searched - self._at)
            if found >= 0:
                self.next_start = self._at + found
            self._searched = max(self._searched, until - _MARK_BYTES)


def first_link(source: AudioSource, head: bytes) -> Link | None:
    """The first recording of a file in a format whose files are put together; None for all others.

    Args:
        source: the file; where it stands afterwards is not said.
        head: its first 16 bytes.
    """
    if head.startswith(b"OggS"):
        return Link(source, 0, _OggFinder())
    if head.startswith(b"fLaC"):
        return Link(source, 0, _finder(_FLAC))
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return Link(source, 0, _finder(_WAV)) if _may_hold_another(source, head) else None
    source.seek(_tags(source, 0))
    sync = source.read(2)
    # The last bits of an MP3 frame's sync tell its layer; ADTS AAC has zeros there, and may have many tags in it.
    if len(sync) == 2 and sync[0] == 0xFF and sync[1] >= 0xE0 and sync[1] & 0x06:
        return Link(source, 0, _finder(_ID3))
    return None


def next_link(source: AudioSource, link: Link) -> Link | None:
    """The recording after one that was read, or given up; None after the last."""
    link.pass_over()
    if link.next_start is None:
        return None
    find = _OggFinder() if isinstance(link._find, _OggFinder) else link._find
    return Link(source, link.next_start, find)


class _OggFinder:
    """Streams that sound together all begin before the first of their later pages."""

    def __init__(self) -> None:
        self._begun = False

    def __call__(self, data: bytes, start: int) -> int:
        if not self._begun:
            later = _OGG_LATER.search(data, start)
            if later is None:
                return -1
            self._begun, start = True, later.start()
        found = _OGG_FIRST.search(data, start)
        return found.start() if found else -1


def _finder(mark: re.Pattern[bytes]) -> Find:
    literal = {_WAV: b"RIFF", _FLAC: b"fLaC", _ID3: b"ID3"}[mark]

    def find(data: bytes, start: int) -> int:
        # Faster than the expression, and what follows the letters by chance is rare.
        while (start := data.find(literal, start)) >= 0:
            if mark.match(data, start):
                return start
            start += 1
        return -1

    return find


def _tags(source: AudioSource, start: int) -> int:
    """Length of the ID3 tags at the start, whose pictures and texts may hold any bytes."""
    length = 0
    while True:
        source.seek(start + length)
        head = source.read(10)
        if not _ID3.match(head):
            return length
        length += 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _may_hold_another(source: AudioSource, head: bytes) -> bool:
    """Whether a WAV file's length says less than there is, or nothing, as that of a recorder that crashed."""
    length = int.from_bytes(head[4:8], "little")
    return not source.size_bytes - 8 <= length < 0xFFFFFF00
