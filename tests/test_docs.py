"""What the docs name is there: files and folders of this repository, and what others are told to import."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FENCED = re.compile(r"^```.*?^```", re.M | re.S)
_FILE = re.compile(r"`((?:s2i_core|cluster|flows|infra|samples|requirements|tests|docs)/[\w./*-]*)`")
_IMPORTED = re.compile(r"\b((?:s2i_core|cluster|flows)(?:\.[a-z]\w*)+):(\w+)")
_PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "infra").rglob("*.md")]
_NOT_OF_NOW = ("CHANGELOG.md", "add-a-decoder.md", "add-an-encoder.md")
"""They name what was, or what who follows them will make."""


def texts(paths: Iterable[Path]) -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in paths if path.name not in _NOT_OF_NOW}


def test_files_that_are_named_are_there() -> None:
    named = [(page, name) for page, text in texts(_PAGES).items() for name in _FILE.findall(_FENCED.sub("", text))]
    assert len(named) > 50
    assert [(page, name) for page, name in named if not any(ROOT.glob(name.rstrip("/")))] == []


def test_what_is_to_be_imported_is_there() -> None:
    settings = [ROOT / "pyproject.toml", ROOT / "prefect.yaml", *(ROOT / "infra" / "kuberay").rglob("*.*")]
    named = [(page, *found) for page, text in texts(_PAGES + settings).items() for found in _IMPORTED.findall(text)]
    assert len(named) > 10

    def there(module: str, name: str) -> bool:
        file = ROOT / f"{module.replace('.', '/')}.py"
        return file.exists() and re.search(rf"\b{name}\b", file.read_text("utf-8")) is not None

    assert [(page, module) for page, module, name in named if not there(module, name)] == []
