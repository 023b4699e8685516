"""`python -m s2i_core.training`: the steps from packages to a shipped checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from s2i_core.pipeline import shipped_checkpoint
from s2i_core.training import recipe

app = typer.Typer(
    help="Train the model that ships: run data, pictures, align, diffuse, export in this order; each resumes.",
    no_args_is_help=True,
    add_completion=False,
)

Data = Annotated[Path, typer.Option(help="Folder of the training data.")]
Out = Annotated[Path, typer.Option(help="Folder of the training state.")]
Threads = Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)]
_DATA, _OUT = Path("data/first"), Path("runs/first")


def _use(threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)


@app.command()
def data(data: Data = _DATA, threads: Threads = 0) -> None:
    """Build the data: sprites, scenes, speech, frames, teacher's vectors (needs `infra/install.sh train`)."""
    _use(threads)
    recipe.build_data(data, recipe.cpu_afternoon())


@app.command()
def pictures(data: Data = _DATA, out: Out = _OUT, threads: Threads = 0) -> None:
    """Train the image encoder."""
    _use(threads)
    recipe.train_pictures(data, out, recipe.cpu_afternoon())


@app.command()
def align(data: Data = _DATA, out: Out = _OUT, threads: Threads = 0) -> None:
    """Train the projection and the layout predictor."""
    _use(threads)
    recipe.train_align(data, out, recipe.cpu_afternoon())


@app.command()
def diffuse(data: Data = _DATA, out: Out = _OUT, threads: Threads = 0) -> None:
    """Train the denoiser."""
    _use(threads)
    recipe.train_diffuse(data, out, recipe.cpu_afternoon())


@app.command()
def export(data: Data = _DATA, out: Out = _OUT, target: Annotated[Path | None, typer.Option()] = None) -> None:
    """Write the checkpoint; by default over the one that the package ships."""
    recipe.export(data, out, target or shipped_checkpoint(), recipe.cpu_afternoon())


if __name__ == "__main__":
    app()
