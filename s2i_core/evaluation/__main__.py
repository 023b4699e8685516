"""`python -m s2i_core.evaluation`: what `s2i eval` (see `commands`) needs beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import torch
import typer

from s2i_core.config import ImageConfig, changed, chosen
from s2i_core.corpus.compose import SpriteBook
from s2i_core.errors import ConfigError
from s2i_core.evaluation import coverage as reaching
from s2i_core.evaluation import latency
from s2i_core.evaluation import sentences as recorded
from s2i_core.evaluation.lectures import shown, unnamed
from s2i_core.evaluation.lectures.calibrate import development, fit, limits
from s2i_core.evaluation.lectures.heard import Voices, hear
from s2i_core.evaluation.lectures.listeners import grounded, listener_named
from s2i_core.evaluation.lectures.measure import line, measure, spoken_by, summary
from s2i_core.evaluation.lectures.passages import Split
from s2i_core.evaluation.lectures.score import Judged, judge
from s2i_core.evaluation.lectures.spoken import CHANNELS, through
from s2i_core.evaluation.native import blind, sheets
from s2i_core.evaluation.native import contents as written_down
from s2i_core.evaluation.native import judges as judging
from s2i_core.evaluation.native.namer import NamerConfig
from s2i_core.evaluation.native.scenery import SceneryConfig
from s2i_core.evaluation.report.card import write_card
from s2i_core.evaluation.statistics import share
from s2i_core.models import registry
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.parts import load_part
from s2i_core.models.speech.grounding import Grounding
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.presets import cpu
from s2i_core.results import write_result
from s2i_core.weights import LIBRARY_FOLDER, least_heard, shipped_checkpoint

T = TypeVar("T")
app = typer.Typer(help="Prepare what `s2i eval` measures with.", no_args_is_help=True, add_completion=False)

_STEPS, _NAMER_STEPS = SceneryConfig().steps, NamerConfig().steps


@app.command()
def judges(
    checkpoint: Annotated[str, typer.Option(help="Folder of the model whose library's things it is to know.")] = "",
    work: Annotated[Path, typer.Option(help="Folder of the evaluation's data.")] = Path("data/eval"),
    steps: Annotated[
        int, typer.Option(help="Optimizer steps of the judge of settings, a fifth of a second of one core each.", min=1)
    ] = _STEPS,
    namer_steps: Annotated[
        int, typer.Option(help="Optimizer steps of the namer of things, a quarter of a second of one core each.", min=1)
    ] = _NAMER_STEPS,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)] = 0,
) -> None:
    """Train the judge of pictures anew, for `s2i eval --judge data/eval/judges`; goes on where it was cut off.

    A judge ships with the package. Another is needed where the library has other things.
    """
    if threads:
        torch.set_num_threads(threads)
    library = SpriteLibrary.load((Path(checkpoint) if checkpoint else shipped_checkpoint()) / LIBRARY_FOLDER)
    book = SpriteBook(library.as_drawn.styled(ImageConfig().style))
    config = judging.JudgesConfig(scenery=SceneryConfig(steps=steps), namer=NamerConfig(steps=namer_steps))
    judging.train(work / "judges", book, config, typer.echo)


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


@app.command()
def lectures(
    listener: Annotated[
        str,
        typer.Argument(
            help="windows, of the projection, untrained; cascade, or cascade-tiny.en; or a grounding's folder."
        ),
    ],
    split: Annotated[str, typer.Option(help="test, for reporting; dev, for choosing.")] = "test",
    voice: Annotated[str, typer.Option(help="neural, robotic, or people.")] = "neural",
    channel: Annotated[str, typer.Option(help="clean, noise (10 dB) or telephone.")] = "clean",
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved model; empty takes the shipped one.")] = "",
    work: Annotated[Path, typer.Option(help="Folder of the evaluation's data.")] = Path("data/eval"),
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Ask how much of what lecturers name is heard, and when (the first run speaks the lectures: ten minutes)."""
    if threads:
        torch.set_num_threads(threads)
    chosen = (_one_of(split, get_args(Split)), _one_of(voice, get_args(Voices)), _one_of(channel, CHANNELS))
    found = measure(listener_named(listener, checkpoint or None, work), *chosen)
    typer.echo(json.dumps(summary(found)) if as_json else line(f"{listener}, {split}, {voice}, {channel}", found))


@app.command("lecture-pictures")
def lecture_pictures(
    split: Annotated[str, typer.Option(help="test, for reporting; dev, for choosing.")] = "test",
    voice: Annotated[str, typer.Option(help="neural, robotic, or people.")] = "neural",
    channel: Annotated[str, typer.Option(help="clean, noise (10 dB) or telephone.")] = "clean",
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved model; empty takes the shipped one.")] = "",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting, such as scenes.precision=0.9.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Ask how many pictures of a lecture show what is named in their scene, how many there are, and what hearing costs.

    On one core; decoding, finding speech and planning are in its time.
    """
    torch.set_num_threads(1)
    config = changed(cpu(), {"model.checkpoint": checkpoint, "model.threads": 1} | chosen(changes))
    model = registry.load(config.model)
    found = shown.measure(
        model,
        config,
        [
            hear(model, config, lecture, through(lecture, _one_of(channel, CHANNELS)), least_heard(config))
            for lecture in spoken_by(_one_of(voice, get_args(Voices)), _one_of(split, get_args(Split)))
        ],
    )
    told = {
        "pictures": found.pictures,
        "right": share(found.right).value,
        "things_right": share(found.things_right).value,
        "a_minute": found.a_minute,
        "a_minute_of_names": found.a_minute_of_names,
        "heard_s_a_minute": found.heard_s_a_minute,
        "minutes": found.minutes,
    }
    if as_json:
        typer.echo(json.dumps(told))
        return
    typer.echo(
        "{pictures} pictures in {minutes:.0f} min, {a_minute:.1f} a minute ({a_minute_of_names:.1f} where something is "
        "named): {right:.2f} show something named in their scene, {things_right:.2f} of what they show is; "
        "{heard_s_a_minute:.1f} s to hear a minute".format(**told)
    )


@app.command("bad-input")
def bad_input(
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved model; empty takes the shipped one.")] = "",
    precision: Annotated[float, typer.Option(help="Of what is told, as of s2i hear.", min=0.01, max=0.99)] = 0.85,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Ask what is heard where nothing is named: two at once, singing, a cough, laughter, letters, Mr Fox."""
    torch.set_num_threads(1)
    pipeline = SpeechToImagePipeline.from_pretrained(checkpoint or None)
    seconds: Counter[str] = Counter()
    told: dict[str, list[str]] = {}
    for each in unnamed.sounds():
        seconds[each.title] += round(each.duration_s)
        told.setdefault(each.title, []).extend(thing.title for thing in pipeline.hear(each.sound, precision=precision))
    if as_json:
        typer.echo(json.dumps({kind: {"seconds": seconds[kind], "told": titles} for kind, titles in told.items()}))
        return
    for kind, titles in told.items():
        typer.echo(f"{kind:<20} {seconds[kind]:>3} s  {len(titles):>2} told  {', '.join(titles)}")
    wrong = sum(map(len, told.values()))
    typer.echo(f"{wrong / sum(seconds.values()) * 60:.1f} wrong things a minute of what names nothing")


@app.command()
def contents(
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved model; empty takes the shipped one.")] = "",
    judge: Annotated[Path | None, typer.Option(help="Folder of judges that know the model's library.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON, with machine and versions.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)] = 0,
) -> None:
    """Ask whether pictures show what is written down of them, by the judges of pictures and by their pixels."""
    if threads:
        torch.set_num_threads(threads)
    model = registry.load(changed(cpu(), {"model.checkpoint": checkpoint}).model)
    image = ImageConfig()
    judges = judging.Judges.load(
        judge or judging.shipped(), model.decoder.library.as_drawn.styled(image.style).concepts
    )
    found = written_down.measure(model, judges, recorded.load()[0], image)
    if out is not None:
        command = "python -m s2i_core.evaluation contents"
        write_result(out, command, {name: asdict(figure) for name, figure in found.items()})
    typer.echo(", ".join(f"{name} {figure.value:.3f} of {figure.n}" for name, figure in found.items()))


@app.command()
def sheet(
    out: Annotated[Path, typer.Argument(help="File to write, by its name PNG, JPEG or WebP.")],
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved model; empty takes the shipped one.")] = "",
    style: Annotated[str, typer.Option(help="One of `s2i styles`.")] = "3d",
    size_px: Annotated[int, typer.Option(help="Side of each picture as it is drawn.")] = 1024,
    shown_px: Annotated[int, typer.Option(help="Height of each on the sheet; 0 for as it is drawn.", min=0)] = 0,
    count: Annotated[int, typer.Option(help="Pictures.", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="Of the scenes; the same in every style.")] = 0,
    new: Annotated[bool, typer.Option("--new", help="Only things that are redrawn of icons.")] = False,
    names: Annotated[bool, typer.Option(help="Say below each what it shows.")] = True,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)] = 0,
) -> None:
    """Draw scenes of things by lot, unpicked, on one sheet to look at."""
    if threads:
        torch.set_num_threads(threads)
    pipeline = SpeechToImagePipeline.from_pretrained(checkpoint or None)
    images, shows = sheets.pictures(pipeline, ImageConfig(style=style, size_px=size_px), count, seed, new)
    told = [", ".join(thing.title for thing in each.things) for each in shows] if names else []
    out.parent.mkdir(parents=True, exist_ok=True)
    sheets.sheet(images, told, side_px=shown_px).save(out)


@app.command()
def card(
    results: Annotated[Path, typer.Option(help="The result file of `s2i eval`.")] = Path("docs/results/model.json"),
    checkpoint: Annotated[str, typer.Option(help="Folder of the model; empty takes the shipped one.")] = "",
) -> None:
    """Write the model's card anew from a result file, as `s2i eval` does at its end; nothing is measured."""
    if not results.is_file():
        raise ConfigError(str(results), "there is no such result file", "Measure the model first: s2i eval.")
    folder = Path(checkpoint) if checkpoint else shipped_checkpoint()
    path = write_card(json.loads(results.read_text("utf-8")), folder)
    typer.echo(f"Written: {path}")


@app.command()
def coverage(
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved model; empty takes the shipped one.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON, with machine and versions.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)] = 0,
) -> None:
    """Ask how many of the 2,000 most frequent concrete nouns have a picture, and how many had one without icons."""
    if threads:
        torch.set_num_threads(threads)
    library = SpriteLibrary.load((Path(checkpoint) if checkpoint else shipped_checkpoint()) / LIBRARY_FOLDER)
    found = {
        name: asdict(reaching.measure(each.concepts))
        for name, each in (("library", library), ("as_drawn", library.as_drawn))
    }
    if out is not None:
        write_result(out, "python -m s2i_core.evaluation coverage", found)
    for name, told in found.items():
        typer.echo(
            "{0}: {named:.3f} named, {synonyms:.3f} with synonyms, {near:.3f} with near names".format(name, **told)
        )


@app.command()
def calibrate(
    grounding: Annotated[Path, typer.Argument(help="Folder of a grounding; its curve of confidence is set.")],
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved model; empty takes the shipped one.")] = "",
    takes: Annotated[int, typer.Option(help="By how many voices each lecture is spoken.", min=1, max=2)] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all cores.", min=0)] = 0,
) -> None:
    """Make a grounding's confidence a probability, by the lectures of development and by talk that names nothing.

    Of neural voices, in noise and by telephone too, and of robotic ones. And keep the confidences from which what it
    hears has some precision: `scenes.precision` is one of those.
    """
    if threads:
        torch.set_num_threads(threads)
    part = load_part(grounding, Grounding)
    part.register_to_config(slope=1.0, offset=0.0)
    listener = grounded(part, checkpoint or None)
    judged: dict[str, list[Judged]] = {}
    for name, lecture, sound in development(takes):
        judged.setdefault(name, []).extend(judge(listener(lecture, sound), lecture.said))
    answers = [one for own in judged.values() for one in own]
    slope, offset = fit(answers)
    part.register_to_config(slope=slope, offset=offset)
    part.register_to_config(limits=limits(answers, part.confidence))
    part.save_pretrained(grounding)
    heard = {name: len(own) for name, own in judged.items()}
    typer.echo(json.dumps({"slope": slope, "offset": offset, "limits": part.config.limits, "answers": heard}))


def _one_of(value: str, options: Sequence[T]) -> T:
    for option in options:
        if option == value:
            return option
    raise typer.BadParameter(f"{value} is none of {', '.join(map(str, options))}")


if __name__ == "__main__":
    app()
