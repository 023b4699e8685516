"""The terraform modules as plain data: parsed by python-hcl2, quotes taken off, blocks without their marks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

TERRAFORM = Path(__file__).parents[2] / "infra" / "terraform"
FOLDERS = sorted({path.parent for path in TERRAFORM.rglob("*.tf")})


@dataclass(frozen=True)
class Block:
    """A resource, a data source or a module call."""

    kind: str
    name: str
    body: dict[str, Any]
    file: Path

    def __str__(self) -> str:
        return f"{self.file.relative_to(TERRAFORM)}: {self.kind}.{self.name}"


def plain(value: Any) -> Any:
    """Without quotes around strings and names, and without the parser's marks."""
    if isinstance(value, str):
        return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items() if not key.startswith("__")}
    return value


def files(folder: Path = TERRAFORM) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every file below a folder, parsed."""
    for path in sorted(folder.rglob("*.tf")):
        yield path, _parsed(path)


@cache
def _parsed(path: Path) -> dict[str, Any]:
    """Once for all tests: the parser takes a tenth of a second and more for each file."""
    with path.open() as file:
        return dict(plain(hcl2.load(file)))


def blocks(section: str, folder: Path = TERRAFORM) -> list[Block]:
    """Everything of a section: `resource`, `data` (both with two labels), `module`, `variable`, `output` (with one)."""
    found = []
    for path, content in files(folder):
        for entry in content.get(section, ()):
            for label, body in entry.items():
                if section in {"resource", "data"}:
                    found += [Block(label, name, inner, path) for name, inner in body.items()]
                else:
                    found.append(Block(section, label, body, path))
    return found
