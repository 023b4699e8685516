"""What the service is asked and what it answers: the contract of the API, as the OpenAPI document shows it.

Seeds are decimal strings in answers: they have 63 bits, and a browser's numbers have 53.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from s2i_core import steps
from s2i_core.identity import MAX_SEED
from s2i_core.records import Contents

Format = Literal["webp", "png", "jpeg"]
_THINGS = "What is named and the picture is to show, in order of time; null where the model hears no single things."
_ALT = "What the picture shows, in one plain sentence: its alternative text. Null where the decoder does not know."
_VECTOR = (
    "With `choices`: what the words sound like, float16 in base64. Together with the title of what was chosen, it can "
    "be sent again as `chosen`."
)
JobStatus = Literal["queued", "listening", "drawing", "done", "failed"]


class Message(BaseModel):
    """Base of all bodies: an unknown name is an error."""

    model_config = ConfigDict(extra="forbid")


class Problem(Message):
    """What went wrong, for a program (`code`) and for a person."""

    code: str = Field(description="Stable name of the problem; docs/online.md lists them.", examples=["no_speech"])
    message: str = Field(description="What is wrong, in one sentence.", examples=["No speech was found."])
    remedy: str = Field(description="What to do about it.", examples=["Speak closer to the microphone."])
    request_id: str | None = Field(
        None, description="With the code `internal`: under it the service's log says what went wrong."
    )


class Question(Message):
    """A statement over the tables."""

    sql: str = Field(min_length=1, max_length=100_000, description="One SELECT.", examples=["SELECT * FROM episodes"])
    rows: int = Field(1000, ge=1, le=100_000, description="Most rows of the answer, within the limit of the service.")


class TableColumn(Message):
    """A column of an answer."""

    name: str
    type: str = Field(description="Arrow's name of it.", examples=["double"])


class TableAnswer(Message):
    """What a statement found; times are in ISO 8601, bytes in base64."""

    columns: list[TableColumn]
    rows: list[list[Any]]
    more: bool = Field(description="Whether there are more rows than were asked for.")


class ErrorBody(Message):
    """The body of every answer that is no success."""

    error: Problem


class Options(Message):
    """How to draw; what is left out is as the service was configured."""

    style: str | None = Field(None, max_length=64, description="A name from `/v1/styles`.", examples=["3d"])
    size: Annotated[int, Field(ge=64, le=2048)] | None = Field(
        None, description="Longer side in pixels.", examples=[256]
    )
    aspect: Literal["1:1", "16:9", "9:16", "4:3"] | None = Field(
        None, description="Width to height.", examples=["16:9"]
    )
    steps: Annotated[int, Field(ge=1, le=100)] | None = Field(None, description="Denoising steps.", examples=[6])
    format: Format | None = Field(None, description="Of the image file.", examples=["webp"])


class Choices(Message):
    """What is offered where it is not sure what was said."""

    choices: Annotated[int, Field(ge=0, le=4)] = Field(
        0,
        description="Where it is not sure what was said, so many pictures of different things that it may have been, "
        "the likeliest first, for whoever spoke to choose from; 0 is one picture whatever. A model that hears no "
        "single things offers none.",
        examples=[3],
    )
    not_meant: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=16)] = Field(
        [],
        description="Titles of things that these words were taken for and did not mean: others are offered, also where "
        "it is sure.",
        examples=[["ferris wheel"]],
    )


class ImageOptions(Options, Choices):
    """How to draw the picture of a clip."""

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = Field(
        None,
        description="Of the noise: the same audio, settings and seed give the same pixels, here and in a batch job. "
        "Without, the clip's own seed, as in a batch job.",
        examples=[7],
    )
    n: Annotated[int, Field(ge=1, le=16)] = Field(
        1, description="Pictures of the same clip; the second and later ones have seeds made from the first's."
    )
    timeout_s: Annotated[float, Field(gt=0, le=120)] | None = Field(
        None, description="Longest wait for the answer; after it, 503 with the code `deadline`.", examples=[30]
    )


class ShownBox(Message):
    """A rectangle in a picture, as shares of its width and height."""

    x: float = Field(description="Left edge.")
    y: float = Field(description="Top edge.")
    w: float = Field(description="Width.")
    h: float = Field(description="Height.")


class ShownThing(Message):
    """A thing in a picture: drawings of one kind in one colour."""

    thing: str = Field(description="The concept, by which the library knows it.", examples=["bear"])
    title: str = Field(description="What the drawing is called by those who made it.")
    count: int = Field(description="How many of it there are.")
    colour: str | None = Field(description="The colour that it was given; null for its own.")
    box: ShownBox = Field(description="The smallest that holds all of them.")
    source: str = Field(description="The set that the drawing comes from.")
    author: str | None = Field(description="Who made it: to be credited.")
    licence: str = Field(description="Of the drawing: its SPDX identifier, or `own`.")
    url: str | None = Field(description="Where the drawing can be found.")
    confidence: float | None = Field(description="How probable it is that it was named; null where nobody asked.")
    start_s: float | None = Field(description="From when it is named.")


class PictureContents(Message):
    """What a picture shows, where the decoder knows."""

    alt: str | None = Field(None, description=_ALT, examples=["Two bears and a honey pot in a forest at night."])
    shows: list[ShownThing] | None = Field(None, description="What is in it, the surest first.")
    setting: str | None = Field(None, description="The place, by the decoder's name for it.", examples=["forest"])
    time_of_day: str | None = Field(None, description="`day`, `sunset` or `night`; null where no sky is seen.")

    @classmethod
    def of(cls, contents: Contents | None) -> PictureContents:
        """What a decoder knows of a picture."""
        things = None if contents is None else [asdict(each) for each in contents.things]
        return cls.model_validate(steps.shown(contents) | {"shows": things})


class Picture(PictureContents):
    """One picture of a clip."""

    image: str = Field(description="The image file in base64.")
    content_type: str = Field(examples=["image/webp"])
    width_px: int
    height_px: int
    seed: str = Field(description="Decimal; gives this picture again.", examples=["7"])
    similarity: float = Field(
        description="Cosine of the picture to the things that it is to show, or else to the speech, in their space."
    )

    thing: str | None = Field(
        None, description="Where several readings are offered: the title of what this one takes the words for."
    )


class Timings(Message):
    """Where the time went, in milliseconds."""

    listen_ms: float = Field(description="Decoding and finding speech.")
    encode_ms: float = Field(description="Speech encoder, with the wait for its batch.")
    draw_ms: float = Field(description="Denoising, with the wait for its batch.")
    total_ms: float = Field(description="From the end of the upload to the answer.")


class ImagesAnswer(Message):
    """Pictures of a clip."""

    images: list[Picture]
    style: str
    steps: int
    things: list[str] | None = Field(description=_THINGS, examples=[["castle", "dragon"]])
    start_s: float = Field(description="The utterance that the picture was made from: its start …")
    end_s: float = Field(description="… and its end.")
    confidence: float = Field(description="Cosine of the speech to the nearest thing that can be drawn.")
    sure: bool = Field(
        description="Whether a batch job would draw this, or skip it as nothing to draw. With `choices`, what is not "
        "sure has several pictures, each of another `thing`."
    )
    vector: str | None = Field(None, description=_VECTOR)
    duration_s: float = Field(description="Length of the clip.")
    damage: str | None = Field(None, description="What was wrong with a file that could be used all the same.")
    tracks: str | None = Field(None, description="Of several audio tracks: what each holds, and which were taken.")
    recording_id: str
    scene_id: str = Field(description="As a batch job with the same settings names it.")
    timings: Timings


class RecordingOptions(Options):
    """How to draw a recording."""

    maybe: Annotated[int, Field(ge=0, le=200)] = Field(
        0,
        description="Of the scenes that a batch job skips because it is not sure what is named, so many are drawn all "
        "the same, the surest, after all others.",
        examples=[12],
    )


class RecordingRequest(RecordingOptions):
    """A recording in object storage, to be illustrated; only under the prefixes that the service allows."""

    uri: str = Field(max_length=2048, description="`s3://bucket/key`.", examples=["s3://archive/talk.mp3"])


class SceneView(PictureContents):
    """A scene of a recording; scenes cover what was heard without overlap."""

    index: int
    scene_id: str
    start_s: float
    end_s: float
    status: Literal["ok", "skipped", "failed"]
    reason: str | None = Field(None, description="Why it has no picture: silence, no_speech, below_confidence, ...")
    confidence: float | None = None
    things: list[str] | None = Field(None, description=_THINGS)
    maybe: int | None = Field(
        None, description="It is skipped, and drawn all the same: its place among those, 1 for the surest."
    )
    image_url: str | None = Field(None, description="Path of its picture, once it is drawn.")
    seed: str | None = None
    similarity: float | None = None


class RecordingView(Message):
    """A recording that is being illustrated, or was."""

    id: str
    status: JobStatus
    heard_s: float = Field(description="Seconds of audio heard so far.")
    duration_s: float | None = Field(None, description="Length, once it is known.")
    drawn: int = Field(description="Pictures made so far.")
    to_draw: int | None = Field(None, description="Pictures to make, once it is known.")
    style: str
    scenes: list[SceneView]
    damage: str | None = Field(None, description="What was wrong with a file that could be used all the same.")
    tracks: str | None = Field(None, description="Of several audio tracks: what each holds, and which were taken.")
    error: Problem | None = Field(None, description="With the status `failed`.")
    url: str = Field(description="Path of this resource.")
    events_url: str = Field(description="Path of its server-sent events.")


class EditRequest(Message):
    """What an editor decides of a scene."""

    kind: Literal["redo", "reject", "pin", "swap", "undo"] = Field(
        description="`redo`: draw it again; `reject`: leave it out; `pin`: keep its picture whatever runs draw; "
        "`swap`: show another of its pictures; `undo`: take an edit back."
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = Field(
        None, description="Of `redo`; without, one that the scene had not yet."
    )
    style: str | None = Field(None, max_length=64, description="Of `redo`: a name from `/v1/styles`.")
    steps: Annotated[int, Field(ge=1, le=100)] | None = Field(None, description="Of `redo`: denoising steps.")
    things: Annotated[list[Annotated[str, Field(max_length=80)]], Field(min_length=1, max_length=4)] | None = Field(
        None, description="Of `redo`: what the picture shows instead of what was heard.", examples=[["cow", "barn"]]
    )
    image_id: str | None = Field(None, max_length=64, description="Of `swap`: which picture; without, the next one.")
    edit_id: str | None = Field(None, max_length=64, description="Of `undo`: which edit; without, the last one.")
    note: str | None = Field(None, max_length=2000, description="Why, for those who read the history.")


class EditView(Message):
    """An edit that was made: a row of the table `edits`."""

    edit_id: str
    recording_id: str
    scene_id: str
    kind: str
    image_id: str | None = Field(description="The picture that is shown from then on; null where none was chosen.")
    rejected: bool = Field(description="Whether the scene is left out from then on.")
    before: str | None = Field(description="The picture that was shown until then.")
    undoes: str | None
    note: str | None
    editor: str
    via: str
    created_at: str = Field(description="ISO 8601, UTC.")


class PictureOfScene(Message):
    """One of a scene's pictures."""

    image_id: str
    url: str = Field(description="Path of the file.")
    seed: str
    style: str
    steps: int
    things: list[str] | None = Field(description="What it was to show, where an editor named it.")
    variant: int | None
    edit_id: str | None = Field(description="The edit that asked for it; null where a run drew it.")
    similarity: float
    alt: str | None = Field(description=_ALT)


class EditedScene(Message):
    """A scene of an illustrated recording, with its pictures and what editors did."""

    scene_id: str
    start_s: float
    end_s: float
    status: Literal["ok", "skipped"]
    reason: str | None = Field(description="Why it was skipped.")
    things: list[str] | None = Field(description=_THINGS)
    shown: str | None = Field(description="Id of the picture that is shown.")
    decision: Literal["none", "chosen", "rejected"] = Field(description="What editors came to.")
    pictures: list[PictureOfScene]
    edits: list[EditView]


class Episode(Message):
    """An illustrated recording."""

    recording_id: str
    title: str
    duration_s: float | None
    pictures: int
    url: str


class EpisodesAnswer(Message):
    """The illustrated recordings that may be edited."""

    destination: str
    episodes: list[Episode]


class EpisodeView(Message):
    """An illustrated recording with its scenes."""

    recording_id: str
    scenes: list[EditedScene]
    publishing: bool = Field(description="Whether its page and its pack are being written.")
    stale: list[str] = Field(description="What could not be written last time and shows what was, and what to do.")


class EditAnswer(Message):
    """An edit, and the scene as it is now."""

    edit: EditView
    scene: EditedScene


class Style(Message):
    """A style that the model knows."""

    name: str
    label: str = Field(description="For people.")
    image_url: str = Field(description="Path of a picture in that style.")


class StylesAnswer(Message):
    """All styles; the first is the default."""

    styles: list[Style]
    default: str


class Health(Message):
    """The answer of `/healthz` and `/readyz`."""

    status: Literal["ok", "starting"]
    model_digest: str | None = None


class Chosen(Message):
    """What was chosen for a sound before."""

    vector: str = Field(max_length=4096, description="Of the sound, as the service gave it.")
    thing: str = Field(max_length=64, description="Title of what was chosen.")


class LiveStart(Options, Choices):
    """First message of `/v1/live`, and again after `done` for the next clip."""

    type: Literal["start"]
    audio: Literal["pcm_s16le", "opus"] = Field("pcm_s16le", description="What the binary messages hold.")
    rate_hz: Annotated[int, Field(ge=8000, le=48000)] = Field(16000, description="Of the PCM; Opus needs none.")
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    chosen: Annotated[list[Chosen], Field(max_length=32)] = Field(
        [],
        description="What this person chose for sounds before, kept by the client and by nobody else: of the one that "
        "is nearest, if it is near, the thing is offered first.",
    )
    previews: bool = Field(True, description="Whether to send what the picture looks like while it is denoised.")


class LiveEnd(Message):
    """No more audio of this clip: what was said is drawn, then `done` comes."""

    type: Literal["end"]


class LiveCancel(Message):
    """Forget this clip; `done` comes."""

    type: Literal["cancel"]
