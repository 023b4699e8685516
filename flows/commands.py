"""The commands `s2i run`, `s2i demo` and `s2i status`. Heavy imports wait until they are needed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2i_core import options
from s2i_core.options import counted

if TYPE_CHECKING:
    from rich.console import Console

    from flows.demo import Demo
    from flows.launch import RunOutcome
    from flows.overview import FailureRow, Found, Overview

EXIT_STOPPED = 3
_SHOWN_RUNS = 10
_SHOWN = 20
"""Failures, and damaged recordings."""

_Source = Annotated[str, typer.Argument(help="Recordings: a folder or one object, s3://bucket or s3://bucket/folder.")]
_Destination = Annotated[str, typer.Argument(help="Where images, tables and pages go: s3://bucket/folder.")]


def run(
    source: _Source,
    destination: _Destination,
    *,
    preset: options.Preset = "cpu",
    limit: options.Limit = None,
    address: Annotated[
        str | None,
        typer.Option(help="Job server of a Ray cluster, such as http://head:8265; by default Ray runs here."),
    ] = None,
    style: options.Style = None,
    checkpoint: options.Checkpoint = None,
    library: options.Library = None,
    images_per_hour: options.ImagesPerHour = None,
    settings: options.SetOptions = None,
    retry_failed: options.RetryFailed = False,
    deadline: options.Deadline = None,
    gpu_seconds: options.GpuSeconds = None,
    cost: options.Cost = None,
    s3_requests: options.S3Requests = None,
    as_json: options.AsJson = False,
) -> None:
    """Illustrate an archive: every recording of a folder that has no images yet.

    Run it again to continue after an interruption, or to pick up what is new: finished work is not repeated.
    The store and its login come from S2I_S3_ENDPOINT and the standard AWS variables.

    Exit code: 0 when all is done, 2 after an error, 3 when the run stopped at a limit; the next run continues.
    """
    from flows.launch import launch
    from flows.progress import Bars, watching

    changes = options.changes(
        style=style,
        checkpoint=checkpoint,
        library=library,
        images_per_hour=images_per_hour,
        deadline=deadline,
        gpu_seconds=gpu_seconds,
        cost=cost,
        s3_requests=s3_requests,
        settings=settings,
    )
    with Bars() as bars, watching(bars):
        outcome = launch(source, destination, preset, limit, address, "", changes, retry_failed=retry_failed)
    if as_json:
        typer.echo(json.dumps(_facts(outcome, destination), ensure_ascii=False))
    else:
        _tell(bars.console, outcome)
        if outcome.page:
            bars.console.print(_line("page", outcome.page), soft_wrap=True)
        bars.console.print(_line("more", f"s2i status {destination}"), soft_wrap=True)
    if outcome.stopped:
        raise typer.Exit(EXIT_STOPPED)


def demo(
    *,
    preset: options.Preset = "cpu",
    style: options.Style = None,
    checkpoint: options.Checkpoint = None,
    library: options.Library = None,
    images_per_hour: options.ImagesPerHour = None,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Illustrate the sample archive on this machine, start to finish.

    Starts the embedded object store, uploads the samples, runs the flow on them, and fetches the pages. If run again,
    it finds nothing to do.
    """
    from flows.demo import find_samples, run_demo
    from flows.progress import Bars, watching

    changes = options.changes(
        style=style, checkpoint=checkpoint, library=library, images_per_hour=images_per_hour, settings=settings
    )
    started = time.monotonic()
    with Bars() as bars, watching(bars):
        made = run_demo(find_samples(), preset, settings=changes)
    elapsed_s = round(time.monotonic() - started, 1)
    if as_json:
        facts = _facts(made.outcome, made.destination) | {"page": made.page.as_uri(), "elapsed_s": elapsed_s}
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    _tell(bars.console, made.outcome)
    _where(bars.console, made)


def status(
    destination: Annotated[str, typer.Argument(help="Where images and tables are: s3://bucket/folder.")],
    *,
    as_json: options.AsJson = False,
) -> None:
    """Show what is in a destination: recordings, scenes, images and failures by run, and why something failed."""
    from flows.overview import overview
    from s2i_core.storage.objects import ObjectStore, S3Settings
    from s2i_core.storage.places import destination as place_of
    from s2i_core.storage.tables import Lake

    place = place_of(destination)
    store = ObjectStore(S3Settings.from_env())
    store.check_readable(place.bucket, place.name)
    found = overview(Lake(store.settings, destination))
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        _show(found)


def _facts(outcome: RunOutcome, destination: str) -> dict[str, Any]:
    from flows.overview import taken_up

    return asdict(outcome.totals) | {
        "new_images": outcome.new_images,
        "adopted_images": outcome.adopted_images,
        "elapsed_s": outcome.elapsed_s,
        "found": asdict(outcome.found),
        "again": taken_up(outcome.failed),
        "page": outcome.page,
        "destination": destination,
        "run_id": outcome.run_id,
        "stopped": outcome.stopped,
    }


def _tell(console: Console, outcome: RunOutcome) -> None:
    """A short summary: what was made, what was found, and what failed and why."""
    from rich.markup import escape

    counts = outcome.totals
    head = counted(outcome.new_images, "new image") if outcome.run_id else _why_nothing(outcome.found)
    if outcome.adopted_images:
        head += f", and {outcome.adopted_images} found that a run before had left unentered"
    console.print(f"\n[bold]{head}[/] [dim]({outcome.elapsed_s:.0f} s)[/]")
    if outcome.stopped:
        console.print(f"  [yellow]stopped[/] at {outcome.stopped}; run it again to go on")
    console.print(
        f"  in all  {counted(counts.recordings, 'recording')}, {counted(counts.images, 'image')} of "
        f"{counted(counts.scenes, 'scene')}, {counted(counts.skipped, 'stretch', 'stretches')} skipped, "
        f"{counts.failures} failed"
    )
    for word, text in outcome.found.described():
        console.print(_line(word, escape(text)), soft_wrap=True)
    _failures(console, outcome.failed)


def _why_nothing(found: Found) -> str:
    """Why a run had nothing to do; not everything need be illustrated for that."""
    partly = "Nothing to do, and not everything is illustrated"
    looked = not found.left_out.not_looked_into
    reasons = {
        "Nothing to do: there is no object in the source": not found.listed,
        "Nothing to do: none of the objects in the source is a recording": not found.recordings and looked,
        "Nothing to do: no object is known to be a recording, and not all were looked into": not found.recordings,
        f"{partly}: some failed for good": found.for_good > 0,
        # What its listing tells to be archived is not asked for again.
        f"{partly}: {found.failed} must be restored from an archive first": found.failed > 0,
        "Nothing to do: no recording has anything to draw": not found.ok,
    }
    return next((why for why, holds in reasons.items() if holds), "Nothing to do: everything is illustrated")


def _line(word: str, text: str) -> str:
    return f"  {word:<7} {text}"


def _where(console: Console, made: Demo) -> None:
    info = made.store
    console.print(f"  page    {made.page.as_uri()}", soft_wrap=True)
    console.print(f"  bucket  {made.destination} at {info.endpoint} (files under {info.data_dir})", soft_wrap=True)
    tables = "{recordings,scenes,things,images,failures}"
    console.print(f"  tables  {made.destination}/tables/{tables} (Delta)", soft_wrap=True)
    console.print(
        f'  query   eval "$(s2i store env)"; s2i query -d {made.destination} "SELECT name, pictures FROM episodes"',
        markup=False,
        soft_wrap=True,
    )
    console.print(f"  more    s2i status {made.destination}; s2i store down", soft_wrap=True)


def _failures(console: Console, failed: list[FailureRow]) -> None:
    _first(console, "failed", [f"{each.subject}: {each.message}. {each.remedy}" for each in failed])


def _first(console: Console, word: str, texts: list[str]) -> None:
    from rich.markup import escape

    from flows.overview import shown

    for text in texts[:_SHOWN]:
        console.print(f"  [yellow]{word:<7}[/] {escape(shown(text))}", soft_wrap=True)
    if len(texts) > _SHOWN:
        console.print(f"          and {len(texts) - _SHOWN} more; --json has all")


def _show(found: Overview) -> None:
    from rich.console import Console
    from rich.table import Table

    from flows.overview import taken_up

    console = Console(highlight=False)
    columns = ("recordings", "scenes", "images", "skipped", "failures")
    table = Table(title=found.destination, title_justify="left", box=None, pad_edge=False)
    table.add_column("run (its start in UTC)", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right")
    for one in found.runs[:_SHOWN_RUNS]:
        table.add_row(one.run_id, *(str(getattr(one, name)) for name in columns))
    if len(found.runs) > _SHOWN_RUNS:
        table.add_row(f"… {len(found.runs) - _SHOWN_RUNS} earlier", *("" for _ in columns))
    table.add_row("[bold]all[/]", *(f"[bold]{getattr(found.totals, name)}[/]" for name in columns))
    console.print(table)
    _failures(console, found.failures)
    for text in taken_up(found.failures):
        console.print(_line("again", text), soft_wrap=True)
    _first(console, "damaged", [f"{each.source_uri}: {each.damage}" for each in found.damaged])
