"""The command `s2i report`: the page of a month or a run, or its figures as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from s2i_core import options
from s2i_core.errors import ConfigError


def command(
    when: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|MONTH]",
            help="A run, seen beside those before it, or a month such as 2026-11; by default that of the newest run.",
        ),
    ] = None,
    *,
    destination: options.Destination = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", help="The page: a file, or s3://bucket/key; by default report-<when>.html here."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Report how runs went, and whether the last one is as good as those before: one page with plots."""
    from rich.console import Console

    from s2i_core.analysis.database import Database
    from s2i_core.analysis.report.figures import figures
    from s2i_core.analysis.report.page import page
    from s2i_core.storage.objects import S3Settings
    from s2i_core.storage.tables import Lake

    lake = Lake(S3Settings.from_env(), options.named_destination(destination))
    with Console(stderr=True).status("Open the tables") as status, Database(lake) as database:
        found = figures(lake, database, when, status.update)
    if as_json:
        typer.echo(json.dumps(found.plain(), ensure_ascii=False, allow_nan=False))
        if out is None:
            return
    address = out or f"report-{found.name}.html"
    _write(page(found), address)
    if not as_json:
        typer.echo(address if address.startswith("s3://") else Path(address).resolve().as_uri())


def _write(text: str, out: str) -> None:
    if not out.startswith("s3://"):
        path = Path(out)
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return
    from s2i_core.analysis.report.page import HTML
    from s2i_core.storage.objects import ObjectStore, S3Settings
    from s2i_core.storage.places import parse_uri

    bucket, key = parse_uri(out)
    if not key or key.endswith("/") or "/tables/" in f"/{key}":
        reason = "it names no file" if not key or key.endswith("/") else "tables/ is where tables are"
        raise ConfigError(out, reason, "Name a file such as s3://bucket/reports/2026-11.html.")
    store = ObjectStore(S3Settings.from_env())
    store.check_writable(bucket, key.rpartition("/")[0])
    store.put(bucket, key, text.encode(), HTML)
