"""The references say what the code says."""

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


@pytest.mark.parametrize("name", ["recordings", "scenes", "things", "images", "failures"])
def test_every_column_of_a_table_is_explained_with_its_type(name):
    section = re.search(rf"^## `{name}`$(.*?)(?=^## |\Z)", (DOCS / "tables.md").read_text("utf-8"), re.M | re.S)[1]
    rows = re.findall(r"^\| `(\w+)`( \*)? \| ([^|]+) \| ([^|]+) \|$", section, re.M)
    schema = getattr(records, name.upper())
    assert [(column, kind) for column, _, kind, _ in rows] == [(field.name, str(field.type)) for field in schema]


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
