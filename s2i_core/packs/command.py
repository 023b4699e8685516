"""The command `s2i publish`."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from s2i_core import options
from s2i_core.errors import ConfigError
from s2i_core.options import counted

_Place = Annotated[
    str, typer.Argument(help="What a run illustrated: s3://bucket/folder, or a folder of `s2i illustrate`.")
]


def command(
    place: _Place,
    *,
    recording: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only the recording of this id or file name; repeat. By default all."),
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="Which pictures become chapters: all, or by the rules of apple or spotify.")
    ] = None,
    film: Annotated[
        bool | None, typer.Option("--film/--no-film", help="With an MP4 whose picture changes with the sound, or not.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Public address of the same place, such as https://cdn.example.org/talks.")
    ] = None,
    feed: Annotated[
        Path | None, typer.Option(help="A podcast's feed (RSS), to put chapters and pictures into; needs --base-url.")
    ] = None,
    feed_out: Annotated[
        Path | None, typer.Option(help="Where the new feed goes; by default beside it, as NAME.illustrated.xml.")
    ] = None,
    preset: options.Preset = "cpu",
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Write the packs for players: each recording with its pictures, for podcast apps, libraries and the web.

    They go to packs/ of the same place: chapters, a copy of the recording with pictures in it, thumbnails, a film, a
    page that plays it, and a gallery of all. What is up to date is left alone.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    changes: dict[str, Any] = {"packs.selection": select, "packs.film": film, "packs.base_url": base_url}
    told = {name: value for name, value in changes.items() if value is not None}
    config = options.shaped(preset, told | options.changes(settings=settings))
    if feed is not None and feed_out is None:
        feed_out = feed.with_name(f"{feed.stem}.illustrated{feed.suffix or '.xml'}")
    if feed is not None and not config.packs.base_url:
        raise ConfigError(str(feed), "a feed needs the public address of the packs", "Give --base-url as well.")
    from s2i_core.packs.destinations import destination
    from s2i_core.packs.publish import illustrate_feed, publish
    from s2i_core.provenance.authority import DEVELOPMENT

    where = destination(place)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Packs", total=None)
        done = publish(
            where,
            config.packs,
            config.audio,
            config.provenance,
            f"publish-{uuid.uuid4().hex[:12]}",
            recording or (),
            lambda count, total: bar.update(task, completed=count, total=total),
        )
    if not (done.made or done.unchanged or done.failures):
        raise ConfigError(place, "there is no illustrated recording", "Illustrate some first: `s2i run` does.")
    facts: dict[str, Any] = {
        "made": [pack.recording_id for pack in done.made],
        "unchanged": done.unchanged,
        "failed": [{"subject": each.subject, "reason": each.message, "remedy": each.remedy} for each in done.failures],
        "left_out": [
            {"recording_id": pack.recording_id, "name": each.name, "reason": each.reason, "remedy": each.remedy}
            for pack in done.made
            for each in pack.left_out
        ],
        "signed_by": next((pack.signed_by for pack in done.made), ""),
        "gallery": done.gallery,
    }
    lines = [f"{counted(len(done.made), 'pack')} written, {done.unchanged} up to date, {len(done.failures)} failed"]
    if feed is not None and feed_out is not None:
        spliced = illustrate_feed(feed.read_bytes(), where, config.packs, str(feed))
        feed_out.write_bytes(spliced.feed)
        facts["feed"] = {
            "file": str(feed_out),
            "items": spliced.items,
            "changed": spliced.changed,
            "unchanged": spliced.unchanged,
            "unmatched": spliced.unmatched,
        }
        lines.append(
            f"{feed_out}: {spliced.changed} of {counted(spliced.items, 'item')} illustrated, "
            f"{spliced.unchanged} were already"
        )
        lines += [f"no item, or several, for {name}" for name in spliced.unmatched]
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        typer.echo("\n".join([*lines, *([f"Gallery: {done.gallery}"] if done.gallery else [])]))
        if any(pack.signed_by == DEVELOPMENT for pack in done.made):
            typer.echo(f"The pictures are signed by the {DEVELOPMENT}: see provenance.certificate.", err=True)
        for each in facts["left_out"]:
            typer.echo(
                f"left out: {each['name']} of {each['recording_id']}: {each['reason']}. {each['remedy']}", err=True
            )
        for each in facts["failed"]:
            typer.echo(f"failed: {each['subject']}: {each['reason']}. {each['remedy']}", err=True)
    if done.failures:
        raise typer.Exit(1)
