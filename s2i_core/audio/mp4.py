"""The boxes of an MP4 or QuickTime file: where another file begins, and whether edit lists change what is played.

The edit lists are those of ISO/IEC 14496-12, 8.6.5 and 8.6.6. FFmpeg keeps the position of every packet of such a file
in memory. To play edit lists exactly it keeps them twice, which for ten hours of audio takes some 50 MB more. Nearly
all lists only skip the codec's first samples, which needs no second copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

_MOST_BOXES = 256
"""Limit on the boxes of one level; no recording has more."""
_ALMOST_S = 1.0
"""What a list may skip at the start and the end: a codec's first and last samples are far shorter."""


class Seekable(Protocol):
    """What is needed of a file."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of any file."""


def plays_whole(file: Seekable, size_bytes: int) -> bool:
    """Whether every track is played from its start to its end, at normal speed.

    Only the heads of boxes and a few numbers are read. Anything damaged or unusual counts as no.

    Args:
        file: seekable; its position afterwards is undefined.
        size_bytes: its length.
    """
    try:
        [(start, end)] = [(start, end) for kind, start, end in _boxes(file, 0, size_bytes) if kind == b"moov"]
        parts = list(_boxes(file, start, end))
        [movie] = [_rate_and_length(file, start) for kind, start, _ in parts if kind == b"mvhd"]
        tracks = [(start, end) for kind, start, end in parts if kind == b"trak"]
        return all(_track_plays_whole(file, start, end, movie[0]) for start, end in tracks)
    except (KeyError, ValueError, ZeroDivisionError):
        return False


def next_file(file: Seekable, start: int, size_bytes: int) -> int | None:
    """Where the second of several concatenated files begins; None if there is only one.

    Only the heads of boxes are read, as far as they make sense.

    Args:
        file: seekable; its position afterwards is undefined.
        start: of the first file.
        size_bytes: of all files together.
    """
    met = set()
    with contextlib.suppress(ValueError):
        for kind, body, _ in _boxes(file, start, size_bytes):
            if kind == b"ftyp" and b"moov" in met:
                # A size of 64 bits is for what is larger than any `ftyp`.
                return body - 8
            met.add(kind)
    return None


def _track_plays_whole(file: Seekable, start: int, end: int, movie_hz: int) -> bool:
    places = {kind: (body, stop) for kind, body, stop in _boxes(file, start, end)}
    if b"edts" not in places:
        return True
    [(edits, _)] = [(body, stop) for kind, body, stop in _boxes(file, *places[b"edts"]) if kind == b"elst"]
    [media] = [_rate_and_length(file, body) for kind, body, _ in _boxes(file, *places[b"mdia"]) if kind == b"mdhd"]
    version, count = _numbers(file, edits, 1, 3, 4)[::2]
    if count != 1:
        return False
    wide = 8 if version == 1 else 4
    played, first, speed = _numbers(file, edits + 8, wide, wide, 4)
    media_hz, media_length = media
    left_out_s = media_length / media_hz - played / movie_hz
    # A length of zero means the whole, if it was not known in advance. Speeds are fixed-point, 16.16.
    return first / media_hz < _ALMOST_S and (played == 0 or abs(left_out_s) < _ALMOST_S) and speed == 1 << 16


def _rate_and_length(file: Seekable, body: int) -> tuple[int, int]:
    """Time scale and duration of an `mvhd` or `mdhd`."""
    [version] = _numbers(file, body, 1)
    wide = 8 if version == 1 else 4
    rate_hz, length = _numbers(file, body + 4 + 2 * wide, 4, wide)
    return rate_hz, length


def _boxes(file: Seekable, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the body of each box between two places.

    Raises:
        ValueError: they do not fill the space exactly, or are too many.
    """
    for _ in range(_MOST_BOXES):
        if start == end:
            return
        [size] = _numbers(file, start, 4)
        kind, body = _exactly(file, 4), start + 8
        if size == 1:
            [size] = _numbers(file, body, 8)
            body += 8
        stop = end if size == 0 else start + size
        if not body <= stop <= end:
            raise ValueError("a box reaches beyond its own")
        yield kind, body, stop
        start = stop
    raise ValueError("too many boxes")


def _numbers(file: Seekable, at: int, *widths: int) -> list[int]:
    """Unsigned big-endian integers of these widths in bytes."""
    file.seek(at)
    return [int.from_bytes(_exactly(file, width), "big") for width in widths]


def _exactly(file: Seekable, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file ends in the middle of a box")
    return data
