"""The references say what the code says."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from s2i_core import records

DOCS = Path(__file__).parents[2] / "docs"


def test_the_settings_are_up_to_date():
    checked = subprocess.run(
        [sys.executable, DOCS / "reference.py", "--check"], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def columns():
    spec = importlib.util.spec_from_file_location("columns", DOCS / "columns.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_column_is_explained_as_the_schemas_have_it():
    text = (DOCS / "tables.md").read_text("utf-8")
    assert columns().page(text) == text, "run `python docs/columns.py`"
    for name in ("recordings", "scenes", "things", "images", "edits", "failures"):
        section = re.search(rf"^## `{name}`$(.*?)(?=^## |\Z)", text, re.M | re.S)[1]
        rows = re.findall(r"^\| `(\w+)`(?: \*)? \| ([^|]+) \|[^|]*\| (?:yes|never) \|", section, re.M)
        assert rows == [(field.name, str(field.type)) for field in getattr(records, name.upper())]


def test_a_column_without_a_meaning_or_without_what_null_means_is_found():
    text = (DOCS / "tables.md").read_text("utf-8")
    (row,) = re.findall(r"^\| `damage` .*$", text, re.M)
    with pytest.raises(LookupError, match=r"recordings\.damage has no row"):
        columns().page(text.replace(row + "\n", ""))
    with pytest.raises(LookupError, match="does not say what that means"):
        columns().page(text.replace(row, "| `damage` | What was wrong. |"))


def test_the_keys_are_those_of_the_lake():
    from s2i_core.storage.objects import S3Settings
    from s2i_core.storage.tables import Lake

    text = (DOCS / "tables.md").read_text("utf-8")
    for name, table in Lake(S3Settings(), "s3://none").tables.items():
        section = re.search(rf"^## `{name}`$(.*?)(?=^## |\Z)", text, re.M | re.S)[1]
        assert set(re.findall(r"^\| `(\w+)` \*", section, re.M)) == set(table.key_columns)


def test_links_and_paths_lead_somewhere():
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
    for page in pages:
        text = page.read_text("utf-8")
        links = [link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if not link.startswith("http")]
        for link in links:
            assert (page.parent / link).exists(), f"{page.name}: {link}"
        # `s2i_core/publish/page.py` and the like: names of files in the tree.
        for path in re.findall(r"`((?:s2i_core|cluster|flows|infra|tests|samples|docs)/[\w./-]*)`", text):
            assert (DOCS.parent / path).exists(), f"{page.name}: {path}"


def test_the_tree_of_the_readme_is_the_real_one():
    root = DOCS.parent
    (tree,) = re.findall(r"^```\n(Makefile.*?)^```", (root / "README.md").read_text("utf-8"), re.M | re.S)
    found, folder = set(), ""
    for line in tree.splitlines():
        indent, name = re.match(r"( *)(\S+)  ", line + "  ").groups()
        folder = folder if indent else name
        found.add(folder + name if indent else name)
    assert not [name for name in found if not (root / name).exists()]
    packages = {
        f"{path.parent.relative_to(root)}/"
        for layer in ("s2i_core", "cluster", "flows")
        for path in (root / layer).glob("*/__init__.py")
    }
    assert packages <= found
