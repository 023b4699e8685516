"""The command `s2i verify`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from s2i_core import options

if TYPE_CHECKING:
    from s2i_core.provenance.verify import Finding

EXIT_NOT_GENUINE = 1


def command(
    place: Annotated[str, typer.Argument(help="A picture, a folder of pictures, or s3://bucket/folder.")],
    *,
    settings: options.SetOptions = None,
    as_json: options.AsJson = False,
) -> None:
    """Say of pictures whether they were made here, of which second of which recording, and whether they were changed.

    A line a file: genuine (signed, and as it was), changed (after it was signed), untrusted (signed by an authority
    that does not count), marked (no signature, but the watermark), unknown (nothing says that it is ours), unreadable.
    Exit code: 0 when all are genuine, 1 otherwise, 2 after an error.
    """
    from s2i_core.provenance.authority import keys
    from s2i_core.provenance.verify import Verdict, verify_place

    config = options.shaped("cpu", options.changes(settings=settings))
    genuine = True
    for found in verify_place(place, keys(config.provenance)):
        genuine &= found.verdict == Verdict.GENUINE
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False) if as_json else _line(found))
    if not genuine:
        raise typer.Exit(EXIT_NOT_GENUINE)


def _line(found: Finding) -> str:
    parts = [f"{found.verdict:<10} {found.name}"]
    if found.signer:
        parts.append(f"signed by {found.signer}")
    if found.origin and found.verdict == "genuine":
        origin = found.origin
        parts.append(f"{origin.start_s:.1f} to {origin.end_s:.1f} s of recording {origin.recording_id}")
        parts += [origin.shows] if origin.shows else []
    if found.watermark:
        parts.append("watermark found")
    if found.reason:
        parts.append(found.reason)
    return "; ".join(parts)
