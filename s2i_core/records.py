"""The nouns of s2i, and the Arrow schemas of the tables that they are stored in.

Column names carry their unit (`start_s`, `size_bytes`, `compute_ms`). Times within a recording are seconds from its
start; points in time are UTC.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from s2i_core.errors import S2IError

if TYPE_CHECKING:
    import numpy as np
    import torch

Int32: TypeAlias = Annotated[int, pa.int32()]
Float32: TypeAlias = Annotated[float, pa.float32()]


class Status(StrEnum):
    """The one outcome of a row."""

    OK = "ok"
    SKIPPED = "skipped"
    FAILED = "failed"


class Skip(StrEnum):
    """Why a recording or a scene was left out on purpose."""

    SILENCE = "silence"
    NO_SPEECH = "no_speech"
    """Sound in which no speech was found: music, noise."""
    BELOW_CONFIDENCE = "below_confidence"
    DUPLICATE = "duplicate"
    """The same bytes were planned under another key."""
    REJECTED = "rejected"
    """An editor leaves the scene out: a row of `edits` says so, never one of `scenes`."""


class Stage(StrEnum):
    """Where a failure happened."""

    LIST = "list"
    READ = "read"
    DECODE = "decode"
    ENCODE = "encode"
    PLAN = "plan"
    GENERATE = "generate"
    WRITE = "write"
    PUBLISH = "publish"


@dataclass(frozen=True)
class AudioObject:
    """An object of the archive, as the listing gave it."""

    bucket: str
    key: str
    etag: str
    size_bytes: int
    archived: str = ""
    """The storage class from which it must be restored before it can be read; empty where the listing names none."""

    @property
    def uri(self) -> str:
        """`s3://bucket/key`, unescaped."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Segment:
    """A stretch of speech between two pauses. `waveform`: float32 `(T,)`, mono at the model's rate."""

    start_s: float
    end_s: float
    waveform: np.ndarray

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Gap:
    """A stretch without speech. `kind`: `Skip.SILENCE`, or `Skip.NO_SPEECH` for music and noise."""

    start_s: float
    end_s: float
    kind: Skip

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Thing:
    """Something that is named in a recording.

    Attributes:
        title: of the nearest entry of what is listened for.
        start_s, end_s: when it is named.
        confidence: how probable it is that this is named there, 0 to 1.
        vector: of that entry, in the space shared with images, float16 `(E,)`.
    """

    title: str
    start_s: float
    end_s: float
    confidence: float
    vector: np.ndarray | None = dataclasses.field(default=None, repr=False, compare=False)


SHOWN_THINGS = "things"
"""Name of the extra that has the vectors of what a picture is to show."""
NAMED = "named"
"""Name of the extra that says how surely each of these was named, 0 to 1, and when in the recording, in seconds."""


@dataclass(frozen=True)
class Box:
    """A rectangle in a picture, as shares of its width and height: left edge, top edge, width, height."""

    x: Float32
    y: Float32
    w: Float32
    h: Float32


@dataclass(frozen=True)
class Shown:
    """A thing in a picture: drawings of one kind in one colour."""

    thing: str
    """The concept, by which a library knows it."""
    title: str
    """What the drawing is called by those who made it."""
    count: Int32
    """How many of it there are."""
    colour: str | None
    """The colour that it was given; None for its own."""
    box: Box
    """The smallest that holds all of them."""
    source: str
    """The set that the drawing comes from."""
    author: str | None
    """Who made it."""
    licence: str
    """Of the drawing: its SPDX identifier, or `own`."""
    url: str | None
    """Where the drawing can be found."""
    confidence: Float32 | None
    """How probable it is that it was named, 0 to 1; None where nobody asked."""
    start_s: float | None
    """From when in the recording it is named."""


@dataclass(frozen=True)
class Contents:
    """What a picture shows, as far as its decoder knows.

    Attributes:
        things: what lies in it, the surest first.
        setting: the place: a name of the decoder's.
        time_of_day: `day`, `sunset` or `night`; None where no sky is seen.
    """

    things: tuple[Shown, ...]
    setting: str | None = None
    time_of_day: str | None = None


@dataclass(frozen=True)
class SpeechEmbedding:
    """What the speech encoder and the projection make of B utterances.

    Attributes:
        tokens: condition tokens `(B, K, C)`.
        pooled: vector in the space shared with images `(B, E)`, L2-normalised.
        speech_share: share of each input that is speech, 0 to 1 `(B,)`.
        extras: further outputs of the encoder by name, such as the tokens for the `layout` `(B, K', C)`. Also, where a
            scene says what its picture is to show, the vectors of these `things` `(B, M, E)` and how they were `named`
            `(B, M, 2)`: zeros where a row has fewer, or knows no more.
    """

    tokens: torch.Tensor
    pooled: torch.Tensor
    speech_share: torch.Tensor
    extras: Mapping[str, torch.Tensor] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return self.pooled.shape[0]

    def __getitem__(self, rows: slice) -> SpeechEmbedding:
        extras = {name: extra[rows] for name, extra in self.extras.items()}
        return SpeechEmbedding(self.tokens[rows], self.pooled[rows], self.speech_share[rows], extras)


@dataclass(frozen=True)
class Recording:
    """Outcome of planning one object of the archive: a row of `recordings`."""

    source_uri: str
    etag: str
    size_bytes: int
    recording_id: str | None
    """None where the bytes could not be read to their end."""
    status: str
    reason: str | None
    codec: str | None
    channels: Int32 | None
    sampling_rate_hz: Int32 | None
    duration_s: float | None
    speech_s: float | None
    tracks: str | None
    """What each of several audio tracks holds, and which were used; None where there is only one."""
    damage: str | None
    """What was wrong with a file that was usable nevertheless, and where."""
    scenes: Int32
    retryable: bool
    """Whether later runs try a failed row again by themselves: the fault lay not in the audio but in reaching it."""
    model_digest: str
    plan_digest: str
    run_id: str
    created_at: datetime


@dataclass(frozen=True)
class Scene:
    """A stretch of a recording that gets one image: a row of `scenes`."""

    scene_id: str
    recording_id: str
    index: Int32
    start_s: float
    end_s: float
    focus_start_s: float
    """Start of the focus, the utterance within the scene that the picture is made from."""
    focus_end_s: float
    """End of the focus."""
    status: str
    """`ok`, or `skipped` with a reason."""
    reason: str | None
    confidence: Float32
    """Confidence of the encoder's shared space that the focus names something drawable."""
    speech_share: Float32
    pooled: list[float]
    """`(E,)`, L2-normalised: the mean over the scene's utterances, for searching."""
    focus_pooled: bytes
    """float16 little-endian `(E,)`: the vector of the focus alone, which conditions the image."""
    focus_tokens: bytes
    """float16 little-endian `(K, C)`: the condition tokens of the focus."""
    focus_extras: bytes | None
    """safetensors of float16 `(K', C)` by name: what else the encoder says about the focus.

    None in rows written before extras had names: there the layout's tokens follow in `focus_tokens`."""
    things: list[str] | None
    """Titles of what the picture is to show, in order of time; None if the scenes were planned without things."""
    model_digest: str
    plan_digest: str
    run_id: str
    created_at: datetime

    @property
    def start_ms(self) -> int:
        """Start in whole milliseconds, as in ids and keys."""
        return round(self.start_s * 1000)


@dataclass(frozen=True)
class HeardThing:
    """Something that is named in a recording: a row of `things`."""

    thing_id: str
    recording_id: str
    scene_id: str
    """The scene in which it begins."""
    start_s: float
    end_s: float
    thing: str
    """Title of what is named, as the speech encoder's vocabulary has it."""
    confidence: Float32
    """How probable it is that this is named there."""
    shown: bool
    """Whether the picture of the scene is to show it."""
    model_digest: str
    plan_digest: str
    run_id: str
    created_at: datetime


@dataclass(frozen=True)
class ImageSample:
    """An image that was written: a row of `images`."""

    image_id: str
    scene_id: str
    recording_id: str
    start_s: float
    end_s: float
    key: str
    sha256: str
    size_bytes: int
    format: str
    width_px: Int32
    height_px: Int32
    seed: int
    variant: Int32 | None
    """Which of the scene's pictures it is, from 0; None in rows of before, which are the first."""
    style: str
    steps: Int32
    guidance: float
    similarity: Float32
    """Cosine similarity of the image's embedding and that of the things it is to show, or else of its speech."""
    shows: list[Shown] | None
    """What is in it, the surest first; None where the decoder does not know, and in rows of before."""
    alt: str | None
    """The same in one plain sentence, with the place."""
    setting: str | None
    """The place, by the decoder's name for it."""
    time_of_day: str | None
    """`day`, `sunset` or `night`; None where no sky is seen."""
    compute_ms: float
    """The image's share of the time that its batch took."""
    device: str
    model_digest: str
    image_digest: str
    run_id: str
    created_at: datetime
    settings: str | None = None
    """JSON of all that drew it beside its scene and its seed: `image`, and `things` where an editor named them.

    None in rows of before."""
    edit_id: str | None = None
    """The edit that asked for it; None where a run drew it."""


class EditKind(StrEnum):
    """What an editor can do with a scene."""

    REDO = "redo"
    """Have its picture drawn again, otherwise."""
    REJECT = "reject"
    """Leave the scene out."""
    PIN = "pin"
    """Keep the picture that it has."""
    SWAP = "swap"
    """Show another one of its pictures."""
    UNDO = "undo"
    """Take an earlier edit back."""
    REUSE = "reuse"
    """Show the picture of another scene."""


@dataclass(frozen=True)
class Edit:
    """What an editor decided of a scene: a row of `edits`, which only ever grows.

    The last one of a scene says what is shown of it: the picture `image_id`, nothing (`rejected`), or what runs draw.
    """

    edit_id: str
    recording_id: str
    scene_id: str
    kind: str
    image_id: str | None
    """The picture that is shown from then on."""
    rejected: bool
    """Whether the scene is left out from then on."""
    before: str | None
    """The picture that was shown until then."""
    undoes: str | None
    """The edit that an `undo` takes back."""
    note: str | None
    """Why, in the editor's words."""
    editor: str
    via: str
    """`command`, `api` or `run`."""
    created_at: datetime


@dataclass(frozen=True)
class Failure:
    """Why a row has no result: a row of `failures`."""

    subject: str
    """URI of the recording, or id of the scene."""
    recording_id: str | None
    scene_id: str | None
    stage: str
    error: str
    """Class of the error."""
    message: str
    remedy: str
    attempts: Int32
    retryable: bool
    run_id: str
    created_at: datetime

    @classmethod
    def of(
        cls,
        error: Exception,
        *,
        subject: str,
        stage: Stage,
        run_id: str,
        attempts: int = 1,
        recording_id: str | None = None,
        scene_id: str | None = None,
    ) -> Failure:
        """The row for an error caught in a stage; one that is no `S2IError` counts as a fault in s2i and is retried."""
        return cls(
            subject=subject,
            recording_id=recording_id,
            scene_id=scene_id,
            stage=stage.value,
            error=type(error).__name__,
            message=(error.reason if isinstance(error, S2IError) else str(error) or type(error).__name__)[:2000],
            remedy=error.remedy
            if isinstance(error, S2IError)
            else "Report this: it is a fault in s2i, not in the audio.",
            attempts=attempts,
            retryable=error.transient or error.mendable if isinstance(error, S2IError) else True,
            run_id=run_id,
            created_at=now(),
        )


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def row(record: Recording | Scene | HeardThing | ImageSample | Edit | Failure) -> dict[str, Any]:
    """A record as a table row; column order as in its schema."""
    return {field.name: _cell(getattr(record, field.name)) for field in dataclasses.fields(record)}


def shown_of(cell: Mapping[str, Any]) -> Shown:
    """Back from an entry of the column `shows`."""
    return Shown(**{**cell, "box": Box(**cell["box"])})


def _cell(value: Any) -> Any:
    """A list of records within a record as plain data."""
    nested = isinstance(value, list) and value and dataclasses.is_dataclass(value[0])
    return [dataclasses.asdict(each) for each in value] if nested else value


def _schema(of: type) -> pa.Schema:
    return pa.schema([(name, _kind(hint)) for name, hint in get_type_hints(of, include_extras=True).items()])


def _kind(hint: Any) -> pa.DataType:
    """The column type of a field; every column may be null."""
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return _kind(get_args(hint)[0])
    if get_origin(hint) is list and dataclasses.is_dataclass(get_args(hint)[0]):
        return pa.list_(_kind(get_args(hint)[0]))
    if dataclasses.is_dataclass(hint):
        return pa.struct(list(_schema(hint)))  # type: ignore[arg-type]
    return hint.__metadata__[0] if get_origin(hint) is Annotated else _KINDS[hint]


_KINDS: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    list[float]: pa.list_(pa.float32()),
    list[str]: pa.list_(pa.string()),
    datetime: pa.timestamp("us", tz="UTC"),
}

RECORDINGS, SCENES, THINGS, IMAGES, EDITS, FAILURES = map(
    _schema, (Recording, Scene, HeardThing, ImageSample, Edit, Failure)
)
