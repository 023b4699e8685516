"""An answer as a table for people, JSON, CSV or Parquet: to standard output, a file or the object store."""

from __future__ import annotations

import base64
import contextlib
import csv
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from s2i_core.errors import ConfigError
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import parse_uri

if TYPE_CHECKING:
    from s2i_core.analysis.database import Answer

Format = Literal["table", "json", "csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: dict[str, Format] = {".json": "json", ".csv": "csv", ".parquet": "parquet", ".txt": "table"}
_LONGEST_CELL = 60
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a spreadsheet take a text for a formula, or skip to one; OWASP, "CSV Injection"."""


def format_for(out: str | None, named: str | None) -> Format:
    """The format that was asked for, else that of the file's suffix, else a table for people.

    Raises:
        ConfigError: there is no such format, or nothing says which one a file is to have.
    """
    if named is not None:
        if named not in FORMATS:
            raise ConfigError(f"--format {named}", "there is no such format", f"There are {', '.join(FORMATS)}.")
        return named
    if out is None:
        return "table"
    suffix = Path(out).suffix.lower()
    if suffix not in _SUFFIXES:
        raise ConfigError(out, "its name does not say which format it is to have", "Add --format csv, json or parquet.")
    return _SUFFIXES[suffix]


def write(answer: Answer, form: Format, out: str | None, rows: int) -> int:
    """Write an answer; a file appears when all of it is there, and else not at all.

    Args:
        form: how.
        out: a path or `s3://bucket/key`; None for standard output.
        rows: at most so many in a table for people; the other formats have all.

    Returns:
        Rows written.

    Raises:
        ConfigError: Parquet would go to a terminal.
        StorageError: the object store refuses it.
    """
    writer = _WRITERS[form]
    if out is None:
        if form == "parquet" and sys.stdout.isatty():
            raise ConfigError("standard output", "Parquet is not for a terminal", "Add --out FILE.parquet.")
        with open(os.dup(sys.stdout.fileno()), "wb") if form == "parquet" else _text_out() as file:  # noqa: PTH123
            return writer(answer, file, rows)
    if out.startswith("s3://"):
        return _to_store(answer, form, out, rows)
    path = Path(out)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb" if form == "parquet" else "w", **({} if form == "parquet" else _AS_TEXT)) as file:
            count = writer(answer, file, rows)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


_AS_TEXT: dict[str, Any] = {"encoding": "utf-8", "newline": ""}


def _to_store(answer: Answer, form: Format, out: str, rows: int) -> int:
    bucket, key = parse_uri(out)
    if not key or key.endswith("/") or "/tables/" in f"/{key}":
        reason = "it names no file" if not key or key.endswith("/") else "tables/ is where tables are"
        raise ConfigError(out, reason, "Name a file such as s3://bucket/answers/episodes.parquet.")
    store = ObjectStore(S3Settings.from_env())
    store.check_writable(bucket, key.rpartition("/")[0])
    with tempfile.TemporaryDirectory(prefix="s2i-") as folder:
        path = Path(folder) / "answer"
        count = write(answer, form, str(path), rows)
        from s2i_core.storage.folders import s3_filesystem

        s3_filesystem(store.settings).put_file(str(path), f"{bucket}/{key}")
    return count


@contextlib.contextmanager
def _text_out() -> Iterator[IO[str]]:
    yield sys.stdout
    sys.stdout.flush()


def as_table(answer: Answer, file: IO[str], rows: int) -> int:
    """For people, of at most so many rows; returns how many."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=file, width=None if file.isatty() else 10_000, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for field in answer.schema:
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
        table.add_column(Text(printable(field.name)), justify="right" if number else "left")
    count = 0
    for row in _rows(answer):
        count += 1
        if count > rows:
            break
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)
    if count > rows:
        console.print(f"the first {rows} rows; --rows shows more, --format csv, json or parquet has all")
    return min(count, rows)


def printable(text: str) -> str:
    """A text made safe for a terminal, on one line: a title or a key may hold newlines and control characters."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    text = printable(json.dumps(plain(value), ensure_ascii=False) if isinstance(value, list | dict) else str(value))
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def _json(answer: Answer, file: IO[str], rows: int) -> int:
    """An array of objects, one a line."""
    names, count = answer.schema.names, 0
    file.write("[")
    for row in _rows(answer):
        record = {name: plain(value) for name, value in zip(names, row, strict=True)}
        file.write(("," if count else "") + "\n" + json.dumps(record, ensure_ascii=False, allow_nan=False))
        count += 1
    file.write("\n]\n")
    return count


def plain(value: Any) -> Any:
    """A value as JSON has it: times in ISO 8601, bytes in base64, what is no number as null."""
    made: Any
    match value:
        case None | bool() | int() | str():
            made = value
        case float():
            made = value if math.isfinite(value) else None
        case bytes():
            made = base64.b64encode(value).decode("ascii")
        case datetime() | date():
            made = value.isoformat()
        case dict():
            made = {str(name): plain(each) for name, each in value.items()}
        case list() | tuple():
            made = [plain(each) for each in value]
        case Decimal():
            made = int(value) if value == value.to_integral_value() else float(value)
        case _:
            made = str(value)
    return made


def _csv(answer: Answer, file: IO[str], rows: int) -> int:
    writer = csv.writer(file, lineterminator="\r\n")  # RFC 4180
    writer.writerow([_guarded(name) for name in answer.schema.names])
    count = 0
    for row in _rows(answer):
        writer.writerow([_csv_cell(value) for value in row])
        count += 1
    return count


def _csv_cell(value: Any) -> Any:
    found = plain(value)
    if isinstance(found, list | dict):
        return _guarded(json.dumps(found, ensure_ascii=False))
    return _guarded(found) if isinstance(found, str) else found


def _guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula: titles and keys come from strangers."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _parquet(answer: Answer, file: IO[bytes], rows: int) -> int:
    count = 0
    with pq.ParquetWriter(file, answer.schema, compression="zstd") as writer:
        for batch in answer.batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


_WRITERS: dict[Format, Callable[[Any, Any, int], int]] = {
    "table": as_table,
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
}


def _rows(answer: Answer) -> Iterator[Sequence[Any]]:
    for batch in answer.batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
