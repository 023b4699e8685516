"""The rows that travel between the stages, as Arrow schemas, with small parts as JSON.

Between stages travel log-mel features, embeddings and facts: never waveforms or image objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from s2i_core.audio.listen import Heard
from s2i_core.records import IMAGES, SCENES, Failure, ImageSample, Thing
from s2i_core.steps import Planned

OBJECTS = pa.schema(
    [
        ("row", pa.int64()),
        ("bucket", pa.string()),
        ("key", pa.string()),
        ("etag", pa.string()),
        ("size_bytes", pa.int64()),
    ]
)
"""Recordings to plan; from here on `row` identifies the recording."""

_UTTERANCE = [("row", pa.int64()), ("index", pa.int32()), ("start_s", pa.float64()), ("end_s", pa.float64())]

HEARD = pa.schema([*_UTTERANCE, ("features", pa.binary()), ("end", pa.string())])
"""An utterance (`features`: float16 from the frontend), or, with `end` (JSON `End`), the statement that a recording has
`index` of them."""

_THINGS = pa.list_(
    pa.struct(
        [
            ("title", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("confidence", pa.float32()),
            ("vector", pa.binary()),
        ]
    )
)

ENCODED = pa.schema(
    [
        *_UTTERANCE,
        ("tokens", pa.binary()),
        ("token_width", pa.int32()),
        ("extras", pa.binary()),
        ("pooled", pa.binary()),
        ("confidence", pa.float32()),
        ("speech_share", pa.float32()),
        ("things", _THINGS),
        ("failure", pa.string()),
        ("end", pa.string()),
        ("node", pa.string()),
    ]
)
"""Like `HEARD`, with the embedding (float16 tokens `(K, C)`, extras as in `scenes`, float32 pooled `(E,)`; the things
that are named, each with its float16 vector `(E,)`) or a `failure` (JSON).

`node`: the Ray node that did the work.
"""

PLANNED = pa.schema([SCENES.field(column.name) for column in fields(Planned)])
"""What the drawing stage needs from a row of `scenes`."""

DRAWN = pa.schema([*IMAGES, ("adopted", pa.bool_()), ("failure", pa.string()), ("node", pa.string())])
"""A row for `images`, or, if only `scene_id` is set, a `failure` (JSON). `node`: the Ray node that did the work."""


@dataclass(frozen=True)
class End:
    """How a recording ended: read to its end, or failed."""

    heard: Heard | None = None
    failure: Failure | None = None


Message = TypeVar("Message", End, Failure, ImageSample)
_MESSAGES: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (End, Failure, ImageSample)}


def to_json(message: End | Failure | ImageSample) -> str:
    """For a column, or for the metadata of an image object: ASCII."""
    return _MESSAGES[type(message)].dump_json(message, ensure_ascii=True).decode()


def from_json(kind: type[Message], text: str) -> Message:
    """Back from `to_json`.

    Raises:
        ValueError: that did not write it.
    """
    return _MESSAGES[kind].validate_json(text)  # type: ignore[no-any-return]


def things_cell(things: Sequence[Thing]) -> list[dict[str, Any]]:
    """For the column `things`."""
    return [vars(thing) | {"vector": np.asarray(thing.vector, "<f2").tobytes()} for thing in things]


def things_of(cell: Sequence[Mapping[str, Any]]) -> list[Thing]:
    """Back from the column `things`."""
    return [Thing(**{**each, "vector": array(each["vector"], np.float16, (-1,))}) for each in cell]


def table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table; columns that a row lacks are null."""
    return pa.table({name: [row.get(name) for row in rows] for name in schema.names}, schema=schema)


def array(data: bytes, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """Little-endian bytes as a writable array.

    Raises:
        ValueError: the length does not fit the shape, or a value is not finite.
    """
    values = np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape).astype(dtype)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    return values
