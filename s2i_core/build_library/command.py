"""`s2i library build DIR --out FOLDER`: a library of a customer's own illustrations, for a house style.

Every picture in a folder becomes a drawing with a vector from the model's image encoder; the decoder then draws from
these instead of the shipped ones. Nothing is trained.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from s2i_core.build_library.folder import Folder, read_folder
from s2i_core.models.decoders.native.drawings import save_drawings
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.options import counted
from s2i_core.storage.folders import written

app = typer.Typer(
    help="Libraries of illustrations that the model draws after: build one of your own for a house style.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def build(
    folder: Annotated[
        str,
        typer.Argument(
            help="Illustrations: SVG, PNG, WebP, JPEG, GIF; one thing on each, called by its file's name, its XMP or "
            "the table. A folder, or s3://bucket/prefix.",
            metavar="DIR",
        ),
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", help="Folder of the library, made if missing; or s3://bucket/prefix.")
    ],
    *,
    names: Annotated[
        str,
        typer.Option(
            help="CSV in DIR with the columns file and title, and if you like category, author, licence and url; by "
            "default names.csv, if it is there."
        ),
    ] = "",
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a saved model instead of the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a library of your own illustrations: use it with `--set model.decoder.library=FOLDER`.

    SVG files stay vectors, pictures are kept at 512 pixels. FOLDER/report.html shows each drawing with what it is found
    by, drawings that are nearly the same, and what could not be cut out.
    """
    from rich.console import Console

    with Console(stderr=True).status("Reading the illustrations …") as status:
        found = read_folder(
            folder, names, lambda done, total: status.update(f"Reading the illustrations: {done} of {total} …")
        )
        status.update("Loading the model …")
        from s2i_core.build_library.report import FILE, report
        from s2i_core.config import ModelConfig
        from s2i_core.models import registry
        from s2i_core.models.contracts import ThingHearer

        model = registry.load(ModelConfig(checkpoint=str(checkpoint or "")))
        status.update(f"Looking at {len(found.drawings)} illustrations …")
        library = SpriteLibrary.from_arrays(
            [drawing.info for drawing in found.drawings], (drawing.cut.sprite for drawing in found.drawings)
        )
        library.embed(model)
        assert library.vectors is not None
        grounding = model.encoder.grounding if isinstance(model.encoder, ThingHearer) else None
        page = report(f"Library of {folder}", found, library.vectors, grounding[1] if grounding else None)
        with written(out) as to_write:
            library.save(to_write)
            save_drawings(to_write, {f"{each.info.id}.{each.cut.kind}": each.cut.large for each in found.drawings})
            (to_write / FILE).write_text(page, encoding="utf-8")
    _print(out, library, found, f"{out.rstrip('/')}/{FILE}", as_json=as_json)


def _print(out: str, library: SpriteLibrary, found: Folder, page: str, *, as_json: bool) -> None:
    if as_json:
        facts: dict[str, Any] = {"library": out, "sprites": len(library), "embedded_by": library.embedded_by}
        facts["refused"] = [asdict(each) for each in found.left_out]
        facts["notes"] = [asdict(each) for each in found.notes]
        facts["report"] = page
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    for each in found.left_out:
        typer.echo(f"left out: {each.path}: {each.reason}", err=True)
    for each in found.notes:
        typer.echo(f"note: {each.path}: {each.reason}", err=True)
    typer.echo(
        f"{counted(len(library), 'illustration')} in {out}\nHow each is found: {page}\n"
        f"Use them: s2i run … --set model.decoder.library={out}"
    )
