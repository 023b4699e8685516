"""Every option that a message or a page names exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from s2i_core.cli import app

ROOT = Path(__file__).parents[2]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
#: A command of ours in a text, up to the end of the line, of the code or of the sentence.
COMMAND = re.compile(r"\bs2i ((?:[a-z]+(?= |`|$) ?)+)([^\n`]*)")
#: Commands of other programs, whose options are theirs.
FOREIGN = re.compile(r"\b(?:aws|curl|kubectl) [^;`]*")


def commands() -> dict[tuple[str, ...], set[str]]:
    """Every command by its words, with its options."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], set[str]]]:
        context = typer.Context(command)
        real = command.make_context(words[-1] if words else "s2i", [], resilient_parsing=True).command
        own = {name for each in real.get_params(context) for name in (*each.opts, *each.secondary_opts)}
        yield words, own
        if hasattr(real, "list_commands"):
            for name in real.list_commands(context):
                yield from walk(real.get_command(context, name), (*words, name))

    return dict(walk(typer.main.get_command(app), ()))


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, ...], set[str]]:
    return commands()


def wrong(text: str, known: dict[tuple[str, ...], set[str]]) -> list[str]:
    """Commands of ours in a text with an option that they don't have."""
    found = []
    for words, after in COMMAND.findall(text):
        path = tuple(words.split())
        while path not in known:
            path = path[:-1]
        rest = re.split(r"[|;&#,)]|\. ", after)[0]
        allowed = set().union(*(known[path[:length]] for length in range(1, len(path) + 1))) | {"--help"}
        found += [f"s2i {' '.join(path)} {option}" for option in OPTION.findall(rest) if option not in allowed]
    return found


def messages(path: Path) -> Iterator[str]:
    """The strings of a source that are sentences: no docstrings, no arguments."""
    tree = ast.parse(path.read_text())
    quiet = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        if not all(isinstance(part, ast.Constant | ast.FormattedValue) for part in parts) or id(node) in quiet:
            continue
        quiet |= {id(part) for part in parts}  # what is within is not met again
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
        if " " in text.strip():
            yield text


def test_the_options_of_all_messages_exist(known: dict[tuple[str, ...], set[str]]) -> None:
    of_kubectl = {"--from-literal", "--from-file", "--cert", "--key"}
    every = set().union(*known.values(), of_kubectl)
    faults = []
    for layer in ("s2i_core", "cluster", "flows"):
        for path in sorted((ROOT / layer).rglob("*.py")):
            for message in messages(path):
                named = [option for option in OPTION.findall(FOREIGN.sub("", message)) if option not in every]
                faults += [f"{path.relative_to(ROOT)}: {each}" for each in named + wrong(message, known)]
    assert not faults, "\n".join(faults)


def test_the_options_of_all_pages_exist(known: dict[tuple[str, ...], set[str]]) -> None:
    pages = [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")]
    faults = [f"{page.name}: {each}" for page in pages for each in wrong(page.read_text(), known)]
    assert not faults, "\n".join(faults)


def test_one_that_is_not_there_is_found(known: dict[tuple[str, ...], set[str]]) -> None:
    assert ("serve", "key") in known and ("platform", "up") in known
    assert wrong("Run `s2i serve --verbose` again; see s2i run s3://a s3://b --limit 3.", known) == [
        "s2i serve --verbose"
    ]
    assert wrong("s2i serve key phone --hours 3", known) == ["s2i serve key --hours"]
