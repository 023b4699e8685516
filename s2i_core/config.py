"""Every setting of s2i: frozen, described, validated. `presets.py` has the functions that return complete ones."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from s2i_core.identity import config_digest


class Settings(BaseModel):
    """Base of the settings: immutable, and an unknown name is an error."""

    # Defaults are brought to their type as well: 3600 and 3600.0 would give two digests of the same settings.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class AudioConfig(Settings):
    """How an object becomes segments of speech."""

    sampling_rate_hz: Literal[16000] = Field(16000, description="Rate that the speech encoder wants.")
    max_size_bytes: int = Field(8 << 30, gt=0, description="Larger objects are refused before they are read.")
    max_duration_s: float = Field(24 * 3600, gt=0, description="Decoding stops with a failure past this much audio.")
    max_decode_s: float = Field(3600, gt=0, description="Wall-clock limit for reading and decoding one recording.")
    speech_threshold: float = Field(0.5, gt=0, lt=1, description="Probability of speech from which a segment starts.")
    min_silence_s: float = Field(0.35, gt=0, description="A pause at least this long ends a segment.")
    min_speech_s: float = Field(0.25, gt=0, description="Shorter bursts are not speech.")
    max_segment_s: float = Field(12.0, gt=1, le=29, description="Longer speech is cut at its quietest place.")
    pad_s: float = Field(0.1, ge=0, description="Margin kept on both sides of a segment, so that no word is cut.")


class SceneConfig(Settings):
    """How segments become scenes."""

    min_s: float = Field(5.0, gt=0, description="Shortest scene.")
    max_s: float = Field(30.0, gt=0, description="Longest scene.")
    change_cost: float = Field(
        1.0, ge=0, description="Cost of one more scene, in second × cosine distance: higher makes fewer scenes."
    )
    gap_s: float = Field(4.0, gt=0, description="Silence or music at least this long belongs to no scene.")
    min_confidence: float = Field(
        0.22, ge=-1, le=1, description="Scenes whose speech is nowhere near anything drawable are skipped."
    )

    @model_validator(mode="after")
    def _ordered(self) -> SceneConfig:
        if self.max_s < 2 * self.min_s:
            raise ValueError(f"scenes.max_s ({self.max_s}) must be at least twice scenes.min_s ({self.min_s})")
        return self


class ImageConfig(Settings):
    """How a scene becomes an image."""

    size_px: int = Field(128, ge=64, le=1024, description="Width and height of the image.")
    steps: int = Field(8, ge=1, le=100, description="Denoising steps.")
    guidance: float = Field(1.0, ge=1, le=20, description="Classifier-free guidance; 1 turns it off.")
    style: str = Field("3d", description="Style token; `s2i styles` lists those that the model knows.")
    references: int = Field(4, ge=0, le=4, description="Library images that the decoder may look at; 0 draws without.")
    format: Literal["webp", "png", "jpeg"] = Field("webp", description="Format of the image file.")
    quality: int = Field(90, ge=1, le=100, description="Quality of a lossy format.")


class ModelConfig(Settings):
    """Which weights, and where they run."""

    checkpoint: str = Field("", description="Folder of a saved pipeline; empty means the weights in the package.")
    device: str = Field("auto", description="`cpu`, `cuda`, `cuda:1`; `auto` takes a GPU where there is one.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="Precision of the weights.")
    threads: int = Field(0, ge=0, description="CPU threads of one model replica; 0 follows the replica's num_cpus.")


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


class ResourceConfig(Settings):
    """What the jobs ask of the cluster."""

    decode: PoolConfig = Field(PoolConfig(), description="CPU: read, decode, find speech, log-mel.")
    encode: PoolConfig = Field(PoolConfig(), description="GPU or CPU: speech encoder and projection.")
    generate: PoolConfig = Field(PoolConfig(), description="GPU or CPU: images.")
    write_concurrency: int = Field(8, ge=1, description="Parallel puts of one worker against S3.")
    commit_rows: int = Field(64, ge=1, description="Rows in one table commit, at most.")
    commit_s: float = Field(10.0, gt=0, description="Seconds between table commits, at most.")
    max_attempts: int = Field(3, ge=1, description="Tries of one row before it is recorded as failed.")


class RunConfig(Settings):
    """All of it: what a preset returns."""

    name: str = Field(description="Name of the preset, for people.")
    audio: AudioConfig = AudioConfig()
    scenes: SceneConfig = SceneConfig()
    image: ImageConfig = ImageConfig()
    model: ModelConfig = ModelConfig()
    resources: ResourceConfig = ResourceConfig()

    @property
    def plan_digest(self) -> str:
        """Digest of what shapes the scenes: a change makes new scenes; a change of resources does not."""
        return config_digest({"audio": self.audio.model_dump(), "scenes": self.scenes.model_dump()})

    @property
    def image_digest(self) -> str:
        """Digest of what shapes the images."""
        return config_digest({"image": self.image.model_dump()})
