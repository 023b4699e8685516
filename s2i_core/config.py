"""Every setting of s2i: frozen, described, validated. `presets.py` has the functions that return complete ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from s2i_core.errors import ConfigError
from s2i_core.identity import config_digest


class Settings(BaseModel):
    """Base of the settings: immutable, and an unknown name is an error."""

    # Defaults are validated too: 3600 and 3600.0 would give the same settings two digests.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


S = TypeVar("S", bound=Settings)
_USUAL_LIMIT = 0.27  # of confidence, for the shipped space
MOVED = {"model.library": "model.decoder.library", "scenes.images_an_hour": "scenes.images_per_hour"}
"""Settings that were renamed: the names of the previous version, accepted until the next one."""


def changed(config: S, changes: Mapping[str, Any]) -> S:
    """The settings with some replaced, by names such as `image.steps`; values may be text, as on a command line.

    The text `none` takes a setting away that need not be there.

    Raises:
        ConfigError: there is no such setting, or it can't have that value.
    """
    described = f"{type(config).__module__.replace('.', '/')}.py describes them."
    values = config.model_dump()
    # Kinds first: which settings a part has depends on its kind.
    for given, value in sorted(changes.items(), key=lambda change: not change[0].endswith(".kind")):
        name = MOVED.get(given, given)
        if name != given:
            warnings.warn(f"the setting {given} is now {name}", DeprecationWarning, stacklevel=2)
        *path, last = name.split(".")
        part: Any = values
        for step in path:
            part = part.get(step) if isinstance(part, dict) else None
        if not isinstance(part, dict) or last not in part or isinstance(part[last], dict):
            raise ConfigError(f"setting {name!r}", "there is no such setting", described)
        if last == "kind" and value != part[last]:
            part.clear()
            part.update(_of_kind(path[-1], value))
        part[last] = None if value == "none" else value
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(step) for step in first["loc"]) or "the settings"
        raise ConfigError(f"setting {name!r}", first["msg"], described) from error


def chosen(pairs: Iterable[str] | None) -> dict[str, str]:
    """Changes of settings as a command line gives them, `NAME=VALUE` each.

    Raises:
        ConfigError: one is not of the form NAME=VALUE.
    """
    split = [text.partition("=") for text in pairs or ()]
    for name, equals, _ in split:
        if not (name.strip() and equals):
            raise ConfigError(
                f"--set {name}", "it is not of the form NAME=VALUE", "Write it as in --set image.steps=4."
            )
    return {name.strip(): value.strip() for name, _, value in split}


class SourceConfig(Settings):
    """Which objects of a source are recordings."""

    look_into: int = Field(
        1000,
        ge=0,
        description="Objects whose names do not say what they are get judged by their first bytes, as long as there "
        "are no more of them than this; otherwise none is looked into.",
    )


class AudioConfig(Settings):
    """How an object becomes segments of speech."""

    sampling_rate_hz: Literal[16000] = Field(16000, description="Sampling rate that the speech encoder expects.")
    max_size_bytes: int = Field(8 << 30, gt=0, description="Larger objects are refused before they are read.")
    max_duration_s: float = Field(24 * 3600, gt=0, description="Decoding stops with a failure past this much audio.")
    max_decode_s: float = Field(3600, gt=0, description="Wall-clock limit for reading and decoding one recording.")
    tracks: Literal["auto", "one", "all"] = Field(
        "auto",
        description="Which of several tracks with speech to use: `auto` takes the first and mixes in those of its "
        "language in which others speak, so that no speaker is lost and no translation or commentary talks over "
        "another; `one` takes the one with the most speech; `all` mixes all of them.",
    )
    speech_threshold: float = Field(0.5, gt=0, lt=1, description="Probability of speech at which a segment starts.")
    min_silence_s: float = Field(0.35, gt=0, description="A pause at least this long ends a segment.")
    min_speech_s: float = Field(0.25, gt=0, description="Shorter bursts do not count as speech.")
    max_segment_s: float = Field(12.0, gt=1, le=29, description="Longer speech is cut at its quietest place.")
    pad_s: float = Field(0.1, ge=0, description="Margin kept on both sides of a segment, so that no word is cut.")


class SceneConfig(Settings):
    """How segments become scenes."""

    min_s: float = Field(5.0, gt=0, description="Shortest scene.")
    max_s: float = Field(30.0, gt=0, description="Longest scene.")
    usual_s: float = Field(13.0, gt=0, description="Length of a scene where nothing else decides.")
    length_cost: float = Field(
        2.0,
        ge=0,
        description="Cost of a length e times, or one e-th of, the usual: higher makes scenes more even.",
    )
    change_cost: float = Field(0.0, ge=0, description="Cost of each scene: higher makes fewer scenes.")
    likeness_gain: float = Field(
        0.25, ge=0, description="Gain per second of similar speech in a scene: higher trusts the model's vectors more."
    )
    pause_gain: float = Field(
        1.0, ge=0, description="Gain for a boundary at a pause e times the median length: higher trusts pauses more."
    )
    images_per_hour: float | None = Field(
        None,
        gt=0,
        description="At most this many scenes per hour of recording; to keep to it they get longer, up to max_s.",
    )
    gap_s: float = Field(4.0, gt=0, description="Silence or music at least this long belongs to no scene.")
    min_confidence: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Scenes with a lower confidence that something drawable is said are skipped; none takes the "
        "model's own limit.",
    )
    precision: float | None = Field(
        0.85,
        gt=0,
        lt=1,
        description="Share of the things in pictures that were really named, at least: higher makes fewer pictures, "
        "with fewer things, that are truer. Holds for a model that hears single things (s2i hear); none plans "
        "without them, as for one that does not.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> SceneConfig:
        if self.max_s < 2 * self.min_s:
            raise ValueError(f"scenes.max_s ({self.max_s}) must be at least twice scenes.min_s ({self.min_s})")
        if self.images_per_hour is not None and self.images_per_hour * self.max_s < 3600:
            raise ValueError(
                f"scenes.images_per_hour ({self.images_per_hour:g}) needs scenes of {3600 / self.images_per_hour:g} s: "
                f"raise scenes.max_s ({self.max_s:g})"
            )
        return self


class ImageConfig(Settings):
    """How a scene becomes an image."""

    size_px: int = Field(256, ge=64, le=2048, description="Longer side of the image.")
    aspect: Literal["1:1", "16:9", "9:16", "4:3"] = Field("1:1", description="Width to height of the image.")
    steps: int = Field(
        2,
        ge=1,
        le=100,
        description="Denoising steps. Two give the light of a picture that is composed on a painted ground; a model "
        "without such grounds, and `references` 0, draw the whole picture and need six or more.",
    )
    start_noise: float = Field(
        0.8, gt=0, le=1, description="Share of noise over the ground that a picture with references starts from."
    )
    guidance: float = Field(1.0, ge=1, le=20, description="Classifier-free guidance; 1 turns it off.")
    variants: int = Field(
        1, ge=1, le=8, description="Pictures of each scene, which differ in their composition; pages show the first."
    )
    variant: int = Field(
        0,
        ge=0,
        le=7,
        description="The one of these that is drawn, from 0: set for each in turn where there are several.",
    )
    style: str = Field("3d", description="Style token; `s2i styles` lists those that the model knows.")
    references: int = Field(4, ge=0, le=4, description="Library images that the decoder may look at; 0 draws without.")
    format: Literal["webp", "png", "jpeg"] = Field("webp", description="Format of the image file.")
    quality: int = Field(90, ge=1, le=100, description="Quality of a lossy format.")

    @property
    def frame_px(self) -> tuple[int, int]:
        """Height and width in pixels."""
        across, down = (int(side) for side in self.aspect.split(":"))
        longer = max(across, down)
        return round(self.size_px * down / longer), round(self.size_px * across / longer)

    @property
    def usual_frame(self) -> bool:
        """Whether it is a square no larger than networks draw it: then nothing of it is composed anew."""
        return self.size_px <= 256 and self.aspect == "1:1"


class PartConfig(Settings):
    """A part of a model: `kind` says which one it is, and its files lie in a checkpoint."""

    parts: ClassVar[tuple[str, ...]] = ()
    """Folders of the checkpoint that decide what the part does; its digest is computed from them."""
    later_parts: ClassVar[tuple[str, ...]] = ()
    """Folders that a checkpoint may lack; its digest includes those that are there."""
    way: ClassVar[str] = ""
    """Names the way in which the code makes something of the files, where it came to be another: part of the digest."""

    checkpoint: str = Field(
        "", description="Folder of the saved pipeline that this part is taken from; empty means `model.checkpoint`."
    )

    @property
    def own_settings(self) -> dict[str, Any]:
        """The settings of the part itself, without those that only say where its files are."""
        return self.model_dump(exclude={"kind", "checkpoint", "library"})


class WhisperEncoderConfig(PartConfig):
    """Whisper's encoder and query transformers, with the space that they share with pictures."""

    parts = ("speech_encoder", "projection", "layout_projection")
    later_parts = ("grounding",)

    kind: Literal["whisper"] = Field("whisper", description="Which speech encoder; `s2i models` lists them.")


class DecoderPartConfig(PartConfig):
    """An image decoder."""

    reads: ClassVar[tuple[str, ...]] = ("size_px", "aspect", "style", "format", "quality")
    """The image settings that it uses; together with all of its own settings, they name its pictures."""


class LibraryDecoderConfig(DecoderPartConfig):
    """A decoder that draws from a library of illustrations."""

    library: str = Field(
        "", description="Folder of a library made by `s2i library build`; empty means the checkpoint's own."
    )


class NativeDecoderConfig(LibraryDecoderConfig):
    """Drawings of a library, laid out and painted into one picture by a small flow-matching network."""

    parts = ("layout", "denoiser", "scheduler", "grounds", "library")
    way = "arranged on painted grounds"
    reads = ("size_px", "aspect", "steps", "start_noise", "guidance", "style", "references", "format", "quality")

    kind: Literal["native"] = Field("native", description="Which image decoder; `s2i models` lists them.")


class CollageDecoderConfig(LibraryDecoderConfig):
    """The same drawings, laid on the ground of their place and left unpainted: a quick look at an archive."""

    parts = ("layout", "denoiser", "grounds", "library")
    way = "arranged on painted grounds"
    reads = ("size_px", "aspect", "style", "references", "format", "quality")

    kind: Literal["collage"] = Field("collage", description="Which image decoder; `s2i models` lists them.")


SpeechEncoderConfig: TypeAlias = WhisperEncoderConfig
ImageDecoderConfig: TypeAlias = Annotated[NativeDecoderConfig | CollageDecoderConfig, Field(discriminator="kind")]
_PARTS: dict[str, TypeAdapter[Any]] = {
    "encoder": TypeAdapter(SpeechEncoderConfig),
    "decoder": TypeAdapter(ImageDecoderConfig),
}


def _of_kind(part: str, kind: str) -> dict[str, Any]:
    """The defaults of a model part of this kind; of an unknown kind, only its name, which validation then refuses."""
    try:
        return _PARTS[part].validate_python({"kind": kind}).model_dump()  # type: ignore[no-any-return]
    except ValidationError:
        return {"kind": kind}


class ModelConfig(Settings):
    """Which parts, with which weights, and where they run."""

    checkpoint: str = Field("", description="Folder of a saved pipeline; empty means the weights in the package.")
    encoder: SpeechEncoderConfig = WhisperEncoderConfig()
    decoder: ImageDecoderConfig = NativeDecoderConfig()
    device: str = Field("auto", description="`cpu`, `cuda`, `cuda:1`; `auto` takes a GPU where there is one.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="Precision of the weights.")
    threads: int = Field(0, ge=0, description="CPU threads of one model replica; 0 follows the replica's num_cpus.")

    @model_validator(mode="before")
    @classmethod
    def _moved(cls, given: Any) -> Any:
        """The library was a setting of the model before it was the decoder's."""
        if not isinstance(given, dict) or "library" not in given:
            return given
        warnings.warn("the setting model.library is now model.decoder.library", DeprecationWarning, stacklevel=2)
        library, rest = given["library"], {name: value for name, value in given.items() if name != "library"}
        decoder = rest.get("decoder", {"kind": "native"})
        decoder = dict(decoder) if isinstance(decoder, dict) else decoder.model_dump()
        return rest | ({"decoder": {**decoder, "library": library}} if library else {})


class PoolConfig(Settings):
    """An autoscaling pool of workers for one stage."""

    initial: int = Field(1, ge=0, description="Workers at the start.")
    minimum: int = Field(1, ge=0, description="Never fewer while the stage runs.")
    maximum: int = Field(1, ge=1, description="Never more.")
    num_cpus: float = Field(1, ge=0, description="CPUs that one worker holds.")
    num_gpus: float = Field(0, ge=0, description="GPUs that one worker holds.")
    memory_bytes: int = Field(0, ge=0, description="Memory that one worker reserves; 0 reserves none.")
    batch_size: int = Field(8, ge=1, description="Rows in one call.")

    @model_validator(mode="after")
    def _ordered(self) -> PoolConfig:
        if not self.minimum <= self.initial <= self.maximum:
            raise ValueError(
                f"pool needs minimum <= initial <= maximum, not {self.minimum}, {self.initial}, {self.maximum}"
            )
        return self


class DecoderConfig(Settings):
    """Limits of the process that decodes; the job goes on even if it dies."""

    memory_bytes: int = Field(
        512 << 20, ge=1 << 26, description="Memory that decoding may map on top of the program's."
    )
    stall_s: float = Field(
        20.0, gt=0, description="A decoder that neither reads nor returns anything for this long is ended."
    )


class ResourceConfig(Settings):
    """What the jobs ask of the cluster."""

    decode: PoolConfig = Field(PoolConfig(), description="CPU: read, decode, find speech, log-mel.")
    decoder: DecoderConfig = Field(DecoderConfig(), description="The process in which a decode worker reads a file.")
    encode: PoolConfig = Field(PoolConfig(), description="GPU or CPU: speech encoder and projection.")
    generate: PoolConfig = Field(PoolConfig(), description="GPU or CPU: images.")
    write_concurrency: int = Field(8, ge=1, description="Parallel writes to S3 per worker.")
    commit_rows: int = Field(64, ge=1, description="Rows in one table commit, at most.")
    commit_s: float = Field(10.0, gt=0, description="Seconds between table commits, at most.")
    max_attempts: int = Field(3, ge=1, description="Tries of one row before it is recorded as failed.")
    outage_s: float = Field(120.0, ge=0, description="Seconds to keep trying while the object store does not answer.")
    wait_s: float = Field(
        900.0, ge=0, description="Longest wait for a cluster to have room for the minimum of each pool."
    )
    max_failed_runs: int = Field(
        3,
        ge=1,
        description="Number of runs in which a row may fail because of a transient fault before it is left alone.",
    )
    stall_s: float = Field(
        1800, gt=0, description="Seconds without any result after which the work in flight is handed out again."
    )
    lost_node_s: float = Field(30, gt=0, description="The same, once a node has been lost.")
    compact_files: int = Field(
        100, ge=2, description="Number of small files in a table at which they are joined into large ones."
    )


class LimitConfig(Settings):
    """What a run may use. A run that reaches a limit stops cleanly and says so; the next run continues."""

    deadline_s: float | None = Field(None, gt=0, description="Seconds that the run may take.")
    gpu_seconds: float | None = Field(None, gt=0, description="GPU-seconds that the run's workers may hold.")
    cpu_seconds: float | None = Field(None, gt=0, description="CPU-seconds that the run's workers may hold.")
    cost: float | None = Field(None, gt=0, description="What the run's workers may cost, at the prices below.")
    gpu_hour_price: float = Field(0, ge=0, description="Price of one GPU for an hour.")
    cpu_hour_price: float = Field(0, ge=0, description="Price of one CPU for an hour.")
    s3_requests: int | None = Field(
        None, ge=1, description="Requests to S3 that all workers of a job may have open at a time."
    )

    @model_validator(mode="after")
    def _priced(self) -> LimitConfig:
        if self.cost is not None and not (self.gpu_hour_price or self.cpu_hour_price):
            raise ValueError("limits.cost needs limits.gpu_hour_price or limits.cpu_hour_price")
        return self


class PackConfig(Settings):
    """The packs for players: a recording with its pictures in the formats of podcast apps, libraries and the web."""

    write: bool = Field(
        False, description="A run also writes the packs of its recordings; `s2i publish` does it later."
    )
    selection: Literal["all", "apple", "spotify"] = Field(
        "all",
        description="Which pictures become chapters: `all` of them, or as few as these players accept, each in the "
        "frame and size that they want.",
    )
    film: bool = Field(True, description="Whether a pack has an MP4 whose picture changes with the sound.")
    memory_bytes: int = Field(
        2 << 30,
        ge=1 << 26,
        description="Memory that the process that makes packs may map on top of the program's; a recording that takes "
        "more fails, and nothing else.",
    )
    base_url: str = Field(
        "",
        pattern=r"^(https?://[^\s\"<>]+)?$",
        description="Public address of the destination, such as https://cdn.example.org/talks: feeds, IIIF and many "
        "apps need whole addresses; empty for relative ones.",
    )


class SelectionConfig(Settings):
    """What is taken out or drawn again by numbers, before people look: nothing, unless a setting here asks for it."""

    apply: bool = Field(False, description="A run also selects, before it publishes; `s2i select` does it later.")
    precision: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Leave a picture out where even its surest thing was named with less precision than this, by what "
        "was measured on lectures; `none` leaves none out.",
    )
    similarity: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Draw a picture again with other seeds that is less like what it is to show than this cosine "
        "(`images.similarity`), and take the best; `none` draws none again.",
    )
    tries: int = Field(3, ge=1, le=16, description="Seeds that are tried for it.")
    repeats: Literal["keep", "reuse", "leave_out"] = Field(
        "keep",
        description="Of a picture that looks like an earlier one, in its recording or in another: keep it, show the "
        "earlier one there as well, or leave the scene out.",
    )
    alike: float = Field(0.9, ge=0, le=1, description="Cosine of two pictures' vectors from which they look alike.")

    @property
    def asks(self) -> bool:
        """Whether anything is asked for."""
        return self.precision is not None or self.similarity is not None or self.repeats != "keep"

    @model_validator(mode="after")
    def _asks_where_it_applies(self) -> SelectionConfig:
        if self.apply and not self.asks:
            raise ValueError("selection.apply selects nothing: set selection.precision, .similarity or .repeats")
        return self


class ProvenanceConfig(Settings):
    """What published pictures say of their origin, and whose keys vouch for it."""

    sign: bool = Field(
        True,
        description="Whether pictures of packs get content credentials (C2PA): signed, with what they were made from.",
    )
    watermark: bool = Field(
        False,
        description="Whether they get an imperceptible watermark as well, which survives where credentials are lost.",
    )
    certificate: str = Field(
        "",
        description="File with the signer's certificate and those above it (PEM, ES256); empty for a development "
        "authority, which is made at first use and proves nothing to others.",
    )
    key: str = Field("", description="File with the private key of that certificate (PEM).")
    anchors: str = Field("", description="File with the certificates of the authorities that count when reading (PEM).")
    watermark_key: str = Field("", description="File with the key of the watermark: any bytes; keep it secret.")


class DriftConfig(Settings):
    """Whether runs go on hearing and drawing as they did."""

    reference: str = Field(
        "",
        pattern=r"^(s3://[^/]+(/.*)?)?$",
        description="Reference recordings, such as s3://archive/reference: each run first hears and draws these anew, "
        "and compares what comes out with a baseline, the first run or the last accepted one; empty compares nothing.",
    )
    bound: float = Field(
        0.1,
        gt=0,
        le=1,
        description="A run makes and publishes nothing where vectors, confidence or similarity of the reference moved "
        "farther than this: 0 is as before, 1 has nothing in common.",
    )
    accept: bool = Field(
        False,
        description="Go on however far they moved, and take what this run makes of them for the baseline: set it for "
        "one run, after a change that is wanted.",
    )


class ReportConfig(Settings):
    """What a run leaves about itself."""

    write: bool = Field(
        False,
        description="A run also writes its report, `runs/<run_id>/report.html` in the destination, and leaves the gist "
        "of it as an artifact in Prefect; `s2i report` does it later.",
    )


class RunConfig(Settings):
    """All settings: what a preset returns."""

    name: str = Field(description="Name of the preset, for people.")
    source: SourceConfig = SourceConfig()
    audio: AudioConfig = AudioConfig()
    scenes: SceneConfig = SceneConfig()
    image: ImageConfig = ImageConfig()
    model: ModelConfig = ModelConfig()
    resources: ResourceConfig = ResourceConfig()
    limits: LimitConfig = LimitConfig()
    packs: PackConfig = PackConfig()
    selection: SelectionConfig = SelectionConfig()
    provenance: ProvenanceConfig = ProvenanceConfig()
    drift: DriftConfig = DriftConfig()
    report: ReportConfig = ReportConfig()

    @property
    def plan_digest(self) -> str:
        """Digest of what shapes the scenes: a change makes new scenes; a change of resources does not."""
        audio = self.audio.model_dump()
        if self.audio.tracks == AudioConfig().tracks:  # added later: its default must not make old archives plan anew
            del audio["tracks"]
        scenes = self.scenes.model_dump()
        scenes["images_an_hour"] = scenes.pop("images_per_hour")  # its name when the first archives were planned
        # Where the space's own limit applies (it is part of the encoder's digest), the setting is digested as what was
        # the default before, so that scenes planned then stay valid; setting that very number gives another digest.
        limit = scenes["min_confidence"]
        scenes["min_confidence"] = _USUAL_LIMIT if limit is None else str(limit) if limit == _USUAL_LIMIT else limit
        if self.scenes.precision == SceneConfig().precision:  # came later, too
            del scenes["precision"]
        return config_digest({"audio": audio, "scenes": scenes})

    def each_variant(self) -> list[RunConfig]:
        """These settings for each picture that a scene gets, the first one's first."""
        images = [self.image.model_copy(update={"variant": number}) for number in range(self.image.variants)]
        return [self.model_copy(update={"image": image}) for image in images] if len(images) > 1 else [self]

    @property
    def image_digest(self) -> str:
        """Digest of what shapes the images: the settings that the chosen decoder uses, and those of no other."""
        decoder = self.model.decoder
        own = decoder.own_settings
        image = self.image.model_dump(include=set(decoder.reads))
        if self.image.variant:  # the first has the name that it had before there were others
            image["variant"] = self.image.variant
        if self.image.usual_frame:  # came later, with pictures of other frames composed anew: those of then are valid
            image.pop("aspect", None)
        return config_digest({"image": image} | ({"decoder": own} if own else {}))
