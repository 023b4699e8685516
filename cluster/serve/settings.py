"""Settings of the service: limits, replicas, who may use it."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from s2i_core.config import RunConfig, Settings, changed
from s2i_core.errors import ConfigError
from s2i_core.presets import preset
from s2i_core.storage.objects import S3Settings
from s2i_core.storage.places import Place, destination


class Limits(Settings):
    """What one request, and all of them together, may take."""

    max_clip_bytes: int = Field(20 << 20, gt=0, description="Largest clip of `/v1/images`.")
    max_clip_s: float = Field(60.0, gt=0, description="Longest clip of `/v1/images` and `/v1/live`.")
    max_clip_decode_s: float = Field(10.0, gt=0, description="Longest time that decoding a clip may take.")
    max_recording_bytes: int = Field(500 << 20, gt=0, description="Largest recording of `/v1/recordings`.")
    max_recording_s: float = Field(2 * 3600.0, gt=0, description="Longest recording of `/v1/recordings`.")
    max_recording_decode_s: float = Field(900.0, gt=0, description="Longest time for reading and decoding one.")
    max_size_px: int = Field(1024, ge=64, le=2048, description="Longer side of the largest picture.")
    max_steps: int = Field(50, ge=1, le=100, description="Most denoising steps.")
    max_images: int = Field(4, ge=1, le=16, description="Most pictures of one clip.")
    max_cost: float = Field(
        256.0, gt=0, description="Most work of one request: images × steps × 256 px², so that none holds up the others."
    )
    head_s: float = Field(5.0, gt=0, description="Longest time for the head of a request, where HAProxy takes it.")
    max_connections: int = Field(
        256,
        ge=1,
        description="Connections of one address, where HAProxy takes them; more get 429. Many people may share an "
        "address. This machine and `trusted_proxies` may have any number.",
    )
    upload_idle_s: float = Field(15.0, gt=0, description="Longest pause in an upload.")
    upload_bytes_per_s: float = Field(
        500.0, gt=0, description="Slowest upload, counted from `upload_idle_s` on: 4 kbit/s, as no speech codec is."
    )
    upload_s: float = Field(300.0, gt=0, description="Longest upload.")
    timeout_s: float = Field(30.0, gt=0, le=120, description="Deadline of a request that names none.")
    max_wait_s: float = Field(
        10.0,
        gt=0,
        description="Longest that a clip may wait, in all queues together: who would wait longer, by how fast clips "
        "are answered, gets 503 at once, and who has waited longer all the same gets it then.",
    )
    max_clips: int = Field(64, ge=1, description="Clips at work or waiting in one ingress replica; more get 503.")
    max_listening: int = Field(4, ge=1, description="Threads of one ingress replica that decode and find speech.")
    max_uploads: int = Field(64, ge=1, description="Uploads under way in one ingress replica; more get 503.")
    max_live: int = Field(32, ge=1, description="Live connections of one ingress replica; more get 503.")
    max_events: int = Field(64, ge=1, description="Event streams of one ingress replica; more get 503.")
    key_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Part of the places of each kind (clips, uploads, live connections, event streams, recordings) "
        "that one key may hold; more get 429. At least one place.",
    )
    wrong_keys_per_minute: int = Field(
        30,
        ge=1,
        description="Wrong keys that are heard out from one address; more get 429, until they have become fewer. "
        "Whoever sends a right one is taken all the same.",
    )
    live_idle_s: float = Field(30.0, gt=0, description="A live connection without a message for this long is closed.")
    live_s: float = Field(3600.0, gt=0, description="Longest live connection.")
    max_recordings: int = Field(16, ge=1, description="Recordings at work or waiting; more get 503.")
    recordings_at_once: int = Field(2, ge=1, description="Recordings at work.")
    kept_s: float = Field(3600.0, gt=0, description="How long a finished recording's pictures are kept, in memory.")
    max_kept: int = Field(64, ge=1, description="Finished recordings that are kept, the latest.")
    max_queries: int = Field(2, ge=1, description="Statements over the tables in one ingress replica; more get 503.")
    query_s: float = Field(30.0, gt=0, le=300, description="Longest time of a statement.")
    query_memory: str = Field("1GB", description="Memory that a statement may use.")
    query_rows: int = Field(10_000, ge=1, le=100_000, description="Most rows of an answer.")

    def share(self, places: int) -> int:
        """How many of so many places one key may hold."""
        return max(1, int(self.key_share * places))


class Replicas(Settings):
    """How many copies of a deployment there are, and what one holds."""

    minimum: int = Field(1, ge=1, description="Never fewer.")
    maximum: int = Field(1, ge=1, description="Never more.")
    num_cpus: float = Field(1, ge=0, description="CPUs that one holds.")
    num_gpus: float = Field(0, ge=0, description="GPUs that one holds.")
    memory_bytes: int = Field(0, ge=0, description="Memory that one reserves; 0 reserves none.")
    per_node: int | None = Field(None, ge=1, description="Never more of them on one node, so that they spread.")
    target_queue: float = Field(4.0, gt=0, description="Requests at work or waiting per copy that autoscaling aims at.")
    batch_cost: float = Field(
        30.0, gt=0, description="Largest batch: seconds of audio (encoder), or images × steps × 256 px² (generator)."
    )
    max_queued: int = Field(64, ge=1, description="Requests that wait in one copy; more are refused.")
    upscale_after_s: float = Field(5.0, ge=0, description="More copies once they were wanted for this long.")
    downscale_after_s: float = Field(120.0, ge=0, description="Fewer copies once they were wanted for this long.")
    look_back_s: float = Field(30.0, gt=0, description="Requests are counted as the mean over this long.")
    report_s: float = Field(10.0, gt=0, description="How often they are counted for autoscaling.")

    def fixed(self, copies: int) -> Replicas:
        """The same with so many copies, always, wherever they are."""
        return self.model_copy(update={"minimum": copies, "maximum": copies, "per_node": None})

    @model_validator(mode="after")
    def _ordered(self) -> Replicas:
        if self.minimum > self.maximum:
            raise ValueError(f"replicas need minimum <= maximum, not {self.minimum}, {self.maximum}")
        if self.look_back_s <= self.report_s:
            raise ValueError(f"replicas need look_back_s > report_s, not {self.look_back_s:g}, {self.report_s:g}")
        return self


class ServeSettings(Settings):
    """The whole service: the arguments of `serve run cluster.serve.app:app` and of a Serve config file."""

    preset: str = Field("cpu", description="The preset whose audio, scene, image and model settings are served.")
    checkpoint: str = Field("", description="Folder of a saved pipeline; empty means the weights in the package.")
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="Single settings instead of the preset's, such as `{'image.style': 'sketch'}`.",
    )
    run: RunConfig | None = Field(None, description="All settings of the model, instead of a preset.")
    access: Literal["loopback", "keys"] = Field(
        "loopback",
        description="Who may use it: this machine alone, without keys; or whoever has a key, from anywhere.",
    )
    keys_file: str = Field("", description="Path of the file of hashed keys; `s2i serve key` writes it.")
    s3_prefixes: tuple[str, ...] = Field(
        (), description="Folders and objects that may be read, such as `s3://bucket/folder`; none by default."
    )
    destination: str = Field(
        "",
        description="What runs illustrated and editors may change here, such as `s3://pictures/talks`: on this "
        "machine, or with a key that has the right to (`s2i serve key --edits`). None by default.",
    )
    tables: str = Field(
        "",
        description="A destination, such as `s3://pictures/talks`, whose tables may be asked in SQL at `/v1/query` by "
        "keys that may; none by default.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses or networks of proxies on other machines that HAProxy believes where a request comes "
        "from (`X-Forwarded-For`); those of this machine are believed as they are.",
    )
    store: S3Settings | None = Field(None, description="The object store; without, from the environment.")
    limits: Limits = Limits()
    ingress: Replicas = Field(Replicas(maximum=2, num_cpus=0.25, target_queue=24), description="HTTP, decoding.")
    encoder: Replicas = Field(Replicas(num_cpus=1), description="Speech encoder and projection.")
    generator: Replicas = Field(Replicas(num_cpus=1, maximum=2, batch_cost=64), description="Denoiser.")

    @model_validator(mode="before")
    @classmethod
    def _scaled(cls, given: Any) -> Any:
        """What was not said of the replicas and limits is as the preset needs it."""
        if not isinstance(given, dict):
            return given
        usual = {name: field.default for name, field in cls.model_fields.items() if isinstance(field.default, Settings)}
        if given.get("preset") == "gpu":
            usual |= _SCALING
        said = {name: given.get(name, default) for name, default in usual.items()}
        return given | {
            name: usual[name].model_dump() | own if isinstance(own, dict) else own for name, own in said.items()
        }

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(each, strict=False)) for each in given)

    @model_validator(mode="after")
    def _closed(self) -> ServeSettings:
        for each in self.s3_prefixes:
            Place.of(each)
        if self.destination:
            destination(self.destination)
        if self.tables:
            destination(self.tables)
        if self.access == "keys" and not self.keys_file:
            raise ConfigError(
                "access=keys", "there is no file of keys", "Make a key with `s2i serve key`, and name the file."
            )
        return self

    def config(self) -> RunConfig:
        """Settings of the model.

        Raises:
            ConfigError: there is no such preset or setting.
        """
        config = self.run or preset(self.preset)
        chosen = {"model.checkpoint": self.checkpoint} if self.checkpoint else {}
        return changed(config, chosen | self.settings)

    def on_one_machine(self, cpus: int, gpus: int) -> ServeSettings:
        """The same where no machine is added: all copies of the model are there from the start, and stay.

        A copy that starts beside others on their cores takes longer than the load that asked for it, and meanwhile
        slows them down.

        Args:
            cpus: cores of the machine; a generator without a GPU takes one.
            gpus: GPUs of the machine; with them, each has an encoder and a generator.
        """
        own = gpus if self.generator.num_gpus else min(cpus, _MOST_COPIES)
        copies = {
            "ingress": self.ingress.fixed(1),
            "encoder": self.encoder.fixed(max(1, gpus if self.encoder.num_gpus else 1)),
            "generator": self.generator.fixed(max(1, own)),
        }
        return self.model_copy(update=copies)

    def logical_cpus(self) -> float:
        """CPUs that Ray must have for all replicas at their maximum."""
        return sum(each.maximum * each.num_cpus for each in (self.ingress, self.encoder, self.generator)) + DESK_CPUS


_MOST_COPIES = 8
"""Most copies of the generator on one machine without a GPU: each takes about a gigabyte."""

DESK_CPUS = 0.25
"""CPUs that the one desk holds."""


_SCALING: dict[str, Settings] = {
    "ingress": Replicas(maximum=8, num_cpus=1, target_queue=24),
    "encoder": Replicas(maximum=4, num_gpus=0.25, batch_cost=480, max_queued=256),
    "generator": Replicas(maximum=16, num_gpus=0.75, batch_cost=512, max_queued=256, target_queue=32),
    "limits": Limits(max_clips=256, max_cost=4096),
}
"""One GPU a node: a quarter for the encoder, three quarters for the generator; wide batches."""


def serve_config(
    preset_name: str,
    keys_file: str,
    s3_prefixes: tuple[str, ...] = (),
    changes: Mapping[str, Any] | None = None,
    edited: str = "",
) -> str:
    """A Serve config file (YAML) for a cluster, where every request needs a key.

    Raises:
        ConfigError: there is no such preset or setting.
    """
    import yaml  # type: ignore[import-untyped]  # comes with ray

    told = dict(changes or {})
    settings = ServeSettings(
        preset=preset_name,
        access="keys",
        keys_file=keys_file,
        s3_prefixes=s3_prefixes,
        settings=told,
        destination=edited,
    )
    settings.config()
    arguments: dict[str, Any] = {"preset": preset_name, "access": "keys", "keys_file": keys_file}
    if s3_prefixes:
        arguments["s3_prefixes"] = list(s3_prefixes)
    if edited:
        arguments["destination"] = edited
    if told:
        arguments["settings"] = told
    application = {"name": "s2i", "route_prefix": "/", "import_path": "cluster.serve.app:app", "args": arguments}
    document = {
        "proxy_location": "EveryNode",
        # No request_timeout_s: it would cut live connections and event streams; the service has its own deadlines.
        "http_options": {"host": "0.0.0.0", "port": 8000, "keep_alive_timeout_s": 65},
        "logging_config": {"encoding": "JSON"},
        "applications": [application],
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text
