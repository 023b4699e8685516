"""Write the columns of docs/tables.md from the schemas: `python docs/columns.py`.

Order, type, key, unit and whether a column may be null come from the code, the example from rows of the sample archive
that version 0.1 wrote, or from `EXAMPLES`; what a column means is kept from the page, where it is written. With --check, write nothing and fail where
the page is out of date, where a column has no meaning, or where one that may be null does not say what that means.
"""

# ruff: noqa: E501

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from s2i_core import records
from s2i_core.storage.objects import S3Settings
from s2i_core.storage.tables import Lake

DOCS = Path(__file__).parent
PAGE, SAMPLE = DOCS / "tables.md", DOCS.parent / "tests" / "storage" / "lake_0_1"
RECORDS = {
    "recordings": records.Recording,
    "scenes": records.Scene,
    "things": records.HeardThing,
    "images": records.ImageSample,
    "edits": records.Edit,
    "failures": records.Failure,
}
EXAMPLES = {
    "recordings.reason": "no_speech",
    "recordings.tracks": "1: silence; 2: speech, used",
    "recordings.damage": "it breaks off at 12.3 s",
    "thing_id": "5f0c1a7be2d94c3a8b6e7d1f20394a5b",
    "things": "[owl, ship]",
    "thing": "owl",
    "shown": "true",
    "things.start_s": "83.4",
    "things.end_s": "84",
    "things.confidence": "0.93",
    "things.recording_id": "9a1f3c5e7b2d4f6a8c0e1b3d5f7a9c1e",
    "things.scene_id": "0b2d4f6a8c1e3a5c7e9b1d3f5a7c9e0b",
    "settings": '{"image":{"size_px":256, …}}',
    "edit_id": "7b1d4f6a8c0e2b3d5f7a9c1e9a1f3c5e",
    "edits.recording_id": "9a1f3c5e7b2d4f6a8c0e1b3d5f7a9c1e",
    "edits.scene_id": "0b2d4f6a8c1e3a5c7e9b1d3f5a7c9e0b",
    "kind": "redo",
    "edits.image_id": "069e8d9758be308a5c329dfbac1ae147",
    "rejected": "false",
    "before": "5b7e9d1758be308a5c329dfbac1ae146",
    "undoes": "3c5e7b1d4f6a8c0e2b3d5f7a9c1e9a1f",
    "note": "too many owls",
    "editor": "ann",
    "via": "command",
    "failures.subject": "s3://archive/not-audio.mp3",
    "model_digest": "b566d1606a80ba058b50e17182c74b02",
    "plan_digest": "55808813b9b76b9a2c476598e1e7bad1",
    "focus_extras": "18,504 bytes",
    "shows": "[{thing: owl, count: 1, …}]",
    "alt": "An owl in a forest at night.",
    "variant": "0",
    "setting": "forest",
    "time_of_day": "night",
    "failures.recording_id": "9a1f3c5e7b2d4f6a8c0e1b3d5f7a9c1e",
    "failures.scene_id": "0b2d4f6a8c1e3a5c7e9b1d3f5a7c9e0b",
    "stage": "decode",
    "error": "DecodeError",
    "message": "it holds no audio that can be decoded",
    "remedy": "Replace the object by a whole one.",
    "attempts": "1",
    "failures.retryable": "false",
    "run_id": "20261130T010000-a1b2c3",
    "created_at": "2026-11-30 01:02:03+00:00",
}
HEAD = "| column | type | unit | null | example | meaning |\n|---|---|---|---|---|---|"
_UNITS = {"_s": "s", "_ms": "ms", "_hz": "Hz", "_px": "px", "_bytes": "bytes", "_at": "UTC"}
_SHARES = {"confidence": "0 to 1", "speech_share": "0 to 1", "similarity": "−1 to 1"}
_LONGEST = 34
_ROW = re.compile(r"^\| `(\w+)`(?: \*)? \| (.+) \|$")


def page(text: str) -> str:
    """The page with its tables written anew.

    Raises:
        LookupError: a column has no meaning on the page, or does not say what null means.
    """
    for name, table in Lake(S3Settings(), "s3://none").tables.items():
        start = text.index(f"\n## `{name}`\n")
        end = text.find("\n## ", start + 1)
        end = len(text) if end < 0 else end
        text = text[:start] + _section(text[start:end], name, table.schema, table.key_columns) + text[end:]
    return text


def _section(text: str, name: str, schema: pa.Schema, keys: tuple[str, ...]) -> str:
    meanings = {}
    lines = text.split("\n")
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    last = next(
        number for number in range(first, len(lines) + 1) if not "".join(lines[number : number + 1]).startswith("|")
    )
    for line in lines[first:last]:
        if found := _ROW.match(line):
            meanings[found[1]] = found[2].split(" | ")[-1]
    hints = get_type_hints(RECORDS[name], include_extras=True)
    path = SAMPLE / f"{name}.parquet"
    sample = pq.read_table(path) if path.exists() else schema.empty_table()
    made = []
    for field in schema:
        may_be_null = NoneType in get_args(hints[field.name])
        if field.name not in meanings:
            raise LookupError(
                f"docs/tables.md: {name}.{field.name} has no row: add one, | `{field.name}` | what it means |"
            )
        meaning = meanings[field.name]
        if may_be_null and "null" not in meaning.lower():
            raise LookupError(f"docs/tables.md: {name}.{field.name} may be null and does not say what that means")
        cells = [_unit(field.name), "yes" if may_be_null else "never", _example(sample, name, field.name), meaning]
        made.append(f"| `{field.name}`{' *' if field.name in keys else ''} | {field.type} | {' | '.join(cells)} |")
    return "\n".join([*lines[:first], HEAD, *made, *lines[last:]])


def _unit(name: str) -> str:
    return _SHARES.get(name) or next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")


def _example(sample: pa.Table, table: str, name: str) -> str:
    """One of `EXAMPLES`, or the first value of the sample that is not empty."""
    if (given := EXAMPLES.get(f"{table}.{name}") or EXAMPLES.get(name)) is not None:
        return f"`{given}`"
    values = sample[name].to_pylist() if name in sample.schema.names else []
    value = next((each for each in values if each not in (None, "", b"", [])), None)
    return "" if value is None else f"`{_short(value)}`"


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list):
        shown = ", ".join(_short(each) for each in value[:3])
        return f"[{shown}{', …' if len(value) > 3 else ''}]"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value.isoformat(timespec="seconds") if hasattr(value, "isoformat") else value).replace("|", "\\|")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    check = parser.parse_args().check
    text = PAGE.read_text("utf-8")
    try:
        made = page(text)
    except LookupError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not check:
        PAGE.write_text(made, "utf-8")
    elif made != text:
        sys.stderr.write("docs/tables.md is out of date: run `python docs/columns.py`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
