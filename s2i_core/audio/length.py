"""How long a recording is: from its header if that says so, otherwise from its size and a few short reads.

Recorders that stream (browsers, radio, phones) write no length, because they do not know it when they begin.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av

_HEADER_BYTES = 32 << 20
_PROBE_BYTES = 256 << 10
_PROBES = (0.33, 0.66, 1.0)
_TAIL_BYTES = 1 << 20
_OGG_TAIL_BYTES = 128 << 10  # a page has 65,307 bytes at most
_RATE_PACKETS = 1000
_GAP_S = 10.0

#: Streams without a header: a demuxer assumes the rate of the first frames for all of them.
_RAW = {"aac", "ac3", "eac3", "mp3", "amr", "amrnb", "amrwb", "flac", "loas"}
#: An MPEG audio file states its number of frames in the first of them, or nowhere.
_FRAMES_TOLD = (b"Xing", b"Info", b"VBRI")
_CLUSTER, _TIMECODE_SCALE, _TIMECODE = b"\x1f\x43\xb6\x75", b"\x2a\xd7\xb1", 0xE7
_OGG_PAGE = b"OggS"


@dataclass(frozen=True)
class Length:
    """Seconds of audio; None if neither the header nor the bytes tell.

    Attributes:
        estimated: whether it comes from size and bit rate, because no header states it.
    """

    seconds: float | None
    estimated: bool = False


def length(file: BinaryIO, size_bytes: int) -> Length:
    """The length of a recording, from its header and, for some formats, a few stretches of it.

    Args:
        file: seekable; only some of it is read, whatever it claims to hold.
        size_bytes: of the whole file.

    Raises:
        av.error.FFmpegError: it cannot be opened: it is not audio that we know.
    """
    with av.open(_Head(file), mode="r", metadata_errors="ignore") as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            return Length(None)
        told = _told(container, stream)
        name = container.format.name
        first = _packets(container, stream)
    if name in _RAW and not (told and _tells_frames(file, name)):
        return _by_rate(size_bytes, first, [*_probes(file, name, size_bytes, first), first]) or Length(told)
    if name == "ogg" and _chained(file, size_bytes):
        return _by_rate(size_bytes, first, [first]) or Length(told)
    stamp_s = _last_cluster(file, size_bytes, first) if not told and name.startswith("matroska") else None
    if told or stamp_s is None:
        return Length(told) if told else _by_rate(size_bytes, first, [first]) or Length(None)
    return Length(stamp_s, estimated=True)


@dataclass(frozen=True)
class _Stretch:
    """Some consecutive packets: where they begin in the file, how many bytes they take, and how long they last."""

    start: int
    size_bytes: int
    seconds: float

    @property
    def bytes_per_s(self) -> float:
        return self.size_bytes / self.seconds if self.seconds > 0 else 0.0


def _told(container: Any, stream: Any) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        told = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        told = container.duration / 1_000_000
    else:
        return None
    return told if told > 0 else None


def _packets(container: Any, stream: Any) -> _Stretch:
    """The first packets: the bytes of all streams, the time of the audio."""
    start, end, seconds = None, 0, 0.0
    before_s, number = None, 0
    taken = 0
    with contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux():
            if not packet.size:
                continue
            taken += packet.size
            if packet.pos is not None and packet.pos >= 0:
                start = packet.pos if start is None else start
                end = max(end, packet.pos + packet.size)
            if packet.stream.index == stream.index and packet.pts is not None and packet.time_base is not None:
                at_s = float(packet.pts * packet.time_base)
                step_s = 0.0 if before_s is None else at_s - before_s
                # Where another file begins, its time begins anew.
                seconds += step_s if 0 < step_s < _GAP_S else float((packet.duration or 0) * packet.time_base)
                before_s = at_s
                number += 1
            if number >= _RATE_PACKETS or taken >= _PROBE_BYTES:
                break
    spanned = end - start if start is not None else 0
    return _Stretch(start or 0, max(taken, spanned), seconds)


def _by_rate(size_bytes: int, first: _Stretch, stretches: list[_Stretch]) -> Length | None:
    seconds = sum(each.seconds for each in stretches)
    taken = sum(each.size_bytes for each in stretches)
    if seconds <= 0 or taken <= 0:
        return None
    return Length((size_bytes - first.start) * seconds / taken, estimated=True)


def _probes(file: BinaryIO, name: str, size_bytes: int, first: _Stretch) -> Iterator[_Stretch]:
    """Stretches further on, because the beginning of a recording is often quieter than the rest."""
    if size_bytes - first.start < 4 * _PROBE_BYTES:
        return
    header = b""
    if name == "flac":  # its frames cannot be read without the block that says what they are
        file.seek(0)
        block = file.read(42)
        header = block[:4] + bytes([block[4] | 0x80]) + block[5:]
    for share in _PROBES:
        file.seek(first.start + int(share * (size_bytes - first.start - _PROBE_BYTES)))
        some = io.BytesIO(header + file.read(_PROBE_BYTES))
        with contextlib.suppress(av.error.FFmpegError), av.open(some, mode="r", format=name) as container:
            sizes, seconds = 0, 0.0
            for packet in container.demux(audio=0):
                if packet.size and packet.duration and packet.time_base is not None:
                    sizes += packet.size
                    seconds += float(packet.duration * packet.time_base)
            if seconds > 0:
                yield _Stretch(0, sizes, seconds)


def _tells_frames(file: BinaryIO, name: str) -> bool:
    """Whether the header of such a file states the length; a FLAC's always does."""
    if name != "mp3":
        return name == "flac"
    file.seek(0)
    start = file.read(10)
    if start[:3] == b"ID3":
        file.seek(10 + sum((byte & 0x7F) << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=True)))
    else:
        file.seek(0)
    frame = file.read(256)
    return any(mark in frame for mark in _FRAMES_TOLD)


def _chained(file: BinaryIO, size_bytes: int) -> bool:
    """Whether an Ogg file is several files in a row, of which the demuxer states the length of one."""
    file.seek(0)
    head = file.read(_OGG_TAIL_BYTES)
    file.seek(max(0, size_bytes - _OGG_TAIL_BYTES))
    tail = file.read(_OGG_TAIL_BYTES)
    begun = {head[at + 14 : at + 18] for at in _pages(head) if head[at + 5] & 2}
    last = [tail[at + 14 : at + 18] for at in _pages(tail)]
    # In a short file, a second beginning after pages of the first also shows it.
    later = [at for at in _pages(tail) if tail[at + 5] & 2 and size_bytes - len(tail) + at > 0]
    first_data = next((at for at in _pages(head) if not head[at + 5] & 2), len(head))
    return any(each not in begun for each in last) or any(size_bytes - len(tail) + at > first_data for at in later)


def _pages(data: bytes) -> Iterator[int]:
    at = data.find(_OGG_PAGE)
    while at >= 0 and at + 27 <= len(data):
        yield at
        at = data.find(_OGG_PAGE, at + 4)


def _last_cluster(file: BinaryIO, size_bytes: int, first: _Stretch) -> float | None:
    """The end of a Matroska or WebM file: the time stamp of its last cluster, and the rest estimated by its bytes."""
    file.seek(0)
    head = file.read(64 << 10)
    scale_ns = 1_000_000
    if (at := head.find(_TIMECODE_SCALE)) >= 0 and at + 4 < len(head):
        width = head[at + 3] & 0x7F
        scale_ns = int.from_bytes(head[at + 4 : at + 4 + width]) or scale_ns
    start = max(0, size_bytes - _TAIL_BYTES)
    file.seek(start)
    tail = file.read(_TAIL_BYTES)
    at = tail.rfind(_CLUSTER)
    while at >= 0:
        size_width = 9 - tail[at + 4].bit_length() if at + 4 < len(tail) and tail[at + 4] else 0
        inner = at + 4 + size_width
        if size_width and inner + 2 < len(tail) and tail[inner] == _TIMECODE:
            width = tail[inner + 1] & 0x7F
            stamp_s = int.from_bytes(tail[inner + 2 : inner + 2 + width]) * scale_ns / 1e9
            rest_s = (len(tail) - at) / first.bytes_per_s if first.bytes_per_s else 0.0
            return stamp_s + rest_s
        at = tail.rfind(_CLUSTER, 0, at)
    return None


class _Head:
    """A file of which only the first `_HEADER_BYTES` are read, whatever it claims to hold."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _HEADER_BYTES
        self.name = getattr(file, "name", "")

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def seekable(self) -> bool:
        return True
