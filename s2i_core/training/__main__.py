"""`python -m s2i_core.training`: the steps from packages to a shipped checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from s2i_core.config import changed, chosen
from s2i_core.corpus.folder import PARTS
from s2i_core.results import write_result
from s2i_core.training import recipe as recipes
from s2i_core.training.scaling import ScalingConfig, chart, measure, table
from s2i_core.weights import shipped_checkpoint

app = typer.Typer(
    help="Train the model that ships: run data, pictures, align, place, diffuse, export in this order; each resumes. "
    "finetune goes on with the speech encoder of a complete model.",
    no_args_is_help=True,
    add_completion=False,
)

Data = Annotated[Path, typer.Option(help="Folder of the training data.")]
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
_DATA, _OUT = Path("data/first"), Path("runs/first")


def _use(threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)


@app.command()
def data(
    data: Data = _DATA,
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
    recipes.build_data(data, recipes.recipe(recipe, chosen(changes)), part or PARTS, workers, start)


@app.command()
def pictures(
    data: Data = _DATA,
    out: Out = _OUT,
    start: Start = None,
    recipe: Name = "cpu",
    changes: Changes = None,
    threads: Threads = 0,
) -> None:
    """Train the image encoder."""
    _use(threads)
    recipes.train_pictures(data, out, recipes.recipe(recipe, chosen(changes)), start)


@app.command()
def align(
    data: Data = _DATA,
    out: Out = _OUT,
    start: Start = None,
    recipe: Name = "cpu",
    changes: Changes = None,
    threads: Threads = 0,
) -> None:
    """Train the projection and the layout predictor."""
    _use(threads)
    recipes.train_align(data, out, recipes.recipe(recipe, chosen(changes)), start)


@app.command()
def place(
    data: Data = _DATA,
    out: Out = _OUT,
    start: Start = None,
    recipe: Name = "cpu",
    changes: Changes = None,
    threads: Threads = 0,
) -> None:
    """Train a projection for the layout alone, and the layout predictor on its tokens."""
    _use(threads)
    recipes.train_place(data, out, recipes.recipe(recipe, chosen(changes)), start)


@app.command()
def diffuse(
    data: Data = _DATA,
    out: Out = _OUT,
    start: Start = None,
    recipe: Name = "cpu",
    changes: Changes = None,
    threads: Threads = 0,
) -> None:
    """Train the denoiser."""
    _use(threads)
    recipes.train_diffuse(data, out, recipes.recipe(recipe, chosen(changes)), start)


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
    recipes.finetune_encoder(data, out, recipes.recipe(recipe, chosen(changes)), start)


@app.command()
def export(
    data: Data = _DATA,
    out: Out = _OUT,
    target: Annotated[Path | None, typer.Option(help="Folder to write; by default what the package ships.")] = None,
    start: Start = None,
    recipe: Name = "cpu",
    changes: Changes = None,
) -> None:
    """Write the checkpoint; what was not trained here is taken from `--start`."""
    recipes.export(data, out, target or shipped_checkpoint(), recipes.recipe(recipe, chosen(changes)), start)


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
    points = measure(data, out, settings, recipes.new_projection)
    figures = {"settings": settings.model_dump(mode="json"), "points": points}
    command = " ".join(["python -m s2i_core.training scaling", *(f"--set {each}" for each in changes or ())])
    write_result(results, command, figures)
    results.with_suffix(".svg").write_text(chart(points), encoding="utf-8")
    typer.echo(table(points))


if __name__ == "__main__":
    app()
