"""The rows that travel between the stages, as Arrow schemas, and their small parts as JSON.

Between stages travel log-mel features, embeddings and facts: never waveforms or image objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

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
"""Recordings to plan; `row` stands for the recording from here on."""

_UTTERANCE = [("row", pa.int64()), ("index", pa.int32()), ("start_s", pa.float64()), ("end_s", pa.float64())]

HEARD = pa.schema([*_UTTERANCE, ("features", pa.binary()), ("end", pa.string())])
"""An utterance (`features`: float16 as the frontend gives them), or, with `end` (JSON `End`), that a recording has
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
"""As `HEARD`, with the embedding (float16 tokens `(K, C)`, extras as in `scenes`, float32 pooled `(E,)`; what
is named, each with its float16 vector `(E,)`) or a `failure` (JSON).

`node`: the Ray node that did the work.
"""

PLANNED = pa.schema([SCENES.field(column.name) for column in fields(Planned)])
"""What the drawing stage needs of a row of `scenes`."""

DRAWN = pa.schema([*IMAGES, ("adopted", pa.bool_()), ("failure", pa.string()), ("node", pa.string())])
"""A row for `images`, or, where only `scene_id` is set, a `failure` (JSON). `node`: the Ray node that did the work."""


@dataclass(frozen=True)
class End:
    """How a recording ended: heard, or failed."""

    heard: Heard | None = None
    failure: Failure | None = None


_END = TypeAdapter(End)
_FAILURE = TypeAdapter(Failure)
_IMAGE = TypeAdapter(ImageSample)


def end_json(end: End) -> str:
    """For the column `end`."""
    return _END.dump_json(end).decode()


def end_of(json: str) -> End:
    """Back from the column `end`."""
    return _END.validate_json(json)


def failure_json(failure: Failure) -> str:
    """For a column `failure`."""
    return _FAILURE.dump_json(failure).decode()


def failure_of(json: str) -> Failure:
    """Back from a column `failure`."""
    return _FAILURE.validate_json(json)


def image_json(image: ImageSample) -> str:
    """For the metadata of an image object: ASCII."""
    return _IMAGE.dump_json(image, ensure_ascii=True).decode()


def image_of(json: str) -> ImageSample:
    """Back from the metadata of an image object.

    Raises:
        ValueError: it is not what `image_json` wrote.
    """
    return _IMAGE.validate_json(json)


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
    """Little-endian bytes as an array that may be written to.

    Raises:
        ValueError: the length does not fit the shape, or a value is not finite.
    """
    values = np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape).astype(dtype)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    return values
