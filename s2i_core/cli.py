"""The command line, `s2i`.

The core's commands are here or in `CORE`; the layers above it add theirs through the entry-point group `s2i.commands`,
so that the core imports nothing above itself. A command is loaded when it is needed, and one that cannot be loaded
says why when it is called, without spoiling the others. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from s2i_core.errors import ConfigError, S2IError

ENTRY_POINTS = "s2i.commands"
EXIT_ERROR = 2

#: Commands of the core that have a module of their own.
CORE = (EntryPoint("store", "s2i_core.storage.commands:app", ENTRY_POINTS),)

#: The order in which a newcomer needs them; others follow by name.
ORDER = ("demo", "illustrate", "run", "status", "store", "styles")

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
        names = {*super().list_commands(ctx), *_extensions()}
        return [*(name for name in ORDER if name in names), *sorted(names.difference(ORDER))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, loaded now."""
        if cmd_name not in self.commands and (extension := _extensions().get(cmd_name)) is not None:
            self.add_command(_load(extension), cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As the base class; all names are loaded first if the one given is unknown, so that it can suggest one."""
        if args and self.get_command(ctx, args[0]) is None:
            for name in self.list_commands(ctx):
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an `S2IError` ends it with exit code 2."""
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except S2IError as error:
            _report(error, as_json=as_json)
            raise typer.Exit(EXIT_ERROR) from error


def _extensions() -> dict[str, EntryPoint]:
    """The commands that are loaded on demand, by name; the core's own win over an entry point of the same name."""
    installed = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    return installed | {point.name: point for point in CORE}


def _load(point: EntryPoint) -> TyperCommand | TyperGroup:
    """The command behind an entry point: a Typer app, or a function that becomes one."""
    try:
        loaded = point.load()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with an upper layer, the other commands must work
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
        raise ConfigError(f"s2i {point.name}", reason, "Install s2i with all its dependencies: `make install`.")

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
    preset: Annotated[str, typer.Option(help="Complete settings to start from: cpu, draft, gpu.")] = "cpu",
    style: Annotated[str | None, typer.Option(help="How the pictures look; `s2i styles` lists them.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw other pictures of the same scenes; without, a scene's own seed.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a saved model instead of the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Illustrate one local file: no object storage, no cluster."""
    from s2i_core.illustrate import illustrate_command

    illustrate_command(file, out, preset, style, seed, checkpoint, as_json=as_json)


@app.command()
def styles(
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a saved model instead of the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List the styles that the model can draw in."""
    from s2i_core.config import ModelConfig
    from s2i_core.pipeline import SpeechToImagePipeline

    names = SpeechToImagePipeline.load(ModelConfig(checkpoint=str(checkpoint or ""), device="cpu")).styles
    typer.echo(json.dumps({"styles": list(names)}) if as_json else "\n".join(names))


def main() -> None:
    """Entry point of the program `s2i`."""
    app()


if __name__ == "__main__":
    main()
