"""The command `s2i hear`: what is named in one local recording, and when."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from s2i_core import options, steps
from s2i_core.audio.listen import listen
from s2i_core.config import RunConfig
from s2i_core.errors import ConfigError
from s2i_core.hearing import no_grounding, titled
from s2i_core.models.contracts import Model, ThingHearer
from s2i_core.records import Thing

_BAR = 10


@dataclass(frozen=True)
class Named:
    """What is named in a recording.

    Attributes:
        duration_s, speech_s: how long it is, and how much of it is speech.
        damage: what was wrong with a file that could be used all the same.
        things: in the order of time.
    """

    duration_s: float
    speech_s: float
    damage: str | None
    things: list[Thing]

    def told(self) -> dict[str, Any]:
        """What `s2i hear --json` prints."""
        things = [
            {
                "thing": thing.title,
                "start_s": round(thing.start_s, 2),
                "end_s": round(thing.end_s, 2),
                "confidence": round(thing.confidence, 3),
            }
            for thing in self.things
        ]
        return {"duration_s": round(self.duration_s, 3), "things": things}

    def timeline(self) -> str:
        """The same for people: a line for each thing, below what was heard."""
        spoken = f"{_clock(self.duration_s)} of recording, {_clock(self.speech_s)} of speech"
        if not self.things:
            return f"{spoken}: nothing is named that could be drawn"
        width = max(len(thing.title) for thing in self.things)
        lines = [
            f"{_clock(thing.start_s, tenths=True):>9}  {thing.title:<{width}}  "
            f"{'█' * round(_BAR * thing.confidence):<{_BAR}}  {thing.confidence:.2f}"
            for thing in self.things
        ]
        return "\n".join([f"{spoken}: {len(lines)} {'thing' if len(lines) == 1 else 'things'}", *lines])


def hear_file(
    path: Path, config: RunConfig, model: Model, least: float, tell: Callable[[float], None] = lambda _: None
) -> Named:
    """Listen to one recording to its end, in bounded memory however long it is.

    Args:
        path: an audio file, or a video with an audio track.
        config: how it is decoded, and in which batches it is heard.
        model: what listens; things are named as in the library that its decoder draws from.
        least: what is less probable is left out.
        tell: is told up to which second it has heard.

    Raises:
        ConfigError: `path` is no file.
        ModelError: the model has no grounding.
        DecodeError, LimitExceeded: the recording can't be read.
    """
    if not path.is_file():
        raise ConfigError(str(path), "it is not a file", "Give the path of a recording.")
    if not isinstance(model.encoder, ThingHearer) or model.encoder.grounding is None:
        raise no_grounding(config.model.checkpoint or "the model")
    things: list[Thing] = []
    with path.open("rb") as file:
        listening = listen(file, str(path), config.audio, frontend=model.encoder.frontend)
        utterances = iter(listening)
        while some := list(itertools.islice(utterances, config.resources.encode.batch_size)):
            things += itertools.chain(*(each.things for each in steps.embed(some, model, least)))
            tell(some[-1].end_s)
    library = getattr(model.decoder, "library", None)
    if library is not None:
        styled = library.styled(config.image.style)
        things = titled(things, [info.name for info in styled.infos], styled.vectors)
    heard = listening.result
    return Named(heard.duration_s, heard.speech_s, heard.damage, things)


def _clock(at_s: float, *, tenths: bool = False) -> str:
    minutes, seconds = divmod(round(at_s, 1) if tenths else round(at_s), 60)
    return f"{minutes:.0f}:{seconds:04.1f}" if tenths else f"{minutes:.0f}:{seconds:02.0f}"


def command(
    file: Annotated[Path, typer.Argument(help="A local audio file, or a video with an audio track.", metavar="FILE")],
    *,
    precision: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=0.99, help="Share of what is told that is really named, at least [0.85]; higher tells less."
        ),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Tell what is at least so probable, instead of --precision.")
    ] = None,
    preset: options.Preset = "cpu",
    checkpoint: options.Checkpoint = None,
    library: options.Library = None,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """List what is named in one recording that could be drawn, and when."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    if precision is not None and min_confidence is not None:
        raise ConfigError(
            "--precision and --min-confidence", "each sets the limit of what is told", "Give one of them."
        )
    config = options.shaped(preset, options.changes(checkpoint=checkpoint, library=library, settings=settings))
    if precision is not None or config.scenes.precision is None:
        scenes = config.scenes.model_copy(update={"precision": precision or 0.85})
        config = config.model_copy(update={"scenes": scenes})
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Loading the model", total=None)
        from s2i_core.models import registry
        from s2i_core.weights import least_confidence

        model = registry.load(config.model)
        least = least_confidence(config) if min_confidence is None else min_confidence
        named = hear_file(
            file, config, model, least or 0.0, lambda at_s: bar.update(task, description=f"Listening, {at_s:.0f} s")
        )
    if as_json:
        typer.echo(json.dumps(named.told(), ensure_ascii=False))
        return
    typer.echo(named.timeline())
    if named.damage:
        typer.echo(f"The file is damaged: {named.damage}", err=True)
