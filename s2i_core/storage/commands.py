"""The commands `s2i store …`: the embedded object store on this machine."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from s2i_core.errors import StorageError
from s2i_core.state import state_home
from s2i_core.storage.embedded import EmbeddedStore, StoreInfo

app = typer.Typer(
    help="The embedded object store: a real S3 server on this machine, for trying s2i without an account anywhere.",
    no_args_is_help=True,
    add_completion=False,
)

_Home = Annotated[
    Path | None, typer.Option(help="Folder of the store; by default $S2I_HOME/store, or .s2i/store in this folder.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def up(home: _Home = None, as_json: _Json = False) -> None:
    """Start the store, or find the one that runs; its data outlives it."""
    with Console(stderr=True).status("Starting the object store …"):
        info = _store(home).up()
    _print(_facts(info), as_json, f'up at {info.endpoint}, data in {info.data_dir}\nTo use it: eval "$(s2i store env)"')


@app.command()
def down(home: _Home = None, as_json: _Json = False) -> None:
    """Stop the store and wait until it is gone; the data stays."""
    stopped = _store(home).down()
    _print({"running": False, "stopped": stopped}, as_json, "stopped" if stopped else "was not running")


@app.command()
def status(home: _Home = None, as_json: _Json = False) -> None:
    """Say whether the store runs; exit code 1 where it does not."""
    info = _store(home).status()
    _print(_facts(info), as_json, "down" if info is None else f"up at {info.endpoint}, process {info.pid}")
    if info is None:
        raise typer.Exit(1)


@app.command()
def env(home: _Home = None, as_json: _Json = False) -> None:
    """Print the variables that lead to the store, its secret among them: eval "$(s2i store env)"."""
    store = _store(home)
    info = store.status()
    if info is None:
        raise StorageError(str(store.home), "the embedded object store is not running", "Start it: `s2i store up`.")
    variables = info.environment()
    _print(variables, as_json, "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))


def _store(home: Path | None) -> EmbeddedStore:
    return EmbeddedStore(home or state_home() / "store")


def _facts(info: StoreInfo | None) -> dict[str, Any]:
    """What may be shown: the secret is for `env` alone."""
    if info is None:
        return {"running": False}
    return {
        "running": True,
        "endpoint": info.endpoint,
        "access_key": info.access_key,
        "data_dir": str(info.data_dir),
        "pid": info.pid,
    }


def _print(facts: dict[str, Any], as_json: bool, text: str) -> None:
    typer.echo(json.dumps(facts) if as_json else text)


def compact(
    destination: Annotated[str, typer.Argument(help="Where images and tables are: s3://bucket/folder.")],
    as_json: _Json = False,
) -> None:
    """Join the small files of a destination's tables into large ones; files older than a week that no table needs go.

    Jobs do this by themselves where a table has many small files.
    """
    from s2i_core.storage.objects import ObjectStore, S3Settings
    from s2i_core.storage.places import destination as place_of
    from s2i_core.storage.tables import Lake

    place = place_of(destination)
    store = ObjectStore(S3Settings.from_env())
    store.check_writable(place.bucket, place.name)
    files = Lake(store.settings, destination).compact()
    told = "\n".join(f"{name}: {before} files, now {after}" for name, (before, after) in files.items())
    _print({"destination": destination, "files": files}, as_json, told)
