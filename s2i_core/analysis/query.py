"""The command `s2i query`: SQL over the tables of a destination."""

from __future__ import annotations

from typing import Annotated

import typer

from s2i_core import options


def command(
    sql: Annotated[
        str | None, typer.Argument(help="One SELECT; without, a prompt that completes tables and columns.")
    ] = None,
    *,
    destination: options.Destination = None,
    form: Annotated[
        str | None, typer.Option("--format", help="table, json, csv or parquet; by default as the file's name says.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="Into a file, or s3://bucket/key; by default standard output.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=100_000, help="Rows that a table for people shows at most.")] = 100,
    seconds: Annotated[float, typer.Option(min=0.1, help="Stop a statement after this time.")] = 300,
    memory: Annotated[str, typer.Option(help="Memory that the database may use.")] = "1GB",
    as_json: options.AsJson = False,
) -> None:
    """Ask the tables of a destination in SQL: read-only, closed off from files and the network.

    Beside the tables there are views of what is true now: episodes, moments, mentions, coverage, costs.
    """
    from s2i_core.analysis import answers
    from s2i_core.analysis.database import Database, QueryLimits
    from s2i_core.analysis.prompt import talk
    from s2i_core.storage.objects import S3Settings
    from s2i_core.storage.tables import Lake

    chosen = answers.format_for(out, "json" if as_json else form)
    lake = Lake(S3Settings.from_env(), options.named_destination(destination))
    with Database(lake, QueryLimits(seconds, memory)) as database:
        if sql is None:
            talk(database, rows)
            return
        with database.ask(sql) as answer:
            count = answers.write(answer, chosen, out, rows)
        if out is not None:
            typer.echo(f"{options.counted(count, 'row')} in {out}", err=True)
