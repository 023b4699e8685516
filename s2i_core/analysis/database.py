"""The tables of a destination as a database that can be read and nothing else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from s2i_core.analysis.statement import SUBJECT, checked, missing_name
from s2i_core.analysis.views import VIEWS
from s2i_core.errors import ConfigError, LimitExceeded, S2IError, StorageError

BATCH_ROWS = 10_000
"""Rows of an answer that are in memory at a time."""


@dataclass(frozen=True)
class QueryLimits:
    """What one statement may use up.

    Attributes:
        seconds: time until it is interrupted, its answer included.
        memory: of the database, such as "1GB"; nothing is put on the disk instead.
        threads: of the database.
    """

    seconds: float = 300.0
    memory: str = "1GB"
    threads: int = 2


@dataclass(frozen=True)
class Answer:
    """What a statement found: its columns at once, its rows as they are read."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]

    def table(self) -> pa.Table:
        """All of it."""
        return pa.Table.from_batches(self.batches, schema=self.schema)


class Readable(Protocol):
    """A table that can be read, as `LakeTable` is."""

    @property
    def schema(self) -> pa.Schema:
        """Of its rows."""

    def dataset(self) -> Any:
        """The rows as an Arrow dataset; None if there were never any."""


class Tables(Protocol):
    """The tables of a destination by name, as `Lake` has them."""

    @property
    def uri(self) -> str:
        """Where they are."""

    @property
    def tables(self) -> Mapping[str, Readable]:
        """By name."""


class Database:
    """The tables and ready views of a destination, as they were when it was opened.

    One statement at a time. Use it as a context manager, or `close` it.

    Args:
        lake: the destination's tables.

    Raises:
        StorageError: there are no tables, or the store refuses them.
        ConfigError: a limit is none.
    """

    def __init__(self, lake: Tables, limits: QueryLimits | None = None) -> None:
        self.limits = limits or QueryLimits()
        self.uri = lake.uri
        self._connection = _closed_off(self.limits)
        self._connection.execute("SET TimeZone = 'UTC'")  # or days would be those of whoever asks
        empty = True
        for name, table in lake.tables.items():
            dataset = table.dataset()
            empty = empty and dataset is None
            self._connection.register(name, dataset if dataset is not None else table.schema.empty_table())
        if empty:
            raise StorageError(
                lake.uri,
                "there are no tables of s2i",
                "Correct the address, or fill it first: s2i run s3://archive/talks s3://pictures/talks",
            )
        for name, sql in VIEWS.items():
            self._connection.execute(f"CREATE VIEW {name} AS {sql}")
        self._connection.execute("SET lock_configuration = true")
        self.columns = self._columns()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._connection.close()

    @contextlib.contextmanager
    def ask(self, sql: str) -> Iterator[Answer]:
        """The answer to a SELECT; its rows can be read within the context.

        Raises:
            ConfigError: it is not one SELECT over these tables, or names what is not there.
            LimitExceeded: it took too long or too much memory.
            StorageError: a file of the tables cannot be read.
        """
        text = checked(sql, self.columns)
        timer = threading.Timer(self.limits.seconds, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            with self._clear_errors():
                reader = self._connection.execute(text).to_arrow_reader(BATCH_ROWS)
                yield Answer(reader.schema, iter(reader))
        finally:
            timer.cancel()

    def interrupt(self) -> None:
        """End the statement that runs; it raises `LimitExceeded`."""
        self._connection.interrupt()

    def _columns(self) -> dict[str, list[str]]:
        """Columns by table and view."""
        rows = self._connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns ORDER BY table_name, ordinal_position"
        ).fetchall()
        found: dict[str, list[str]] = {}
        for table, column in rows:
            found.setdefault(table, []).append(column)
        return found

    @contextlib.contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except S2IError:
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> S2IError:
        text = " ".join(str(error).split())
        if isinstance(error, duckdb.InterruptException) or "INTERRUPT" in text:
            more = "Ask for less, or give it longer: --seconds."
            return LimitExceeded(SUBJECT, f"it was stopped after {self.limits.seconds:g} s", more)
        if isinstance(error, duckdb.OutOfMemoryException | pa.ArrowMemoryError):
            more = "Ask for fewer rows or columns at once, or give it more: --memory."
            return LimitExceeded(SUBJECT, f"it takes more memory than {self.limits.memory}", more)
        if isinstance(error, duckdb.Error) and not _of_storage(error):
            names = {column for columns in self.columns.values() for column in columns}
            if (missing := missing_name(error, names)) is not None:
                name, near = missing
                remedy = f"Is it {' or '.join(near)}?" if near else "DESCRIBE a table lists its columns."
                return ConfigError(SUBJECT, f"there is no {name!r}", remedy)
            return ConfigError(SUBJECT, _words(text), "Correct it; DESCRIBE a table lists its columns.")
        return StorageError(
            self.uri,
            f"a file of its tables cannot be read ({_words(text)})",
            "See that this login may read everything under tables/, and whether files there were deleted or changed by "
            "hand; old versions of a table may still be whole.",
        )


def _closed_off(limits: QueryLimits) -> Any:
    try:
        return duckdb.connect(
            config={
                "enable_external_access": "false",
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
                "allow_community_extensions": "false",
                "python_enable_replacements": "false",
                "temp_directory": "",
                "memory_limit": limits.memory,
                "threads": str(limits.threads),
            }
        )
    except duckdb.Error as error:
        raise ConfigError(f"--memory {limits.memory}", _words(str(error)), "Name it as 500MB or 4GB.") from error


_STORAGE_WORDS = (
    "Parquet",
    "parquet",
    "AWS Error",
    "NoSuchKey",
    "HTTP",
    "object store",
    "ArrowInvalid",
    "OSError",
    "Thrift",
)


def _of_storage(error: duckdb.Error) -> bool:
    """Whether it comes from reading the tables' files and not from the statement."""
    text = str(error)
    return not isinstance(error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException) and any(
        word in text for word in _STORAGE_WORDS
    )


def _words(text: str) -> str:
    """The library's words, without its marks and its drawing of the place."""
    first = text.split(" LINE ", maxsplit=1)[0].strip().rstrip(".!")
    return first[:300]
