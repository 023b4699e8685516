"""The command line, `s2i`.

The core's commands are here or in `CORE`; the layers above it add theirs through the entry-point group `s2i.commands`,
so that the core imports nothing above itself. A command is loaded when it is needed; one that cannot be loaded
says why when it is called, without affecting the others. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from s2i_core import network, options
from s2i_core.errors import ConfigError, S2IError, StorageError
from s2i_core.processes import interruptible
from s2i_core.state import state_home

ENTRY_POINTS = "s2i.commands"
EXIT_ERROR = 2

#: Commands of the core that have a module of their own, and what the list of commands says of them.
CORE = {
    "hear": ("s2i_core.hear_file:command", "List what is named in one recording, and when."),
    "library": ("s2i_core.build_library.command:app", "Build a library of your own illustrations, for a house style."),
    "publish": ("s2i_core.packs.command:command", "Write the packs for players: podcast apps, libraries, the web."),
    "verify": ("s2i_core.provenance.command:command", "Say where pictures come from, and whether they were changed."),
    "redo": ("s2i_core.editing.command:redo", "Draw the picture of a scene again, otherwise."),
    "reject": ("s2i_core.editing.command:reject", "Leave a scene out of all that is published."),
    "pin": ("s2i_core.editing.command:pin", "Keep the picture of a scene, whatever later runs draw."),
    "swap": ("s2i_core.editing.command:swap", "Show another one of a scene's pictures."),
    "undo": ("s2i_core.editing.command:undo", "Take an edit back."),
    "select": ("s2i_core.editing.command:select", "Leave out, draw again or reuse pictures by numbers."),
    "edits": ("s2i_core.editing.command:edits", "List what editors did: who, when, what."),
    "query": ("s2i_core.analysis.query:command", "Ask the tables of a destination in SQL."),
    "search": ("s2i_core.analysis.search:command", "Find scenes by a spoken question, a picture, a thing or a scene."),
    "report": ("s2i_core.analysis.report.command:command", "Report how runs went, and whether anything drifts."),
    "forget": ("s2i_core.forget:command", "Forget one recording: everything that was made of it, and old versions."),
    "models": ("s2i_core.models.commands:models", "List the parts that a model can be put together from."),
    "train": ("s2i_core.training.__main__:app", "Build training data and train the model that ships."),
    "eval": ("s2i_core.evaluation.commands:evaluate", "Measure the model, beside a cascade of recogniser and text."),
    "store": ("s2i_core.storage.commands:app", "Start, find and stop the embedded object store of this machine."),
    "compact": ("s2i_core.storage.commands:compact", "Join the small files of a destination's tables."),
    "doctor": ("s2i_core.doctor:command", "Look for what would stop a run, and say what to do about it."),
}

#: Commands of the layers above that are too heavy to load just to list them, and what the list says about them.
LATE = {
    "deploy": "Register the nightly runs with a Prefect server.",
    "plan": "Say what illustrating an archive takes, before anything runs.",
    "platform": "Run the whole platform on this machine: store, Prefect, Ray, worker.",
}

#: The order in which a newcomer needs them; the others follow by name.
ORDER = ("demo", "illustrate", "hear", "doctor", "plan", "run", "status", "publish", "query", "store", "styles")

HELP = """Spoken audio directly into images, with no transcript between.

s2i listens to a recording, cuts it into scenes and draws what is being said, one picture a scene: for one file, \
or for a whole archive in object storage.
"""

EXAMPLES = """[bold]Examples[/]

  [cyan]s2i demo[/]                                 the sample archive, start to finish
  [cyan]s2i illustrate talk.mp3 --out talk[/]       one file: pictures and a page
  [cyan]s2i run s3://archive/talks s3://pictures[/] every recording under a prefix
  [cyan]s2i status s3://pictures[/]                 what was made; what failed, and why

Each command explains itself with --help, and prints JSON for programs with --json.
"""


class Commands(TyperGroup):
    """The group `s2i`: its own commands, the core's, and those of the entry points; errors become one clear line."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, in the order in which one needs them."""
        names = {*super().list_commands(ctx), *CORE, *_extensions()}
        return [*(name for name in ORDER if name in names), *sorted(names.difference(ORDER))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; the core's own win over an entry point of the same name."""
        if cmd_name not in self.commands:
            if cmd_name in CORE:
                target, summary = CORE[cmd_name]
                self.add_command(Deferred(EntryPoint(cmd_name, target, ENTRY_POINTS), summary), cmd_name)
            elif (extension := _extensions().get(cmd_name)) is not None:
                late = Deferred(extension, LATE[cmd_name]) if cmd_name in LATE else _load(extension)
                self.add_command(late, cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As in the base class; an unknown name loads all commands first, so that one of them can be suggested."""
        if args and self.get_command(ctx, args[0]) is None:
            for name in self.list_commands(ctx):
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an `S2IError`, or a file that cannot be used, ends it with exit code 2."""
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except S2IError as error:
            _report(error, as_json=as_json)
            raise typer.Exit(EXIT_ERROR) from error
        except OSError as error:
            if error.filename is None:
                raise
            reason = error.strerror or type(error).__name__
            remedy = "Check the path, its rights and the free space."
            _report(StorageError(str(error.filename), reason, remedy), as_json=as_json)
            raise typer.Exit(EXIT_ERROR) from error


class Deferred(TyperCommand):
    """A command that is listed without being loaded; it is loaded when it is called or asked for its help."""

    def __init__(self, point: EntryPoint, summary: str) -> None:
        super().__init__(point.name, help=summary)
        self._point = point

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command, which replaces this one in it."""
        return _load(self._point).make_context(info_name, args, parent=parent, **extra)


def _extensions() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _load(point: EntryPoint) -> TyperCommand | TyperGroup:
    """The command behind an entry point: a Typer app, or a function that becomes one."""
    try:
        loaded = point.load()
    except Exception as error:  # noqa: BLE001 - whatever is wrong in an upper layer, the other commands must work
        loaded = _unavailable(point, error)
    if not isinstance(loaded, typer.Typer):
        function: Callable[..., Any] = loaded
        loaded = typer.Typer(add_completion=False)
        loaded.command(point.name, no_args_is_help=False)(function)
    command: Any = typer.main.get_command(loaded)
    command.name = point.name
    return command  # type: ignore[no-any-return]


def _unavailable(point: EntryPoint, error: Exception) -> typer.Typer:
    reason = f"cannot be loaded from {point.value}: {type(error).__name__}: {error}"
    app = typer.Typer(add_completion=False)

    @app.command(
        point.name,
        help=f"Not available: {type(error).__name__}: {error}",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    )
    def fail(context: typer.Context) -> None:
        del context
        raise ConfigError(f"s2i {point.name}", reason, "Install s2i with all its dependencies: infra/install.sh base.")

    return app


def _report(error: S2IError, *, as_json: bool) -> None:
    if as_json:
        facts = {"error": type(error).__name__, "subject": error.subject, "reason": error.reason}
        typer.echo(json.dumps(facts | {"remedy": error.remedy, "transient": error.transient}, ensure_ascii=False))
    else:
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        typer.echo(str(error), err=True)


app = typer.Typer(
    cls=Commands,
    name="s2i",
    help=HELP,
    epilog=EXAMPLES,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"s2i {version('s2i')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    del show_version


@app.command()
def illustrate(
    file: Annotated[Path, typer.Argument(help="A local audio file, or a video with an audio track.", metavar="FILE")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures and the page; made if missing.")],
    *,
    preset: options.Preset = "cpu",
    style: options.Style = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw other pictures of the same scenes; without, a scene's own seed.")
    ] = None,
    checkpoint: options.Checkpoint = None,
    library: options.Library = None,
    images_per_hour: options.ImagesPerHour = None,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Illustrate one local file: no object storage, no cluster."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    config = options.shaped(
        preset,
        options.changes(
            style=style, checkpoint=checkpoint, library=library, images_per_hour=images_per_hour, settings=settings
        ),
    )
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Loading the model", total=None)
        from s2i_core.illustrate import illustrate_file
        from s2i_core.models import registry

        model = registry.load(config.model)

        def tell(step: str, done: int, total: int | None) -> None:
            count = f" {done} of {total}" if total is not None else f", {done} s so far" if done else ""
            bar.update(task, description=f"{step}{count}")

        made = illustrate_file(file, out, config, model, tell, seed=seed)
    if as_json:
        typer.echo(json.dumps(made.summary(), ensure_ascii=False))
        return
    typer.echo(
        f"{options.counted(len(made.images), 'picture')} of {options.counted(made.recording.scenes, 'scene')}, "
        f"{options.counted(len(made.skipped), 'stretch', 'stretches')} skipped, {len(made.failures)} failed, "
        f"in {made.elapsed_s:.1f} s\nOpen {made.page.resolve().as_uri()}"
    )
    for failure in made.failures:
        typer.echo(f"failed: {failure.subject}: {failure.message}. {failure.remedy}", err=True)


@app.command()
def styles(
    checkpoint: options.Checkpoint = None,
    as_json: options.AsJson = False,
) -> None:
    """List the styles that the model can draw in."""
    from s2i_core.config import ModelConfig
    from s2i_core.models import registry

    names = registry.load(ModelConfig(checkpoint=str(checkpoint or ""), device="cpu")).decoder.info.styles
    typer.echo(json.dumps({"styles": list(names)}) if as_json else "\n".join(names))


def main() -> None:
    """Entry point of the program `s2i`."""
    _stand_in()
    warnings.filterwarnings("default", category=DeprecationWarning, module=r"s2i_core\.|flows\.|cluster\.")
    warnings.showwarning = lambda message, *_: typer.secho(f"warning: {message}", fg="yellow", err=True)
    network.spare_loopback()
    with contextlib.suppress(ConfigError):  # the store says it, where a certificate is needed
        network.trust()
    with interruptible():
        app()


def _stand_in() -> None:
    """Give a user without an entry in passwd, as in containers, the home and the name that libraries ask for."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(state_home() / "home")
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the second from Python 3.13 on
        os.environ["USER"] = f"uid-{os.getuid()}"


if __name__ == "__main__":
    main()
