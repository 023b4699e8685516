"""The command `s2i serve`, and beneath it those for API keys. Heavy imports wait until they are needed."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from s2i_core import options, processes

app = typer.Typer(
    add_completion=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130
_KEYS = Path(".s2i") / "keys.json"
_Keys = Annotated[Path, typer.Option("--keys", help="The file of keys; made if missing.")]
_Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="s3://BUCKET/FOLDER", help="May be read by /v1/recordings, also one object; repeat for more."
    ),
]
_Edit = Annotated[
    str | None,
    typer.Option(
        "--edit",
        metavar="s3://BUCKET/FOLDER",
        help="What runs illustrated, to be changed here by this machine, or by keys made with --edits.",
    ),
]


@app.callback()
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; other than this machine's own needs --keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    *,
    preset: options.Preset = "cpu",
    style: options.Style = None,
    checkpoint: options.Checkpoint = None,
    library: options.Library = None,
    images_per_hour: options.ImagesPerHour = None,
    changed: options.SetOptions = None,
    keys: Annotated[Path | None, typer.Option(help="File of API keys: every request needs one of them.")] = None,
    allow: _Allow = None,
    edit: _Edit = None,
    tables: Annotated[
        str, typer.Option(help="A destination, s3://bucket/folder, whose tables may be asked in SQL (/v1/query).")
    ] = "",
    as_json: options.AsJson = False,
) -> None:
    """Serve the model on this machine: a page to speak into, and an API, until it is interrupted.

    The page is at /, the API's description at /docs. Without --keys it answers this machine alone.

    [bold]Examples[/]

      [cyan]s2i serve[/]

      [cyan]s2i serve key phone > key.txt[/]

      [cyan]s2i serve --host 0.0.0.0 --keys .s2i/keys.json[/]
    """
    if context.invoked_subcommand is not None:
        return
    # There is nothing to finish while models load.
    processes.at_interrupt(lambda: processes.end_now(_INTERRUPTED), _INTERRUPTED)
    from cluster.serve.local import log_file, serving
    from cluster.serve.settings import ServeSettings

    settings = ServeSettings(
        preset=preset,
        settings=options.changes(
            style=style, checkpoint=checkpoint, library=library, images_per_hour=images_per_hour, settings=changed
        ),
        access="keys" if keys is not None else "loopback",
        keys_file="" if keys is None else str(keys.absolute()),
        s3_prefixes=tuple(allow or ()),
        destination=edit or "",
        tables=tables,
    )
    stopped = threading.Event()
    gpus = 0
    if settings.generator.num_gpus:
        import torch

        gpus = torch.cuda.device_count()
    typer.echo("Loading the model …", err=True)
    with serving(settings.on_one_machine(os.cpu_count() or 1, gpus), host, port) as url:
        processes.at_interrupt(stopped.set, 0)
        if as_json:
            typer.echo(json.dumps({"url": url, "docs": f"{url}/docs"}))
        else:
            typer.echo(f"Speak at  {url}\nAPI       {url}/docs\nFaults    {log_file(port)}\nStop with Ctrl+C", err=True)
        stopped.wait()
        typer.echo("Stopping …", err=True)


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    keys: _Keys = _KEYS,
    images_per_minute: Annotated[int, typer.Option(min=1, help="Pictures a minute.")] = 60,
    audio_hours_per_day: Annotated[float, typer.Option(min=0.01, help="Hours of recordings a day.")] = 24.0,
    edits: Annotated[bool, typer.Option("--edits", help="It may change what runs drew, under its name.")] = False,
    queries: Annotated[bool, typer.Option("--queries", help="It may ask the tables as well.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Make an API key. It is printed now and never again; the file keeps its hash."""
    from cluster.serve.keys import add

    made = add(keys, name, images_per_minute, audio_hours_per_day * 3600, edits=edits, queries=queries)
    typer.echo(json.dumps({"name": name, "key": made}) if as_json else made)


@app.command("keys")
def list_keys(keys: _Keys = _KEYS, as_json: options.AsJson = False) -> None:
    """List the keys: their names, their quotas and what they may do."""
    from cluster.serve.keys import read

    held = read(keys).keys if keys.exists() else ()
    shown: list[dict[str, Any]] = [each.model_dump(exclude={"sha256"}) for each in held]
    if as_json:
        typer.echo(json.dumps({"keys": shown}))
        return
    for one in shown:
        hours = one["audio_s_per_day"] / 3600
        may = (", may edit" if one["edits"] else "") + (", may ask the tables" if one["queries"] else "")
        typer.echo(
            f"{one['name']}  {one['images_per_minute']} pictures a minute, {hours:g} hours of recordings a day{may}"
        )


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Whose key it is.")], keys: _Keys = _KEYS) -> None:
    """Withdraw an API key; a running service follows within seconds."""
    from cluster.serve.keys import remove

    remove(keys, name)


@app.command()
def config(
    preset: options.Preset = "gpu",
    style: options.Style = None,
    checkpoint: Annotated[str, typer.Option(help="Folder of a saved model on the nodes.")] = "",
    library: Annotated[str, typer.Option(help="Folder of a library of your own on the nodes.")] = "",
    images_per_hour: options.ImagesPerHour = None,
    changed: options.SetOptions = None,
    keys: Annotated[str, typer.Option(help="Path of the file of keys on the nodes.")] = "/etc/s2i/keys.json",
    allow: _Allow = None,
    edit: _Edit = None,
) -> None:
    """Print a Serve config file, for `serve deploy` and for RayService."""
    from cluster.serve.settings import serve_config

    changes = options.changes(
        style=style,
        checkpoint=Path(checkpoint) if checkpoint else None,
        library=Path(library) if library else None,
        images_per_hour=images_per_hour,
        settings=changed,
    )
    typer.echo(serve_config(preset, keys, tuple(allow or ()), changes, edit or ""), nl=False)
