"""Files that are several recordings one after the other: chained Ogg, and files of most other formats put together.

FFmpeg opens the first of them. It stops where the next one begins, or takes its header for sound, or its sound for
that of the first. So each is opened by itself, as a file that ends where the next one's header begins.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from s2i_core.audio import mp4
from s2i_core.audio.source import AudioSource

Find = Callable[[bytes, int], int]
"""Finds where the next header begins in some bytes, from a position on; -1 if none does."""

_MARK_BYTES = 64
"""No mark is longer."""
_READ_BYTES = 1 << 16
# The first page of a stream (RFC 3533, 6: the flag 0x02), with the name of its codec; later ones lack the flag.
_OGG_FIRST = re.compile(
    rb"OggS\x00[\x02\x06].{20}\x01.(?:OpusHead|\x01vorbis|\x7fFLAC|Speex   |\x80theora|fishead\x00)", re.DOTALL
)
_OGG_LATER = re.compile(rb"OggS\x00[\x00\x01\x04\x05]")
_WAV = re.compile(rb"RIFF.{4}WAVE(?:fmt |JUNK|bext|LIST)", re.DOTALL)
#: The first bytes of files in other formats, long enough not to occur by chance.
_BEGINNINGS = {
    b"fLaC": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"),
    b"\x1a\x45\xdf\xa3": re.compile(rb"\x1a\x45\xdf\xa3.{1,40}?\x42\x82.{1,8}?(?:matroska|webm)", re.DOTALL),
    b"FORM": re.compile(rb"FORM.{4}AIF[FC](?:COMM|FVER|MARK|INST|NAME|AUTH|ANNO|COMT|ID3 |CHAN)", re.DOTALL),
    b"caff": re.compile(rb"caff\x00\x01..desc\x00{7}\x20", re.DOTALL),
    b".snd": re.compile(rb"\.snd\x00\x00.{6}\x00\x00\x00[\x01-\x1b]\x00.{3}\x00\x00\x00[\x01-\x20]", re.DOTALL),
    b"riff": re.compile(rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"),
    b"FLV\x01": re.compile(rb"FLV\x01[\x00-\x05]\x00\x00\x00\x09\x00{4}"),
    b"TTA1": re.compile(rb"TTA1[\x01\x02]\x00[\x01-\x20]\x00"),
    b"#!AMR": re.compile(rb"#!AMR(?:-WB)?\n"),
    b"\x30\x26\xb2\x75": re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
}
# WavPack numbers samples: the very first block has the number 0.
_WAVPACK_FIRST = re.compile(rb"wvpk.{4}[\x02-\x10]\x04\x00.{5}\x00{4}", re.DOTALL)
_WAVPACK_LATER = re.compile(rb"wvpk.{4}[\x02-\x10]\x04\x00.{5}(?!\x00{4})", re.DOTALL)
_ID3 = re.compile(rb"ID3[\x02-\x04]\x00[\x00\x10\x20\x40\x60\x80\xa0\xc0\xe0][\x00-\x7f]{4}")


class Link:
    """One of the recordings in a file, as a file for a demuxer.

    Args:
        source: the whole file.
        start: where the recording begins.
        find: looks for the next one's header.
        next_start: where the next one begins, if that is known.
    """

    def __init__(self, source: AudioSource, start: int, find: Find, next_start: int | None = None) -> None:
        self.next_start = next_start
        """Where the next recording begins, once that was reached."""
        self._source = source
        self._start = start
        self._find = find
        self._at = start
        self._held = b""
        self._searched = start + _tags(source, start) + len(b"OggS")

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; empty where the next recording begins."""
        if self._at >= self._source.size_bytes:
            return b""
        size = _READ_BYTES if size < 0 else size
        if self.next_start is None:
            # A mark may begin in these bytes and end in the next ones, so some more are read.
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

    @property
    def at(self) -> int:
        """Current position in the whole file."""
        return self._at

    def pass_over(self) -> None:
        """Reads on to the next recording or the end, whatever was left unread."""
        self.seek(max(0, min(self._at, self._searched) - self._start))
        while self.next_start is None and self.read(_READ_BYTES):
            pass

    def _search(self) -> None:
        """Searches only what is read in order: a demuxer that looks at a file's end must not find a mark there."""
        until = self._at + len(self._held)
        if self._at <= self._searched < until:
            found = self._find(self._held, self._searched - self._at)
            if found >= 0:
                self.next_start = self._at + found
            self._searched = max(self._searched, until - _MARK_BYTES)


def first_link(source: AudioSource, head: bytes) -> Link | None:
    """The first recording of a file in a format whose files may be concatenated; None for all others.

    Args:
        source: the file; its position afterwards is undefined.
        head: its first bytes, 16 or more.
    """
    if head[4:8] == b"ftyp":
        following = mp4.next_file(source, 0, source.size_bytes)
        return None if following is None else Link(source, 0, _nowhere, following)
    if head.startswith(b"OggS"):
        return Link(source, 0, _LaterFinder(_OGG_LATER, _OGG_FIRST))
    if head.startswith(b"wvpk"):
        return Link(source, 0, _LaterFinder(_WAVPACK_LATER, _WAVPACK_FIRST))
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return Link(source, 0, _finder(b"RIFF", _WAV)) if _may_hold_another(source, head) else None
    source.seek(_tags(source, 0))
    sync = source.read(2)
    # The last bits of an MP3 frame's sync give its layer; ADTS AAC has zeros there, and may have many tags in it.
    mpeg = len(sync) == 2 and sync[0] == 0xFF and sync[1] >= 0xE0 and sync[1] & 0x06
    found = (b"ID3", _ID3) if mpeg else next((each for each in _BEGINNINGS.items() if head.startswith(each[0])), None)
    return None if found is None else Link(source, 0, _finder(*found))


def next_link(source: AudioSource, link: Link) -> Link | None:
    """The recording after one that was read or given up; None after the last."""
    link.pass_over()
    if link.next_start is None or link.next_start >= source.size_bytes:
        return None
    find = link._find.anew() if isinstance(link._find, _LaterFinder) else link._find
    following = mp4.next_file(source, link.next_start, source.size_bytes) if find is _nowhere else None
    return Link(source, link.next_start, find, source.size_bytes if find is _nowhere and not following else following)


class _LaterFinder:
    """Looks for a first page or block after a later one: streams that sound together all begin before that."""

    def __init__(self, later: re.Pattern[bytes], first: re.Pattern[bytes]) -> None:
        self._later, self._first = later, first
        self._begun = False

    def anew(self) -> _LaterFinder:
        """The same, for the next recording."""
        return _LaterFinder(self._later, self._first)

    def __call__(self, data: bytes, start: int) -> int:
        if not self._begun:
            later = self._later.search(data, start)
            if later is None:
                return -1
            self._begun, start = True, later.start()
        found = self._first.search(data, start)
        return found.start() if found else -1


def _nowhere(data: bytes, start: int) -> int:
    """MP4 files say where they end."""
    return -1


def _finder(literal: bytes, mark: re.Pattern[bytes]) -> Find:
    def find(data: bytes, start: int) -> int:
        # Faster than the expression alone, as the letters rarely occur by chance.
        while (start := data.find(literal, start)) >= 0:
            if mark.match(data, start):
                return start
            start += 1
        return -1

    return find


def _tags(source: AudioSource, start: int) -> int:
    """Length of the ID3 tags at the start, whose pictures and texts may contain any bytes."""
    length = 0
    while True:
        source.seek(start + length)
        head = source.read(10)
        if not _ID3.match(head):
            return length
        length += 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _may_hold_another(source: AudioSource, head: bytes) -> bool:
    """Whether a WAV file's header states less than there is, or nothing, as after a recorder's crash."""
    length = int.from_bytes(head[4:8], "little")
    return not source.size_bytes - 8 <= length < 0xFFFFFF00
