"""Chapters with pictures in a copy of an MP3, as ID3 frames CHAP and CTOC.

The tag is written anew, in version 2.3: several readers, FFmpeg's among them, lose chapters with pictures in 2.4. What
was in the old tag stays in it, other chapters aside; what follows the tag is copied byte for byte. Sources:
ID3 tag version 2.3.0 and 2.4.0, and "ID3v2 Chapter Frame Addendum v1.0", https://id3.org.
"""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from s2i_core.errors import DecodeError
from s2i_core.packs.episode import Chapter, Picture

_MOST_IN_TABLE = 255
"""A table of contents counts its entries in one byte."""
_MAX_TAG_BYTES = (1 << 28) - 1
_MAX_OLD_TAG_BYTES = 64 << 20
_CHAPTERS = {"CHAP", "CTOC"}
_OTHER_PICTURE = 0
_UTF16 = 1
_REMEDY = "Save its tag anew in version 2.3 with any tag editor."

# Version 2.2 has names of three letters; the frames are the same, pictures aside.
_NAMES_OF_2_2 = """
BUF:RBUF CNT:PCNT COM:COMM GEO:GEOB IPL:IPLS LNK:LINK MCI:MCDI MLL:MLLT POP:POPM SLT:SYLT STC:SYTC TAL:TALB
TBP:TBPM TCM:TCOM TCO:TCON TCP:TCMP TCR:TCOP TDA:TDAT TDY:TDLY TEN:TENC TFT:TFLT TIM:TIME TKE:TKEY TLA:TLAN
TLE:TLEN TMT:TMED TOA:TOPE TOF:TOFN TOL:TOLY TOR:TORY TOT:TOAL TP1:TPE1 TP2:TPE2 TP3:TPE3 TP4:TPE4 TPA:TPOS
TPB:TPUB TRC:TSRC TRD:TRDA TRK:TRCK TS2:TSO2 TSA:TSOA TSC:TSOC TSI:TSIZ TSP:TSOP TSS:TSSE TST:TSOT TT1:TIT1
TT2:TIT2 TT3:TIT3 TXT:TEXT TXX:TXXX TYE:TYER UFI:UFID ULT:USLT WAF:WOAF WAR:WOAR WAS:WOAS WCM:WCOM WCP:WCOP
WPB:WPUB WXX:WXXX PCS:PCST CAT:TCAT DES:TDES KWD:TKWD RVA:RVAD
"""
_OF_2_2 = dict(pair.split(":") for pair in _NAMES_OF_2_2.split())
# Where version 2.4 calls something by another name.
_OF_2_4 = {"TDOR": "TORY", "TIPL": "IPLS", "TMCL": "IPLS"}


@dataclass(frozen=True)
class Frame:
    """A frame of a tag, as version 2.3 has it.

    Attributes:
        name: four letters.
        body: what follows its header.
        flags: of the frame, version 2.3.
    """

    name: str
    body: bytes
    flags: int = 0

    def to_bytes(self) -> bytes:
        """The frame with its header."""
        return struct.pack(">4sIH", self.name.encode("latin-1"), len(self.body), self.flags) + self.body


def illustrate_mp3(source: BinaryIO, target: BinaryIO, chapters: Sequence[Chapter]) -> None:
    """Copy an MP3 with these chapters in its tag; chapters that it had are replaced.

    Pictures are read one after the other, so that a tag of any size takes little memory.

    Args:
        source: the MP3; seekable, read from its start.
        target: an empty file, seekable.
        chapters: in order of time; silent ones stand in no table of contents.

    Raises:
        DecodeError: the old tag can't be read, or the new one would be larger than a tag may be (256 MiB).
    """
    kept, audio_at = read_tag(source)
    target.write(bytes(10))
    for frame in kept:
        if frame.name not in _CHAPTERS:
            target.write(frame.to_bytes())
    names = [f"chp{number}" for number in range(1, len(chapters) + 1)]
    for frame in _tables([name for name, each in zip(names, chapters, strict=True) if not each.silent]):
        target.write(frame.to_bytes())
    said = ""
    for name, chapter in zip(names, chapters, strict=True):
        # Readers that do not know the table of contents list silent chapters too: with the title that still holds.
        said = chapter.title or said
        target.write(_chapter(name, chapter, said).to_bytes())
    size = target.tell() - 10
    if size > _MAX_TAG_BYTES:
        raise DecodeError("the MP3", f"its tag would have {size >> 20} MiB", "Take fewer or smaller pictures.")
    source.seek(audio_at)
    shutil.copyfileobj(source, target, 1 << 20)
    target.seek(0)
    target.write(b"ID3\x03\x00\x00" + _synchsafe(size))


def _tables(names: Sequence[str]) -> Iterator[Frame]:
    """The table of contents; of more entries than it can count, tables in tables."""
    if not names:
        return
    parts = [list(names[at : at + _MOST_IN_TABLE]) for at in range(0, len(names), _MOST_IN_TABLE)]
    if len(parts) == 1:
        yield _table("toc", parts[0], top=True)
        return
    if len(parts) > _MOST_IN_TABLE:
        raise DecodeError("the MP3", f"it would have {len(names)} chapters", "Take a selection with fewer.")
    yield _table("toc", [f"toc{number}" for number in range(1, len(parts) + 1)], top=True)
    for number, part in enumerate(parts, 1):
        yield _table(f"toc{number}", part, top=False)


def _table(name: str, entries: Sequence[str], *, top: bool) -> Frame:
    listed = b"".join(f"{entry}\0".encode() for entry in entries)
    return Frame("CTOC", f"{name}\0".encode() + bytes([0b11 if top else 0b01, len(entries)]) + listed)


def _chapter(name: str, chapter: Chapter, title: str) -> Frame:
    times = struct.pack(">4I", round(chapter.start_s * 1000), round(chapter.end_s * 1000), 0xFFFFFFFF, 0xFFFFFFFF)
    inner = Frame("TIT2", _text(title)).to_bytes() if title else b""
    inner += _picture(chapter.picture).to_bytes() if chapter.picture else b""
    return Frame("CHAP", f"{name}\0".encode() + times + inner)


def _picture(picture: Picture) -> Frame:
    head = b"\x00" + picture.media_type.encode() + b"\0" + bytes([_OTHER_PICTURE]) + b"\0"
    return Frame("APIC", head + picture.file.read_bytes())


def _text(text: str) -> bytes:
    """A text with its encoding in front: Latin-1 where it can be, otherwise UTF-16."""
    try:
        return b"\x00" + text.encode("latin-1")
    except UnicodeEncodeError:
        return bytes([_UTF16]) + b"\xff\xfe" + text.encode("utf-16-le")


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def _from_synchsafe(data: bytes) -> int:
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
    return number


def read_tag(file: BinaryIO) -> tuple[list[Frame], int]:
    """The frames of the tag at the start of a file, as version 2.3 has them, and where the audio begins.

    Raises:
        DecodeError: there is a tag that can't be read.
    """
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return [], 0
    version, flags, size = head[3], head[5], _from_synchsafe(head[6:])
    if version not in {2, 3, 4} or size > _MAX_OLD_TAG_BYTES:
        raise DecodeError("the MP3", f"its tag has version 2.{version} and {size >> 20} MiB", _REMEDY)
    data = file.read(size)
    if flags & 0x80 and version < 4:
        data = data.replace(b"\xff\x00", b"\xff")
    if flags & 0x40 and version > 2:  # an extended header; 2.4 counts its own four bytes
        data = data[_from_synchsafe(data[:4]) :] if version == 4 else data[4 + int.from_bytes(data[:4]) :]
    frames = list(_frames_2_2(data) if version == 2 else _frames(data, version))
    return frames, 10 + size + (10 if version == 4 and flags & 0x10 else 0)


def _frames_2_2(data: bytes) -> Iterator[Frame]:
    at = 0
    while at + 6 <= len(data) and data[at]:
        name, size = data[at : at + 3].decode("latin-1"), int.from_bytes(data[at + 3 : at + 6])
        body = data[at + 6 : at + 6 + size]
        at += 6 + size
        if name == "PIC" and len(body) > 5:
            kind = {b"PNG": b"image/png", b"JPG": b"image/jpeg"}.get(body[1:4], b"image/")
            yield Frame("APIC", body[:1] + kind + b"\0" + body[4:])
        elif name in _OF_2_2:
            yield Frame(_OF_2_2[name], body)


def _frames(data: bytes, version: int) -> Iterator[Frame]:
    at = 0
    while at + 10 <= len(data) and data[at]:
        name = data[at : at + 4].decode("latin-1")
        if not name.isalnum() or not name.isupper():
            return  # padding that is not empty, or what some other program left
        size = _size(data, at, version)
        flags = int.from_bytes(data[at + 8 : at + 10])
        body = data[at + 10 : at + 10 + size]
        at += 10 + size
        if version == 3:
            yield Frame(name, body, flags)
        else:
            yield from _from_2_4(name, body, flags)


def _size(data: bytes, at: int, version: int) -> int:
    """Size of a frame; old iTunes wrote those of version 2.4 as if they were of 2.3."""
    field = data[at + 4 : at + 8]
    usual = int.from_bytes(field)
    if version == 3 or usual < 0x80:
        return usual
    safe = _from_synchsafe(field)
    if any(byte & 0x80 for byte in field):
        return usual

    def ends_well(size: int) -> bool:
        following = data[at + 10 + size : at + 14 + size]
        return at + 10 + size == len(data) or following[:1] == b"\0" or (following.isalnum() and len(following) == 4)

    return safe if ends_well(safe) or not ends_well(usual) else usual


def _from_2_4(name: str, body: bytes, flags: int) -> Iterator[Frame]:
    """A frame of version 2.4 in terms of 2.3."""
    if flags & 0x04:  # encrypted: only who has the key can read it, and 2.3 marks it in another way
        yield Frame(name, body[4:] if flags & 0x01 else body, 0x0040)
        return
    if flags & 0x40:  # a group's number, of which 2.3 makes no other use either
        body = body[1:]
    if flags & 0x01:
        body = body[4:]
    if flags & 0x02:
        body = body.replace(b"\xff\x00", b"\xff")
    if flags & 0x08:
        try:
            body = zlib.decompressobj().decompress(body, _MAX_OLD_TAG_BYTES)
        except zlib.error:
            return
    if name == "TDRC":
        yield from _date(_decoded(body))
        return
    yield Frame(_OF_2_4.get(name, name), _recoded(name, body))


def _date(text: str) -> Iterator[Frame]:
    """`2024-05-01T12:30:00` as version 2.3 has it: year, day and month, time."""
    if text[:4].isdigit():
        yield Frame("TYER", _text(text[:4]))
    if len(text) >= 10:
        yield Frame("TDAT", _text(text[8:10] + text[5:7]))
    if len(text) >= 16:
        yield Frame("TIME", _text(text[11:13] + text[14:16]))


def _decoded(body: bytes) -> str:
    codecs = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}
    return body[1:].decode(codecs.get(body[0] if body else 0, "latin-1"), "replace").strip("\0")


# How many bytes follow the encoding before the first text, and how many texts there are before the data; the last text
# of a frame with no data has no end.
_TEXTS = {"COMM": (3, 2), "USLT": (3, 2), "TXXX": (0, 2), "WXXX": (0, 1), "USER": (3, 1)}


def _recoded(name: str, body: bytes) -> bytes:
    """The body with its text in an encoding of version 2.3, which knows neither UTF-8 nor UTF-16 without a mark."""
    if not body or body[0] not in {2, 3}:
        return body
    codec, end = ("utf-8", b"\0") if body[0] == 3 else ("utf-16-be", b"\0\0")

    def as_utf16(text: bytes) -> bytes:
        return b"\xff\xfe" + text.decode(codec, "replace").encode("utf-16-le")

    if name == "APIC":
        kind, _, rest = body[1:].partition(b"\0")
        described, data = _until(rest[1:], end)
        return bytes([_UTF16]) + kind + b"\0" + rest[:1] + as_utf16(described) + b"\0\0" + data
    if name in _TEXTS:
        before, texts = _TEXTS[name]
        rest, parts = body[1 + before :], []
        for number in range(texts):
            text, rest = _until(rest, end) if number + 1 < texts or name == "WXXX" else (rest, b"")
            parts.append(as_utf16(text))
        joined = b"\0\0".join(parts) + (b"\0\0" + rest if name == "WXXX" else b"")
        return bytes([_UTF16]) + body[1 : 1 + before] + joined
    if name.startswith("T") or name in {"IPLS", "TIPL", "TMCL"}:
        return bytes([_UTF16]) + as_utf16(body[1:].rstrip(b"\0") if body[0] == 3 else body[1:])
    return body


def _until(data: bytes, end: bytes) -> tuple[bytes, bytes]:
    """What stands before the end mark, and what follows it."""
    at = 0
    while at <= len(data) - len(end):
        if data[at : at + len(end)] == end:
            return data[:at], data[at + len(end) :]
        at += len(end)
    return data, b""
