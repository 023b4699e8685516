"""What can be said of a file: whether a picture was made here, of what, and whether it was changed since."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from s2i_core.errors import ConfigError
from s2i_core.provenance import credentials, watermark
from s2i_core.provenance.authority import Keys
from s2i_core.provenance.credentials import Credentials, Origin, State
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import Place

_TYPES = {"JPEG": "image/jpeg", "WEBP": "image/webp", "PNG": "image/png"}
_SUFFIXES = {".jpg", ".jpeg", ".webp", ".png"}
_MAX_BYTES = 64 << 20
_MAX_PIXELS = 64_000_000


class Verdict(StrEnum):
    """What a file is."""

    GENUINE = "genuine"
    """Signed by an authority that counts, and not changed since."""
    CHANGED = "changed"
    """It has credentials that do not fit: the file was changed after it was signed."""
    UNTRUSTED = "untrusted"
    """It has credentials of an authority that does not count; what they say proves nothing."""
    MARKED = "marked"
    """It has no credentials, but the watermark: made here, and saved again or cropped by somebody."""
    UNKNOWN = "unknown"
    """Nothing in it says that it was made here."""
    UNREADABLE = "unreadable"
    """No picture that can be read, or a larger one than is looked at."""


@dataclass(frozen=True)
class Finding:
    """What was found in one file.

    Attributes:
        name: path or address.
        verdict: what it is.
        signer: who signed, as the certificate has it; empty without credentials.
        development: whether a development authority signed: any machine can make one.
        watermark: whether the mark is in it.
        origin: what it was made from, by its credentials; to be believed where they are genuine.
        reason: why it can't be read.
    """

    name: str
    verdict: Verdict
    signer: str = ""
    development: bool = False
    watermark: bool = False
    origin: Origin | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def verify(data: bytes, name: str, keys: Keys) -> Finding:
    """What can be said of a file; whatever it holds, there is a finding."""
    try:
        with Image.open(io.BytesIO(data), formats=list(_TYPES)) as opened:
            media_type = _TYPES[str(opened.format)]
            if opened.width * opened.height > _MAX_PIXELS:
                raise ValueError(f"it has {opened.width} × {opened.height} pixels")
            pixels = np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Finding(name, Verdict.UNREADABLE, reason=str(error))
    found = credentials.read(data, media_type, keys.anchors)
    marked = bool(keys.watermark) and watermark.detect(pixels, keys.watermark) >= watermark.FOUND_Z
    if found is None:
        return Finding(name, Verdict.MARKED if marked else Verdict.UNKNOWN, watermark=marked)
    return Finding(name, _verdict(found), found.signer, found.development, marked, found.origin)


def _verdict(found: Credentials) -> Verdict:
    known = {State.TRUSTED: Verdict.GENUINE, State.UNTRUSTED: Verdict.UNTRUSTED, State.CHANGED: Verdict.CHANGED}
    if found.state == State.TRUSTED and found.origin is None:
        return Verdict.UNKNOWN  # somebody's picture, whose authority counts here, but none of ours
    return known[found.state]


def verify_place(place: str, keys: Keys) -> Iterator[Finding]:
    """The findings of a file, of all pictures of a folder, or of those under an address in object storage.

    Raises:
        ConfigError: there is no such file or folder, or no picture in it.
        StorageError: the bucket can't be read.
    """
    count = 0
    for name, size, read in _files(place):
        count += 1
        if size > _MAX_BYTES:
            yield Finding(name, Verdict.UNREADABLE, reason=f"it has {size >> 20} MiB")
        else:
            yield verify(read(), name, keys)
    if not count:
        raise ConfigError(place, "there is no picture", "Give a picture, a folder, or s3://bucket/folder with some.")


def _files(place: str) -> Iterator[tuple[str, int, Any]]:
    """Name, size and how to read each picture."""
    if place.startswith("s3://"):
        found = Place.of(place)
        store = ObjectStore(S3Settings.from_env())
        store.check_readable(found.bucket, found.name)
        for item in store.within(found):
            if item.key == found.name or Path(item.key).suffix.lower() in _SUFFIXES:
                yield item.uri, item.size_bytes, lambda item=item: store.get(item.bucket, item.key)
        return
    path = Path(place)
    if not path.exists():
        raise ConfigError(place, "there is no such file or folder", "Correct the path.")
    several = path.is_dir()
    for each in sorted(path.rglob("*")) if several else [path]:
        if each.is_file() and (not several or each.suffix.lower() in _SUFFIXES):
            yield str(each), each.stat().st_size, each.read_bytes
