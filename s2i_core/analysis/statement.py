"""Which SQL may be asked: one statement that reads our tables, and nothing that does anything else.

DuckDB's own switches are not enough: with `enable_external_access=false` and a locked configuration, the function
`enable_logging` still turned a connection into one that tries to write files, and `arrow_scan` reads from a pointer.
So a statement is parsed, and everything in its tree that it reads from must be one of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any

import duckdb

from s2i_core.errors import ConfigError

SUBJECT = "the statement"
MAX_CHARACTERS = 100_000
_REMEDY = "Ask one SELECT over the tables; `s2i query` alone lists them with .tables."

TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
"""Functions that may stand where a table does; others of DuckDB read files or change settings."""
BARRED = frozenset(
    {
        *("write_log", "sleep_ms", "pg_sleep", "nextval", "currval", "setseed", "error", "stats"),
        *("current_query", "current_query_id", "current_connection_id", "current_transaction_id", "current_setting"),
        *("getvariable", "json_execute_serialized_sql"),
    }
)
"""Functions of values that do something else than compute one from another."""
_SCHEMAS = frozenset({"", "main", "information_schema"})
_EXPLAIN = re.compile(r"\s*EXPLAIN\b\s*(ANALYZE\b\s*)?(\((?:[^()]|\([^()]*\))*\)\s*)?", re.IGNORECASE)


def checked(sql: str, tables: Collection[str]) -> str:
    """The statement, if it only reads these tables; EXPLAIN in front of it is let through.

    Args:
        tables: names of tables and views, in lower case.

    Raises:
        ConfigError: it is not SQL, more or less than one statement, not a SELECT, or reads from something else.
    """
    text = _one(sql)
    inner = _EXPLAIN.sub("", text, count=1) if _EXPLAIN.match(text) else text
    if inner is not text:
        inner = _one(inner)
    tree = _tree(inner)
    named = {str(each["key"]).lower() for node in _nodes(tree) for each in _entries(node.get("cte_map"))}
    for node in _nodes(tree):
        _check(node, named, tables)
    return text


def _one(sql: str) -> str:
    if len(sql) > MAX_CHARACTERS:
        raise _refused(f"it is longer than {MAX_CHARACTERS} characters", "Ask for less at once.")
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise _refused(f"it is not SQL ({_first_line(error)})", "Correct it.") from error
    if len(statements) != 1:
        raise _refused(f"there are {len(statements)} of them, where one is wanted", _REMEDY)
    if statements[0].type not in {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}:
        kind = str(statements[0].type).rpartition(".")[2].replace("_", " ")
        raise _refused(
            f"it is {kind}, and only SELECT is let through: the tables are read here, never changed", _REMEDY
        )
    return str(statements[0].query).strip().rstrip(";")


def _tree(select: str) -> dict[str, Any]:
    with duckdb.connect(config={"enable_external_access": "false"}) as parser:
        try:
            answer = parser.execute("SELECT json_serialize_sql(?)", [select]).fetchone()
        except duckdb.Error as error:
            raise _refused(f"it cannot be read ({_first_line(error)})", "Make it simpler.") from error
    tree: dict[str, Any] = json.loads(answer[0]) if answer else {"error": True}
    if tree.get("error") or len(tree.get("statements", ())) != 1:
        raise _refused("it does something else than SELECT", _REMEDY)
    return tree


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a tree; without recursion, as it may be deep."""
    waiting = [tree]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _entries(ctes: Any) -> list[dict[str, Any]]:
    return list(ctes["map"]) if isinstance(ctes, dict) else []


def _check(node: dict[str, Any], named: Collection[str], tables: Collection[str]) -> None:
    kind = node.get("type")
    if not isinstance(kind, str):
        return
    if kind == "BASE_TABLE":
        name, schema = str(node["table_name"]), str(node.get("schema_name") or "").lower()
        if node.get("catalog_name") or schema not in _SCHEMAS:
            raise _refused(f"it reads {schema}.{name}, which is not a table of the destination", _REMEDY)
        if schema != "information_schema" and name.lower() not in named and name.lower() not in tables:
            near = get_close_matches(name.lower(), tables, 3) or sorted(tables)
            raise _refused(f"there is no table {name!r}", f"There are {', '.join(near)}.")
    elif kind == "TABLE_FUNCTION":
        function = str(node["function"]["function_name"]).lower()
        if function not in TABLE_FUNCTIONS:
            raise _refused(f"it reads from the function {function}, which is closed off here", _REMEDY)
    elif kind == "SHOW_REF":
        if node.get("query") is None and str(node.get("table_name")).strip('"').lower() != "tables":
            raise _refused("it shows something else than tables and columns", "Ask SHOW TABLES, or DESCRIBE a table.")
    elif kind == "FUNCTION" and str(node.get("function_name")).lower() in BARRED:
        raise _refused(f"it calls {node['function_name']}, which is closed off here", _REMEDY)
    elif kind.endswith("_NODE") and kind not in _QUERIES:
        raise _refused("it does something else than SELECT", _REMEDY)
    elif kind in _REFS_CLOSED:
        raise _refused("it reads from something that is no table", _REMEDY)


_QUERIES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_REFS_CLOSED = frozenset({"COLUMN_DATA", "DELIM_GET", "BOUND_TABLE_REF"})


_MISSING = re.compile(
    r'Referenced column "([^"]+)" not found'
    r'|does not have a column named "([^"]+)"'
    r"|Function with name (\w+) does not"
)


def missing_name(error: duckdb.Error, columns: Collection[str]) -> tuple[str, list[str]] | None:
    """A column or function that a statement names and that is not there, with what is like it."""
    found = _MISSING.search(str(error))
    if found is None:
        return None
    name = next(filter(None, found.groups()))
    if found[3]:
        suggested = re.search(r'Did you mean "([^"]+)"', str(error))
        return name, [suggested[1]] if suggested else []
    lower = {each.lower(): each for each in columns}
    return name, [lower[each] for each in get_close_matches(name.lower(), lower, 4, 0.5)]


def _refused(reason: str, remedy: str) -> ConfigError:
    return ConfigError(SUBJECT, reason, remedy)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
