"""`python -m s2i_core.training`: the steps from packages to a shipped checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import typer

from s2i_core.config import changed, chosen
from s2i_core.corpus.folder import PARTS
from s2i_core.errors import ConfigError
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.results import write_result
from s2i_core.storage.folders import SCHEME, kept_copy, written
from s2i_core.training import library as libraries
from s2i_core.training import recipe as recipes
from s2i_core.training.scaling import ScalingConfig, chart, measure, table
from s2i_core.weights import LIBRARY_FOLDER, shipped_checkpoint

app = typer.Typer(
    help="Train the model that ships: run data, pictures, align, place, diffuse, export in this order; each resumes. "
    "finetune goes on with the speech encoder of a complete model.",
    no_args_is_help=True,
    add_completion=False,
)

Data = Annotated[
    str, typer.Option(help="Folder of the training data; of one at s3://bucket/prefix a copy is kept in --out.")
]
Out = Annotated[Path, typer.Option(help="Folder of the training state.")]
Start = Annotated[Path | None, typer.Option(help="Checkpoint folder to go on from; by default training starts afresh.")]
Threads = Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)]
Name = Annotated[
    str, typer.Option("--recipe", help="cpu, an afternoon on two cores; or gpu, for one or more (docs/training.md).")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="One setting instead of the recipe's, such as align.steps=3000."),
]
_DATA, _OUT = "data/first", Path("runs/first")


def _use(threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)


@app.command()
def data(
    data: Annotated[str, typer.Option(help="Folder of the training data, on this machine.")] = _DATA,
    part: Annotated[
        list[str] | None, typer.Option(help=f"Speech to build: {', '.join(PARTS)}; by default all.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Checkpoint folder whose speech encoder makes the frames; by default Whisper's.")
    ] = None,
    recipe: Name = "cpu",
    changes: Changes = None,
    threads: Threads = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that speak.")] = 1,
) -> None:
    """Build the data: sprites, scenes, speech, frames, teacher's vectors (needs `infra/install.sh train`)."""
    _use(threads)
    if unknown := set(part or ()) - set(PARTS):
        raise typer.BadParameter(f"there is no part {', '.join(sorted(unknown))}; choose of {', '.join(PARTS)}")
    if data.startswith(SCHEME):
        raise ConfigError(data, "data are built on this machine", "Name a folder here, and copy it there afterwards.")
    recipes.build_data(Path(data), recipes.recipe(recipe, chosen(changes)), part or PARTS, workers, start)


def _step(name: str, train: Callable[[Path, Path, recipes.Recipe, Path | None], None], does: str) -> None:
    """Add the command of a step that trains a part by itself."""

    def command(
        data: Data = _DATA,
        out: Out = _OUT,
        start: Start = None,
        recipe: Name = "cpu",
        changes: Changes = None,
        threads: Threads = 0,
    ) -> None:
        _use(threads)
        train(_local(data, out), out, recipes.recipe(recipe, chosen(changes)), start)

    app.command(name, help=does)(command)


_step("pictures", recipes.train_pictures, "Train the image encoder.")
_step("align", recipes.train_align, "Train the projection and the layout predictor.")
_step("place", recipes.train_place, "Train a projection for the layout alone, and the layout predictor on its tokens.")
_step("diffuse", recipes.train_diffuse, "Train the denoiser.")


@app.command()
def library(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of the saved model whose library is filled up.")],
) -> None:
    """Give every style of a library everything that icons and other styles show, redrawn."""
    facts = libraries.told(libraries.complete(checkpoint))
    styles = ", ".join(f"{style} {count}" for style, count in facts["styles"].items())
    typer.echo(
        f"{facts['things']} things, {facts['drawings']} drawings, {facts['borrowed']} of them borrowed: {styles}"
    )


@app.command()
def credits(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Folder of a saved model; by default the shipped one.")
    ] = None,
) -> None:
    """Print whom a library's icons are to be credited to, as NOTICE has it."""
    library = SpriteLibrary.load((checkpoint or shipped_checkpoint()) / LIBRARY_FOLDER)
    typer.echo("\n".join(libraries.credits_of(library)))


@app.command()
def finetune(
    start: Annotated[Path, typer.Option(help="Checkpoint folder of the complete model.")],
    data: Data = _DATA,
    out: Out = _OUT,
    recipe: Name = "cpu",
    changes: Changes = None,
    threads: Threads = 0,
) -> None:
    """Fine-tune the speech encoder of a complete model; export it with the same `--start`."""
    _use(threads)
    recipes.finetune_encoder(_local(data, out, ""), out, recipes.recipe(recipe, chosen(changes)), start)


@app.command()
def export(
    data: Data = _DATA,
    out: Out = _OUT,
    target: Annotated[
        str | None,
        typer.Option(help="Folder to write, or s3://bucket/prefix; by default what the package ships."),
    ] = None,
    start: Start = None,
    recipe: Name = "cpu",
    changes: Changes = None,
) -> None:
    """Write the checkpoint; what was not trained here is taken from `--start`."""
    with written(target or str(shipped_checkpoint())) as folder:
        recipes.export(_local(data, out), out, folder, recipes.recipe(recipe, chosen(changes)), start)


def _local(data: str, out: Path, leave_out: str = "speech-") -> Path:
    """The training data, of those in a store a copy beside the state; recordings only where they are trained on."""
    return kept_copy(data, out / "data", leave_out)


@app.command()
def scaling(
    data: Data = _DATA,
    out: Out = Path("runs/scaling"),
    results: Annotated[Path, typer.Option(help="File to write.")] = Path("docs/results/data_scaling.json"),
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One setting of `training/scaling.py`, such as steps=480."),
    ] = None,
    threads: Threads = 0,
) -> None:
    """Measure what more data and more steps would buy: short trainings on shares of the data."""
    _use(threads)
    settings = changed(ScalingConfig(), chosen(changes))
    points = measure(_local(data, out), out, settings, recipes.new_projection)
    figures = {"settings": settings.model_dump(mode="json"), "points": points}
    command = " ".join(["python -m s2i_core.training scaling", *(f"--set {each}" for each in changes or ())])
    write_result(results, command, figures)
    results.with_suffix(".svg").write_text(chart(points), encoding="utf-8")
    typer.echo(table(points))


if __name__ == "__main__":
    app()
