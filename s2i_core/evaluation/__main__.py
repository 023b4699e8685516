"""`python -m s2i_core.evaluation`: what `s2i eval` (see `commands`) needs beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
import typer

from s2i_core.evaluation import blind, latency
from s2i_core.evaluation import judges as judging
from s2i_core.evaluation import sentences as recorded
from s2i_core.models.library import SpriteLibrary
from s2i_core.training.compose import SpriteBook
from s2i_core.weights import LIBRARY_FOLDER, shipped_checkpoint

app = typer.Typer(help="Prepare what `s2i eval` measures with.", no_args_is_help=True, add_completion=False)

_STEPS = judging.JudgesConfig().steps


@app.command()
def judges(
    work: Annotated[Path, typer.Option(help="Folder of the evaluation's data.")] = Path("data/eval"),
    steps: Annotated[int, typer.Option(help="Optimizer steps, half a second of one core each.", min=1)] = _STEPS,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)] = 0,
) -> None:
    """Train the judge of pictures; goes on where it was cut off. With few steps it can't tell many things apart."""
    if threads:
        torch.set_num_threads(threads)
    library = SpriteLibrary.load(shipped_checkpoint() / LIBRARY_FOLDER)
    book = SpriteBook(library.styled(library.infos[0].style))
    judging.train(work / "judges", book, judging.JudgesConfig(steps=steps), typer.echo)


@app.command()
def say() -> None:
    """Make the sentences of the blind test that are missing (needs `infra/install.sh train`)."""
    recorded.make(blind.SENTENCES)


@app.command()
def memory(
    speech: Annotated[Path, typer.Argument(help="A recording.")],
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved model; empty takes the shipped one.")] = "",
) -> None:
    """Print how many MiB this process has taken at most after each stage of a picture, as JSON."""
    typer.echo(json.dumps(latency.memory_by_stage(speech, checkpoint or None)))


if __name__ == "__main__":
    app()
