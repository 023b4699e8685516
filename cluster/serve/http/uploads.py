"""Uploads: the audio of a request within its limits, raw or as a form; no name that a client gave is ever used."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from cluster.serve.problems import Refusal
from cluster.serve.settings import Limits

FIELD = "audio"
_MAX_FIELDS = 16
_MAX_FIELD_BYTES = 4096
_MAX_HEADER_BYTES = 4096
_RAW = ("audio/", "video/")
_RAW_TYPES = ("application/ogg", "application/mp4", "application/x-matroska")
_UNKNOWN_TYPES = (
    "*/*",
    "application/octet-stream",
    "binary/octet-stream",
    "application/binary",
    "application/x-binary",
    "application/force-download",
    "application/x-download",
    "application/unknown",
)
"""What clients and stores say that don't know what they send: the content tells."""
_NAMED_FIELDS = 5

#: For the OpenAPI document.
RAW_TYPES = (
    "audio/wav",
    "audio/mpeg",
    "audio/mp4",
    "audio/flac",
    "audio/ogg",
    "audio/webm",
    "application/octet-stream",
)


async def chunks(request: Request, max_bytes: int, limits: Limits) -> AsyncIterator[bytes]:
    """The body in pieces, bounded in size and time.

    Raises:
        Refusal: it is packed, too large, too slow, or the client left in the middle of it.
    """
    if any(coding.strip().lower() not in {"", "identity"} for coding in request.headers.getlist("content-encoding")):
        message = "The body is compressed."
        raise Refusal(415, "unsupported_media_type", message, "Send it as it is, without Content-Encoding.")
    if int(request.headers.get("content-length") or 0) > max_bytes:
        raise _too_large(max_bytes)
    stream = request.stream()
    total = 0
    clock = asyncio.get_running_loop().time
    started = clock()
    while True:
        # Who trickles is as slow as who stops: what came so far allows for so long.
        allowed_s = min(limits.upload_s, limits.upload_idle_s + total / limits.upload_bytes_per_s)
        left = started + allowed_s - clock()
        try:
            chunk = await asyncio.wait_for(anext(stream, None), min(limits.upload_idle_s, max(left, 0.001)))
        except TimeoutError:
            message = "The upload stopped, or was too slow."
            raise Refusal(408, "upload_timeout", message, "Send it again over a faster connection.") from None
        except ClientDisconnect:
            message = "The upload broke off."
            raise Refusal(400, "incomplete_upload", message, "Send it again.") from None
        if chunk is None:
            return
        total += len(chunk)
        if total > max_bytes:
            raise _too_large(max_bytes)
        if chunk:
            yield chunk


@dataclass
class Form:
    """The fields of a form besides the audio, once it was read."""

    fields: dict[str, str] = field(default_factory=dict)


async def audio(request: Request, max_bytes: int, limits: Limits, form: Form) -> AsyncIterator[bytes]:
    """The audio of a request in pieces; afterwards `form` holds the other fields, if it came as a form.

    Raises:
        Refusal: as `chunks`; or it is neither audio nor a form, or a form without the field `audio`.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    media_type = kind.decode("latin-1").lower()
    if media_type == "multipart/form-data":
        async for chunk in _of_form(chunks(request, max_bytes + (1 << 16), limits), options.get(b"boundary"), form):
            yield chunk
    elif media_type.startswith(_RAW) or media_type in _RAW_TYPES or media_type in _UNKNOWN_TYPES:
        async for chunk in chunks(request, max_bytes, limits):
            yield chunk
    else:
        raise Refusal(
            415,
            "unsupported_media_type",
            "This is neither audio nor a form with audio.",
            "Send the audio with its Content-Type (audio/wav, audio/webm, ...), or multipart/form-data with the field "
            f"{FIELD}.",
        )


async def _of_form(body: AsyncIterator[bytes], boundary: bytes | None, form: Form) -> AsyncIterator[bytes]:
    """The field `audio` of a form, while it comes; the other fields are put into `form`."""
    if not boundary:
        raise _bad_form("it names no boundary")
    parts = _Parts(form)
    try:
        parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
        async for chunk in body:
            parser.write(chunk)
            for piece in parts.take():
                yield piece
        parser.finalize()
    except FormParserError:
        raise _bad_form("it is damaged") from None
    if not parts.ended:
        raise Refusal(400, "incomplete_upload", "The form breaks off before its end.", "Send it again.")
    if not parts.found:
        raise _bad_form(f"it has no field {FIELD}, only {_named(form.fields)}" if form.fields else "it has no fields")


class _Parts:
    """What the parser has found so far."""

    def __init__(self, form: Form) -> None:
        self.found = False
        self.ended = False
        self._form = form
        self._audio: list[bytes] = []
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._name = ""
        self._value = bytearray()

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._head(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._head(1, data[start:end]),
            "on_header_end": self._header_end,
            "on_part_data": lambda data, start, end: self._data(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._all,
        }

    def take(self) -> list[bytes]:
        pieces, self._audio = self._audio, []
        return pieces

    def _begin(self) -> None:
        self._name, self._value = "", bytearray()

    def _head(self, which: int, data: bytes) -> None:
        self._header[which].extend(data)
        if len(self._header[which]) > _MAX_HEADER_BYTES:
            raise _bad_form("a header is too long")

    def _header_end(self) -> None:
        name, value = bytes(self._header[0]).lower(), bytes(self._header[1])
        self._header = (bytearray(), bytearray())
        if name == b"content-disposition":
            self._name = parse_options_header(value)[1].get(b"name", b"").decode("utf-8", "replace")
            if self._name == FIELD:
                if self.found:
                    raise _bad_form(f"it has the field {FIELD} twice")
                self.found = True

    def _data(self, data: bytes) -> None:
        if self._name == FIELD:
            self._audio.append(bytes(data))
            return
        self._value.extend(data)
        if len(self._value) > _MAX_FIELD_BYTES:
            raise _bad_form(f"its field {_named([self._name])} is too long to be an option")

    def _end(self) -> None:
        if self._name == FIELD:
            return
        if not self._name or self._name in self._form.fields or len(self._form.fields) >= _MAX_FIELDS:
            raise _bad_form("a field has no name, or comes twice, or there are too many")
        self._form.fields[self._name] = self._value.decode("utf-8", "replace")

    def _all(self) -> None:
        self.ended = True


def _named(fields: Iterable[str]) -> str:
    """Names of fields, as far as they can be shown."""
    return ", ".join(repr(name[:40]) for name in itertools.islice(fields, _NAMED_FIELDS))


def _bad_form(why: str) -> Refusal:
    return Refusal(400, "bad_request", f"The form cannot be used: {why}.", f"Send the audio in the field {FIELD}.")


def _too_large(max_bytes: int) -> Refusal:
    message = f"The upload is larger than {max_bytes} bytes."
    return Refusal(413, "too_large", message, "Send a shorter clip; long recordings go to /v1/recordings.")
