"""What a file is, by its first bytes, if neither its name nor a content type tells."""

from __future__ import annotations

import re

SNIFF_BYTES = 8192
"""How many bytes `format_of` wants to see; fewer suffice if the file has no more."""

#: Signatures at the start of a file, from the registries of FFmpeg's demuxers and of IANA.
_STARTS = {
    b"ID3": "MP3",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"\x1aE\xdf\xa3": "Matroska",
    b"caff\x00": "CAF",
    b"#!AMR": "AMR",
    b"MAC ": "APE",
    b"wvpk": "WavPack",
    b"TTA1": "TTA",
    b"TTA2": "TTA",
    b"DSD ": "DSF",
    b"FLV\x01": "FLV",
    b"Creative Voice File\x1a": "VOC",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "ASF",
    b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb": "W64",
    b"\x00\x00\x01\xba": "MPEG",
}
_RIFF_STARTS = {b"RIFF", b"RF64", b"BW64", b"RIFX"}
_RIFF = {b"WAVE": "WAV", b"AVI ": "AVI"}
_PICTURES = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"jxl ", b"crx ")
"""Brands of files that are laid out like MP4 and hold pictures."""
_ATOMS = (b"moov", b"mdat", b"wide", b"pnot")
"""What old QuickTime files begin with, from before `ftyp` was invented."""
_AU_ENCODINGS = frozenset({*range(1, 8), *range(23, 28)})

_MPEG_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_MPEG_KBPS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_HZ = (44_100, 48_000, 32_000)
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


def format_of(head: bytes) -> str | None:
    """The usual name of the audio or video format whose files begin like this; None if there is none.

    Only decoding can tell whether the rest is intact. A stream of frames without a header of its own
    (MP3, ADTS AAC, AC-3) counts where a second frame follows the first, or the first is all there is.

    Args:
        head: the first `SNIFF_BYTES` bytes, or all there are.
    """
    return _by_signature(head) or _by_layout(head) or _by_frames(head)


def _by_signature(head: bytes) -> str | None:
    return next((name for start, name in _STARTS.items() if head.startswith(start)), None)


def _by_layout(head: bytes) -> str | None:
    """By the layout of files made of chunks, atoms and packets."""
    first, second, kind = head[:4], head[4:8], head[8:12]
    if first in _RIFF_STARTS:
        return _RIFF.get(kind)
    if first == b"FORM" and kind in {b"AIFF", b"AIFC"}:
        return "AIFF"
    if first == b".snd" and int.from_bytes(head[12:16], "big") in _AU_ENCODINGS:
        return "AU"
    after = _atom_after(head) if second in {b"free", b"skip"} else second
    if after in _ATOMS or (after == b"ftyp" and kind not in _PICTURES):
        return "MP4"
    if any(len(head) > 2 * size + at and set(head[at::size]) == {0x47} for size, at in ((188, 0), (192, 4))):
        return "MPEG-TS"
    return None


def _atom_after(head: bytes) -> bytes:
    start = int.from_bytes(head[:4], "big")
    return head[start + 4 : start + 8]


def _by_frames(head: bytes) -> str | None:
    """The name of a format that consists of frames only; players skip zeros before the first one."""
    start = len(head) - len(head.lstrip(b"\0"))
    for name, length in (("AC-3", _ac3_bytes), ("AAC", _adts_bytes), ("MP3", _mpeg_bytes)):
        size = length(head[start : start + 8])
        if size is None:
            continue
        end = start + size
        if end == len(head) or length(head[end : end + 8]):
            return name
    return None


def _mpeg_bytes(header: bytes) -> int | None:
    """Length of the MPEG audio frame (layer I to III) that starts here. Reference: ISO/IEC 11172-3, 2.4.1.3."""
    if len(header) < 4 or not _MPEG_SYNC.match(header):
        return None
    version = {3: 1.0, 2: 2.0, 0: 2.5}.get(header[1] >> 3 & 3)
    layer = 4 - (header[1] >> 1 & 3)
    rate, index = header[2] >> 2 & 3, header[2] >> 4
    if version is None or layer == 4 or rate == 3 or index in {0, 15}:
        return None
    row = (1, layer) if version == 1 else (2, 1 if layer == 1 else 2)
    bits_per_s = 1000 * _MPEG_KBPS[row][index]
    rate_hz = _MPEG_HZ[rate] // int(version if version < 2.5 else 4)
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12 * bits_per_s // rate_hz + padding) * 4
    return (72 if layer == 3 and version > 1 else 144) * bits_per_s // rate_hz + padding


def _adts_bytes(header: bytes) -> int | None:
    """Length of the AAC frame that starts here. Reference: ISO/IEC 13818-7, 6.2."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return None
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size > 7 else None


def _ac3_bytes(header: bytes) -> int | None:
    """Length of the (E-)AC-3 frame that starts here. Reference: ETSI TS 102 366, 5.3 and E.1.2."""
    if len(header) < 6 or header[:2] != b"\x0b\x77":
        return None
    kind = header[5] >> 3
    if 10 < kind <= 16:
        return 2 * (((header[2] & 7) << 8 | header[3]) + 1)
    rate, size = header[4] >> 6, header[4] & 63
    if kind > 16 or rate == 3 or size // 2 >= len(_AC3_KBPS):
        return None
    rate_hz = (48_000, 44_100, 32_000)[rate]
    words = 1000 * _AC3_KBPS[size // 2] * 1536 // rate_hz // 16
    return 2 * (words + (size & 1 if rate == 1 else 0))
