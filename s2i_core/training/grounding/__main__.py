"""`python -m s2i_core.training.grounding speak FOLDER --engine kokoro`: see docs/training.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from s2i_core.config import changed, chosen
from s2i_core.corpus import lexicon
from s2i_core.corpus.sources import voices
from s2i_core.corpus.teacher import TextTeacher
from s2i_core.models.parts import load_part
from s2i_core.models.speech.grounding import Grounding
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.training.grounding import frames as frame_shards
from s2i_core.training.grounding import sentences, spoken, trainer
from s2i_core.training.grounding.trainer import GroundingConfig
from s2i_core.training.library import to_be_heard
from s2i_core.weights import GROUNDING_FOLDER

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def main() -> None:
    """Train what hears single things in talk."""


@app.command()
def speak(
    folder: Annotated[Path, typer.Argument(help="Of the data; each engine gets a folder in it.")],
    engine: Annotated[str, typer.Option(help="kokoro, piper, flite or espeak.")],
    count: Annotated[int, typer.Option(help="Utterances; a larger count goes on from a smaller one.")] = 4000,
    shard: Annotated[int, typer.Option(help="Utterances of a shard.")] = 100,
) -> None:
    """Synthesise sentences with timed words: things named among much else, and what only sounds like them."""
    # The engine decides the sentences too: no two say the same.
    rng = np.random.default_rng(list(voices.TRAIN_BY_ENGINE).index(engine))
    texts = sentences.texts(lexicon.shipped(), count, voices.phonemes_of, rng)
    spoken.speak(spoken.cast(texts, engine, np.random.default_rng(len(engine))), folder / engine, shard)


@app.command()
def frames(
    folder: Annotated[Path, typer.Argument(help="Of the data; frames go beside the speech.")],
    checkpoint: Annotated[str, typer.Option(help="Whose speech encoder; empty for the shipped one.")] = "",
    take: Annotated[int, typer.Option(help="Another number gives the same speech other rooms and neighbours.")] = 0,
    engines: Annotated[str, typer.Option(help="Some of them, with commas; empty for all.")] = "",
) -> None:
    """Encode what is spoken so far."""
    torch.set_num_threads(1)
    encoder = SpeechToImagePipeline.from_pretrained(checkpoint or None).speech_encoder
    things = lexicon.shipped()
    for engine in engines.split(",") if engines else voices.TRAIN_BY_ENGINE:
        frame_shards.build(folder / engine, folder.parent / "frames" / engine, things, encoder, take)


@app.command()
def train(
    folder: Annotated[Path, typer.Argument(help="Of the frames, a folder for each engine.")],
    out: Annotated[Path, typer.Argument(help="Folder of the training state.")],
    checkpoint: Annotated[str, typer.Option(help="Whose projection it begins with; empty for the shipped one.")] = "",
    queries: Annotated[int, typer.Option(help="Queries of the transformer; 0 for as many as the projection has.")] = 0,
    start: Annotated[
        Path | None, typer.Option(help="Folder of a grounding that it goes on from, in place of a projection.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 2,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another setting, such as steps=3000.")
    ] = None,
) -> None:
    """Train windows to be near what is named in them; resumes."""
    torch.set_num_threads(threads)
    config = changed(GroundingConfig(), chosen(changes))
    captions = [thing.caption for thing in lexicon.shipped().things]
    if start:
        grounding = load_part(start, Grounding, torch.float32)
        grounding.register_to_config(slope=1.0, offset=0.0, limits=())  # what it was calibrated for is not what comes
    else:
        projection = SpeechToImagePipeline.from_pretrained(checkpoint or None).projection
        grounding = Grounding.from_projection(projection, queries or None)
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    trainer.train(folders, out, grounding, captions, TextTeacher()(captions), config)


@app.command()
def mean(
    before: Annotated[Path, typer.Argument(help="Folder of a grounding.")],
    after: Annotated[Path, typer.Argument(help="Folder of one that went on from it.")],
    out: Annotated[Path, typer.Argument(help="Folder of the one between them, which is to be calibrated.")],
    share: Annotated[float, typer.Option(help="How much of the second one it is.", min=0, max=1)] = 0.5,
) -> None:
    """Average the weights of two groundings (WiSE-FT, Wortsman et al. 2022), which keeps what either has learned."""
    first, second = (load_part(folder, Grounding) for folder in (before, after))
    own, other = first.state_dict(), second.state_dict()
    first.load_state_dict({name: torch.lerp(own[name], other[name], share) for name in own})
    first.register_to_config(slope=1.0, offset=0.0, limits=())
    first.save_pretrained(out)


@app.command()
def export(
    grounding: Annotated[Path, typer.Argument(help="Folder of a trained and calibrated grounding.")],
    checkpoint: Annotated[Path, typer.Argument(help="Folder of the saved model that gets it, in float16.")],
) -> None:
    """Put a grounding into a checkpoint, with the things of its library in the style that is drawn by default."""
    vocabulary = to_be_heard(SpeechToImagePipeline.from_pretrained(checkpoint).library)
    target = checkpoint / GROUNDING_FOLDER
    made = load_part(grounding, Grounding, torch.float16)
    made.register_to_config(_name_or_path=GROUNDING_FOLDER)  # not the folder of this machine
    made.save_pretrained(target)
    vocabulary.save(target)
    size = sum(file.stat().st_size for file in target.iterdir())
    told = f"{len(vocabulary.titles)} things to be heard among {len(vocabulary.others)} others"
    typer.echo(f"{told}, {size / 1e6:.1f} MB in {target}")


if __name__ == "__main__":
    app()
