"""Write docs/settings.md from the descriptions in the code: `python docs/reference.py`.

With --check, write nothing and fail where the page is out of date.
"""

# ruff: noqa: E501

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cluster.serve.settings import Limits, Replicas, ServeSettings
from s2i_core.config import (
    AudioConfig,
    CollageDecoderConfig,
    DecoderConfig,
    DriftConfig,
    ImageConfig,
    LimitConfig,
    ModelConfig,
    NativeDecoderConfig,
    PackConfig,
    PoolConfig,
    ProvenanceConfig,
    ReportConfig,
    ResourceConfig,
    SceneConfig,
    SelectionConfig,
    SourceConfig,
    WhisperEncoderConfig,
)
from s2i_core.presets import PRESETS
from s2i_core.storage.objects import S3Settings

PAGE = Path(__file__).parent / "settings.md"

INTRODUCTION = """# Settings

Every setting of s2i, its default and its limits. This page is written by `python docs/reference.py`; the place to
change it is the code.

A run has one `RunConfig` (`s2i_core/config.py`). It is immutable, an unknown name is an error, and a *preset*
(`s2i_core/presets.py`) is a function that returns a complete one. To have settings of your own, add a function there.

Two digests are computed from it. `plan_digest` covers `audio` and `scenes`: change one of those, and the next run makes
new scenes beside the old. `image_digest` covers what the chosen decoder reads of `image` and the decoder's own settings:
change it, and the next run makes new images of the same scenes. `resources` are in neither, for where and how fast
something runs does not shape the result. The weights have two digests of their own: that of `model.encoder` names
scenes, that of `model.decoder` and its library names images.
"""

SECTIONS: list[tuple[str, type[BaseModel], str]] = [
    ("source", SourceConfig, "Which objects of a source are recordings; see [your own bucket](own-bucket.md)."),
    ("audio", AudioConfig, "How an object becomes segments of speech."),
    ("scenes", SceneConfig, "How segments become scenes."),
    ("image", ImageConfig, "How a scene becomes an image."),
    (
        "model",
        ModelConfig,
        "Which parts, with which weights, and where they run. A part is chosen by its `kind` (`s2i models` lists them), "
        "as in `--set model.decoder.kind=collage`, and has the settings of that kind.",
    ),
    ("model.encoder` of kind `whisper", WhisperEncoderConfig, "Whisper's encoder, and its space shared with pictures."),
    ("model.decoder` of kind `native", NativeDecoderConfig, "The shipped decoder."),
    ("model.decoder` of kind `collage", CollageDecoderConfig, "Its drawings, laid out and left unpainted."),
    ("resources", ResourceConfig, "What the jobs ask of the cluster."),
    ("resources.decoder", DecoderConfig, "The process that decodes, and may die while the job goes on."),
    ("resources.decode, .encode, .generate", PoolConfig, "One pool of workers for each of these stages."),
    ("limits", LimitConfig, "What a run may use up; see [limits](scale.md#limits)."),
    ("packs", PackConfig, "What players get; see [publishing](publish.md)."),
    ("provenance", ProvenanceConfig, "What pictures say of their origin; see [provenance](provenance.md)."),
    (
        "selection",
        SelectionConfig,
        "What is taken out or drawn again by numbers; see [editing](editing.md#by-numbers-before-people-look).",
    ),
    ("drift", DriftConfig, "Whether runs go on hearing and drawing as they did; see [drift](operate.md#drift)."),
    ("report", ReportConfig, "What a run leaves about itself; see [how runs went](operate.md#how-runs-went)."),
]

SERVICE = """## Service

The arguments of the application ([Online](online.md)) are `ServeSettings` (`cluster/serve/settings.py`). These bound it:

### `limits`

"""

COPIES = """### `ingress`, `encoder`, `generator`

How many copies of each there are, when there are more or fewer, and what one holds.

"""

ENVIRONMENT = """## Environment

| variable | meaning |
|---|---|
| `S2I_S3_ENDPOINT` | URL of an S3-compatible server; without it, and without `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, AWS S3 |
| `S2I_S3_ALLOW_HTTP` | `1` allows plain HTTP to a host that is not this machine |
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_PROFILE`, … | the login, found by boto3's standard chain: variables, profile, role of the machine |
| `AWS_REGION`, `AWS_DEFAULT_REGION` | region of the buckets |
| `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` | the network's proxy, in upper or lower case; loopback is never asked through it ([your own bucket](own-bucket.md#behind-a-proxy)) |
| `AWS_CA_BUNDLE` | a file with the certificate of a private authority, which every client then believes ([your own bucket](own-bucket.md#private-authorities)) |
| `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_EXPORTER`, `OTEL_SERVICE_NAME`, … | where traces go; without the first two there are none ([operating it](operate.md#logs-and-traces)) |
| `OPENLINEAGE_URL`, `OPENLINEAGE_ENDPOINT`, `OPENLINEAGE_API_KEY`, `OPENLINEAGE_NAMESPACE` | a catalogue that runs tell what they read and wrote; without the first none is told ([operating it](operate.md#lineage)) |
| `TRACEPARENT` | the span above a run, for whoever starts it within a trace of their own |
| `S2I_HOME` | folder for what s2i keeps on this machine between runs; without it `.s2i` in the working folder |
| `S2I_DESTINATION` | where images and tables are, for commands that read them and are not told by `--destination` |
| `S2I_EDITOR` | who edits, for commands that are not told by `--by`; without it the user of this machine ([editing](editing.md)) |
| `S2I_STORE_HOME` | folder of the embedded store for `s2i store`; without it `.s2i/store` in the working folder |
| `PREFECT_API_URL` | a Prefect server of yours; without it s2i starts one on loopback for the time of the run |
| `RAY_SERVE_ENABLE_HA_PROXY` | `0` has `s2i serve` use Ray Serve's own proxy, in Python, instead of HAProxy |
| `S2I_CACHE` | folder for the packages that training fetches |
| `S2I_CHROMIUM` | the Chromium that the browser tests use, where it is not on the path |
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for name, model, summary in SECTIONS:
        parts.append(f"## `{name}`\n\n{summary}\n\n{_table(model)}")
    parts.append(f"## Presets\n\nWhat a preset sets other than the defaults above.\n\n{_presets()}")
    store = "Where the object store is, and how patient to be with it. `from_env` reads the first three from the environment."
    parts.append(f"## Object store\n\n{store}\n\n{_table(S3Settings)}")
    parts.append(f"{SERVICE}{_table(Limits)}")
    parts.append(f"{COPIES}{_table(Replicas)}\n{_copies()}")
    parts.append(ENVIRONMENT)
    return "\n".join(parts)


def _table(model: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_type(field)} | {_default(field)} | {_cell(field.description or '')} |"
        for name, field in model.model_fields.items()
        if not isinstance(field.default, BaseModel)
    ]
    return "\n".join(["| setting | values | default | meaning |", "|---|---|---|---|", *rows, ""])


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    kinds = [kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)]
    words = {int: "whole number", float: "number", str: "text", bool: "yes or no"}
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    limits = [
        f"{sign} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, sign in signs.items()
        if hasattr(rule, name)
    ]
    return ", ".join([" or ".join(words[kind] for kind in kinds), *limits])


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined or value is None:
        return "none" if value is None else "required"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and value >= 1 << 20 and value % (1 << 20) == 0:
        return f"{value >> 20} MiB"
    return "empty" if value == "" else f"`{value}`"


def _presets() -> str:
    parts: list[str] = []
    for name, make in PRESETS.items():
        summary = " ".join((make.__doc__ or "").split())
        changed = _changed(make())
        values = ", ".join(f"`{path}={value}`" for path, value in changed) or "nothing"
        parts.append(f"- **`{name}`**: {summary} Sets {values}.")
    return "\n".join([*parts, ""])


def _copies() -> str:
    settings = ServeSettings()
    parts = []
    for name in ("ingress", "encoder", "generator"):
        values = ", ".join(f"`{path}={value}`" for path, value in _changed(getattr(settings, name))) or "nothing"
        parts.append(f"- **`{name}`** sets {values}.")
    return "\n".join([*parts, ""])


def _changed(model: BaseModel, prefix: str = "") -> list[tuple[str, Any]]:
    """Paths and values that differ from the defaults of their own model."""
    changed: list[tuple[str, Any]] = []
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            changed += _changed(value, f"{prefix}{name}.")
        elif field.default is not PydanticUndefined and value != field.default:
            changed.append((f"{prefix}{name}", value))
    return changed


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    if not parser.parse_args().check:
        PAGE.write_text(page(), "utf-8")
    elif not PAGE.exists() or PAGE.read_text("utf-8") != page():
        sys.stderr.write(f"{PAGE} is out of date: run `python docs/reference.py`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
