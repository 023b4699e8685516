"""The options that shape a run, defined once: every command that takes some of them takes them under these names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from s2i_core.config import RunConfig, changed, chosen
from s2i_core.errors import ConfigError
from s2i_core.presets import preset as named

Preset = Annotated[str, typer.Option(help="Complete settings to start from: cpu, draft, gpu.")]
Style = Annotated[str | None, typer.Option(help="How the pictures look; `s2i styles` lists them.")]
Checkpoint = Annotated[Path | None, typer.Option(help="Folder of a saved model instead of the shipped one.")]
Library = Annotated[Path | None, typer.Option(help="Folder of a library of your own, made by `s2i library build`.")]
ImagesPerHour = Annotated[
    float | None, typer.Option(help="At most this many images per hour of recording: scenes get longer.")
]
SetOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="One setting instead of the preset's, such as image.steps=4; repeat."
    ),
]
Destination = Annotated[
    str | None,
    typer.Option(
        "--destination",
        "-d",
        envvar="S2I_DESTINATION",
        help="Where images and tables are: s3://bucket/folder.",
        show_envvar=True,
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Plan at most this many recordings in this run.")]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Also try again what failed for good in earlier runs.")
]
Deadline = Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop after this time.")]
GpuSeconds = Annotated[float | None, typer.Option(help="Stop when the workers have held this many GPU-seconds.")]
Cost = Annotated[
    float | None,
    typer.Option(help="Stop when the run has cost this much; set the price with --set limits.gpu_hour_price=…"),
]
S3Requests = Annotated[int | None, typer.Option(min=1, help="Requests to S3 that a job may have open at a time.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def changes(
    *,
    style: str | None = None,
    checkpoint: Path | None = None,
    library: Path | None = None,
    images_per_hour: float | None = None,
    deadline: float | None = None,
    gpu_seconds: float | None = None,
    cost: float | None = None,
    s3_requests: int | None = None,
    settings: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What the options change in a preset, by the names of the settings; `--set` has the last word.

    Folders become absolute, as workers run elsewhere.

    Raises:
        ConfigError: a `--set` is not NAME=VALUE.
    """
    told: dict[str, Any] = {
        "image.style": style,
        "model.checkpoint": None if checkpoint is None else str(checkpoint.absolute()),
        "model.decoder.library": None if library is None else str(library.absolute()),
        "scenes.images_per_hour": images_per_hour,
        "limits.deadline_s": deadline,
        "limits.gpu_seconds": gpu_seconds,
        "limits.cost": cost,
        "limits.s3_requests": s3_requests,
    }
    return {name: value for name, value in told.items() if value is not None} | chosen(settings)


def named_destination(given: str | None) -> str:
    """The destination that an option or the environment names.

    Raises:
        ConfigError: neither does.
    """
    if not given:
        remedy = "Add --destination s3://pictures/talks, or set S2I_DESTINATION (after the demo: s3://illustrated)."
        raise ConfigError("the destination", "it is not named", remedy)
    return given


def counted(number: int, name: str, plural: str = "") -> str:
    """How many there are, in words: "1 picture", "2 stretches"."""
    return f"{number} {name if number == 1 else plural or f'{name}s'}"


def shaped(preset: str, settings: Mapping[str, Any]) -> RunConfig:
    """A preset with these changes.

    Raises:
        ConfigError: there is no such preset or setting, or the setting can't have that value.
    """
    return changed(named(preset), settings)
