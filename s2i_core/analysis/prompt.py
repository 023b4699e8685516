"""`s2i query` alone: a prompt for statements, with completion of tables, columns and words of SQL."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial

import typer

from s2i_core.analysis import answers
from s2i_core.analysis.database import Database
from s2i_core.analysis.views import MEANINGS
from s2i_core.errors import S2IError

WORDS = (
    *("SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "JOIN", "LEFT JOIN", "USING", "ON", "AS"),
    *(
        "AND",
        "OR",
        "NOT",
        "IN",
        "IS NULL",
        "BETWEEN",
        "LIKE",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "WITH",
        "UNION ALL",
    ),
    *("DISTINCT", "DESC", "ASC", "QUALIFY", "FILTER", "OVER", "PARTITION BY", "DESCRIBE", "SUMMARIZE", "EXPLAIN"),
    *("count(*)", "sum(", "avg(", "min(", "max(", "round(", "quantile_cont(", "list_contains("),
)
HELP = """A statement ends with a semicolon. Tab completes.
.tables   what there is to ask        .columns TABLE   its columns
.out FILE next answer into a file     .quit            leave (Ctrl+D)"""


def completions(database: Database, before: str, word: str, after: str = "") -> list[str]:
    """What a word may become: after FROM and JOIN a table, else a column of the line's tables, or a word of SQL."""
    tables = sorted(database.columns)
    if f"{before}{word}".lstrip().startswith("."):
        words = [".tables", ".columns ", ".out ", ".quit", ".help"]
        return [each for each in (tables if before.strip() else words) if each.startswith(word)]
    lower, line = word.lower(), f"{before} {after}"
    if re.search(r"\b(from|join|describe|summarize|table)\s+$", before, re.IGNORECASE):
        return [each for each in tables if each.startswith(lower)]
    named = [each for each in tables if re.search(rf"\b{each}\b", line, re.IGNORECASE)] or tables
    columns = sorted({column for each in named for column in database.columns[each]})
    stem, dot, part = lower.rpartition(".")
    if dot:
        return [f"{word[: len(stem)]}.{each}" for each in columns if each.startswith(part)]
    words = [each if word.isupper() else each.lower() for each in WORDS]
    return [each for each in [*columns, *tables, *words] if each.lower().startswith(lower)]


def talk(database: Database, rows: int) -> None:
    """Read statements until the end of input; an error is told and nothing ends."""
    known = ", ".join(sorted(database.columns))
    typer.echo(f"{database.uri}: {known}\n{HELP}\n")
    out: str | None = None
    for text in _statements(partial(completions, database)):
        try:
            if text.startswith("."):
                command, _, rest = text[1:].partition(" ")
                if command in {"quit", "exit", "q"}:
                    return
                out = rest.strip() or None if command == "out" else out
                if command != "out":
                    typer.echo(_told(database, command, rest.strip()))
                continue
            with database.ask(text) as answer:
                count = answers.write(answer, answers.format_for(out, None), out, rows)
            if out is not None:
                typer.echo(f"{count} rows in {out}")
            out = None
        except S2IError as error:
            typer.secho(f"error: {error}", fg="red", err=True)
        except KeyboardInterrupt:
            database.interrupt()
            typer.echo("stopped", err=True)


def _told(database: Database, command: str, rest: str) -> str:
    if command == "columns" and rest in database.columns:
        return ", ".join(database.columns[rest])
    if command == "tables":
        return "\n".join(f"{name:<11} {MEANINGS.get(name, '')}".rstrip() for name in sorted(database.columns))
    return HELP


def _statements(complete: Callable[[str, str, str], list[str]]) -> Iterator[str]:
    """Statements as they are typed, over several lines where a semicolon is not there yet."""
    asked = sys.stdin.isatty()
    if asked:
        _with_readline(complete)
    parts: list[str] = []
    while True:
        try:
            line = input(("s2i> " if not parts else "...> ") if asked else "")
        except EOFError:
            line = None
        except KeyboardInterrupt:
            parts = []
            typer.echo("")
            continue
        if line is None:
            if text := " ".join(parts).strip():
                yield text
            return
        if not parts and line.startswith("."):
            yield line.strip()
            continue
        parts.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(parts)
            parts = []


def _with_readline(complete: Callable[[str, str, str], list[str]]) -> None:
    with contextlib.suppress(ImportError):
        import readline

        found: list[str] = []

        def completer(word: str, state: int) -> str | None:
            if state == 0:
                line = readline.get_line_buffer()
                found[:] = complete(line[: readline.get_begidx()], word, line[readline.get_endidx() :])
            return found[state] if state < len(found) else None

        readline.set_completer_delims(" \t\n,()=<>+-*/;")
        readline.set_completer(completer)
        readline.parse_and_bind("tab: complete")
