"""The command `s2i models`: which model parts there are, and what each needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from s2i_core.config import ModelConfig, changed
from s2i_core.models.registry import DECODERS, ENCODERS
from s2i_core.presets import PRESETS, cpu
from s2i_core.weights import checkpoint_folder

_OPTIONAL = frozenset({"layout_projection", "grounds", "grounding"})
"""Folders that a checkpoint may lack."""


def models(
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a saved model instead of the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List the speech encoders and image decoders, what each needs, and which presets have it."""
    folder = checkpoint_folder(str(checkpoint or ""))
    found = {name: [_known(name, kind, folder) for kind in kinds] for name, kinds in _KINDS.items()}
    if as_json:
        typer.echo(json.dumps({"checkpoint": str(folder), **{f"{name}s": each for name, each in found.items()}}))
        return
    for name, parts in found.items():
        typer.echo(f"model.{name}.kind")
        for part in parts:
            there = f"{part['megabytes']} MB in {folder}"
            needs = f"lacks {', '.join(part['lacks'])} in {folder}" if part["lacks"] else there
            typer.echo(f"  {part['kind']:<10} {part['about']}")
            typer.echo(f"  {'':<10} {needs}; presets: {', '.join(part['presets']) or 'none'}")
            for setting, value in part["settings"].items():
                typer.echo(f"  {'':<10} model.{name}.{setting}={json.dumps(value)}")


_KINDS = {"encoder": ENCODERS, "decoder": DECODERS}


def _known(name: str, kind: str, folder: Path) -> dict[str, Any]:
    model: ModelConfig = changed(cpu(), {f"model.{name}.kind": kind}).model
    part = getattr(model, name)
    paths = [folder / one for one in (*part.parts, *part.later_parts)]
    size = sum(file.stat().st_size for path in paths for file in path.rglob("*") if file.is_file())
    return {
        "kind": kind,
        "about": " ".join((type(part).__doc__ or "").split()),
        "settings": part.model_dump(exclude={"kind"}),
        "megabytes": round(size / 1e6, 1),
        "lacks": [path.name for path in paths if not path.is_dir() and path.name not in _OPTIONAL],
        "presets": sorted(preset for preset, make in PRESETS.items() if getattr(make().model, name).kind == kind),
    }
