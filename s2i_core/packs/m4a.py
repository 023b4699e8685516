"""Chapters with pictures in a copy of an M4A or an MP4: a track of titles and one of pictures, beside the sound.

FFmpeg copies the packets of the sound and writes the titles; what it does not do is done on the boxes of the file
afterwards: the sound refers to the track of pictures as chapters too, the file's own metadata (cover, freeform tags,
podcast tags) comes back whole, and what a player needs first comes first. Sources: ISO/IEC 14496-12, and "Chapter
lists" in Apple's QuickTime File Format.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

from s2i_core.errors import DecodeError
from s2i_core.packs.episode import Chapter

_MS = Fraction(1, 1000)
_MAX_MOOV_BYTES = 512 << 20
_BLOCK_BYTES = 1 << 20
_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"tref"}
_REMEDY = "Check that the recording is a whole M4A or MP4."


def illustrate_m4a(source: BinaryIO, target: Path, chapters: Sequence[Chapter], name: str = "the recording") -> None:
    """Copy the sound of an M4A or MP4 with these chapters and their pictures.

    Args:
        source: the recording; seekable.
        target: the file to write.
        chapters: in order of time.
        name: of the recording, for messages.

    Raises:
        DecodeError: it can't be read, or its sound can't be in an M4A.
    """
    with tempfile.TemporaryDirectory(prefix="s2i-m4a-") as folder:
        plain = Path(folder) / "plain.m4a"
        try:
            _remux(source, plain, chapters)
        except (av.FFmpegError, ValueError) as error:
            raise DecodeError(name, f"its sound cannot be copied into an M4A: {error}", _REMEDY) from error
        with plain.open("rb") as file, target.open("wb") as out:
            _finish(file, out, source_meta(source), any(each.picture for each in chapters))


def _remux(source: BinaryIO, target: Path, chapters: Sequence[Chapter]) -> None:
    source.seek(0)
    # "ipod" is the muxer of M4A; it takes no track of pictures, which "mp4" does.
    with av.open(source, "r") as given, av.open(str(target), "w", format="mp4") as made:
        sound = given.streams.audio[0]
        track = made.add_stream_from_template(sound)
        shown = [each for each in chapters if each.picture]
        pictures = made.add_mux_stream("mjpeg", rate=1000, **_size(shown), time_base=_MS) if shown else None
        made.set_chapters([_titled(number, each) for number, each in enumerate(chapters) if each.title])
        waiting = iter(shown)
        following = next(waiting, None)
        for packet in given.demux(sound):
            if packet.dts is None:
                continue
            assert packet.time_base is not None
            at_s = float(packet.dts * packet.time_base)
            while pictures is not None and following is not None and following.start_s <= at_s:
                made.mux(_shown(following, pictures))
                following = next(waiting, None)
            packet.stream = track
            made.mux(packet)
        while pictures is not None and following is not None:
            made.mux(_shown(following, pictures))
            following = next(waiting, None)


def _size(chapters: Sequence[Chapter]) -> dict[str, int]:
    first = chapters[0].picture
    assert first is not None
    return {"width": first.width_px, "height": first.height_px}


def _titled(number: int, chapter: Chapter) -> av.container.core.Chapter:
    return {
        "id": number,
        "start": round(chapter.start_s * 1000),
        "end": round(chapter.end_s * 1000),
        "time_base": _MS,
        "metadata": {"title": chapter.title},
    }


def _shown(chapter: Chapter, track: av.stream.Stream) -> av.Packet:
    assert chapter.picture is not None
    packet = av.Packet(chapter.picture.file.read_bytes())
    packet.stream = track
    packet.time_base = _MS
    packet.pts = packet.dts = round(chapter.start_s * 1000)
    packet.duration = max(1, round((chapter.end_s - chapter.start_s) * 1000))
    packet.is_keyframe = True
    return packet


@dataclass
class Box:
    """A box of the file, with its type and either the boxes in it or its contents."""

    kind: bytes
    body: bytes | list[Box]

    @classmethod
    def read(cls, kind: bytes, body: bytes) -> Box:
        """The box and, for those that hold others, what they hold."""
        if kind not in _CONTAINERS:
            return cls(kind, body)
        return cls(kind, [cls.read(inner, content) for inner, content in _inside(body)])

    def to_bytes(self) -> bytes:
        """The box with its header."""
        body = self.body if isinstance(self.body, bytes) else b"".join(each.to_bytes() for each in self.body)
        return struct.pack(">I4s", len(body) + 8, self.kind) + body

    def all(self, *path: bytes) -> list[Box]:
        """Boxes below this one, by the types on the way to them."""
        if not path:
            return [self]
        inner = self.body if isinstance(self.body, list) else []
        return [found for each in inner if each.kind == path[0] for found in each.all(*path[1:])]

    @property
    def data(self) -> bytes:
        """Contents of a box that holds no others."""
        assert isinstance(self.body, bytes)
        return self.body


def _inside(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(body):
        size, kind = struct.unpack_from(">I4s", body, at)
        if size == 0 or size < 8 or at + size > len(body):
            return
        yield kind, body[at + 8 : at + size]
        at += size


def _top(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and size of the boxes of a file, headers included."""
    file.seek(0, 2)
    end, at = file.tell(), 0
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = struct.unpack(">Q", file.read(8))[0]
        size = size or end - at
        if size < 8 or at + size > end:
            return
        yield kind, at, size
        at += size


def _moov(file: BinaryIO) -> Box | None:
    for kind, start, size in _top(file):
        if kind == b"moov" and size <= _MAX_MOOV_BYTES:
            file.seek(start + 8)
            return Box.read(b"moov", file.read(size - 8))
    return None


def source_meta(file: BinaryIO) -> Box | None:
    """The metadata of an MP4 as it stands in the file: `moov/udta/meta`; None if there is none."""
    moov = _moov(file)
    found = moov.all(b"udta", b"meta") if moov else []
    return found[0] if found else None


def _finish(file: BinaryIO, out: BinaryIO, meta: Box | None, pictured: bool) -> None:
    """Write the file anew: `moov` in front, with the references of the sound and the metadata of the source."""
    moov = _moov(file)
    assert moov is not None
    if pictured:
        _refer_to_pictures(moov)
    if meta is not None:
        _put_meta(moov, meta)
    boxes = [(kind, start, size) for kind, start, size in _top(file) if kind != b"moov"]
    before = 0
    for kind, start, size in boxes:
        if kind != b"ftyp":
            continue
        file.seek(start)
        # FFmpeg's MP4 by the name of an M4A, which some players go by.
        out.write(file.read(8) + b"M4A " + file.read(size - 8)[4:])
        before += size
    # Everything behind ftyp moves by the size of moov, which the offsets in it do not change.
    shift = len(moov.to_bytes()) + before - min((start for kind, start, _ in boxes if kind != b"ftyp"), default=0)
    _move(moov, shift)
    out.write(moov.to_bytes())
    for kind, start, size in boxes:
        if kind != b"ftyp":
            file.seek(start)
            for at in range(0, size, _BLOCK_BYTES):
                out.write(file.read(min(_BLOCK_BYTES, size - at)))


def _track_id(trak: Box) -> int:
    header = trak.all(b"tkhd")[0].data
    return int(struct.unpack_from(">I", header, 20 if header[0] else 12)[0])


def _kind(trak: Box) -> bytes:
    return trak.all(b"mdia", b"hdlr")[0].data[8:12]


def _refer_to_pictures(moov: Box) -> None:
    """Name the track of pictures among the chapters of the sound, and keep players from showing it as a film."""
    tracks = moov.all(b"trak")
    sound = next(each for each in tracks if _kind(each) == b"soun")
    pictures = next(each for each in tracks if _kind(each) == b"vide")
    assert isinstance(sound.body, list) and isinstance(pictures.body, list)
    number = struct.pack(">I", _track_id(pictures))
    chap = sound.all(b"tref", b"chap")
    if chap:
        chap[0].body = chap[0].data + number
    else:
        sound.body.append(Box(b"tref", [Box(b"chap", number)]))
    pictures.body = [each for each in pictures.body if each.kind != b"tref"]
    header = pictures.all(b"tkhd")[0]
    header.body = header.data[:3] + bytes([header.data[3] & ~1]) + header.data[4:]  # not enabled


def _put_meta(moov: Box, meta: Box) -> None:
    assert isinstance(moov.body, list)
    udta = moov.all(b"udta")
    if not udta:
        moov.body.append(Box(b"udta", [meta]))
        return
    assert isinstance(udta[0].body, list)
    udta[0].body = [*(each for each in udta[0].body if each.kind != b"meta"), meta]


def _move(moov: Box, shift: int) -> None:
    """Move the offsets of all chunks."""
    for trak in moov.all(b"trak"):
        for kind, width, letter in ((b"stco", 4, "I"), (b"co64", 8, "Q")):
            for table in trak.all(b"mdia", b"minf", b"stbl", kind):
                count = struct.unpack_from(">I", table.data, 4)[0]
                offsets = struct.unpack_from(f">{count}{letter}", table.data, 8)
                if width == 4 and offsets and max(offsets) + shift >= 1 << 32:
                    raise DecodeError("the recording", "the copy would pass 4 GiB", "Take smaller pictures.")
                table.body = table.data[:8] + struct.pack(f">{count}{letter}", *(each + shift for each in offsets))
