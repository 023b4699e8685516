"""The worked examples of the docs, made from nothing by following their pages to the letter, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(python (?P<path>\S+)|diff)\n(?P<code>.*?)^```$", re.M | re.S)


def follow(page: str, tree: Path) -> list[Path]:
    """Do what the blocks of a page say: write files, change lines. Returns the files written."""
    written = []
    for block in _BLOCK.finditer(page):
        if block["path"]:
            path = tree / block["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            assert not path.exists(), path
            path.write_text(block["code"], "utf-8")
            written.append(path)
            continue
        target = tree
        for part in re.split(r"^(?=\+\+\+ b/|@@)", block["code"], flags=re.M):
            head, _, body = part.partition("\n")
            if head.startswith("+++ b/"):
                target = tree / head.removeprefix("+++ b/")
            elif head.startswith("@@"):
                lines = [line for line in body.splitlines(keepends=True) if not line.startswith("---")]
                old, new = ("".join(line[1:] for line in lines if line[0] in " " + sign) for sign in "-+")
                text = target.read_text("utf-8")
                assert text.count(old) == 1, f"{target.name} has not, or not once:\n{old}"
                target.write_text(text.replace(old, new), "utf-8")
    return written


@pytest.mark.parametrize("page", ["add-a-decoder.md", "add-an-encoder.md"])
def test_the_page_makes_a_part_that_keeps_its_contract(page: str, tmp_path: Path) -> None:
    for name in ("s2i_core", "tests/models"):
        skipped = shutil.ignore_patterns("__pycache__", "checkpoints", "*.opus", "*.safetensors", "test_*.py")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=skipped)
    (tmp_path / "s2i_core" / "checkpoints").symlink_to(ROOT / "s2i_core" / "checkpoints")
    shutil.copy(ROOT / "tests" / "tiny.py", tmp_path / "tests")
    written = follow((ROOT / "docs" / page).read_text("utf-8"), tmp_path)
    tests = [str(path) for path in written if path.name.startswith("test_")]
    assert len(tests) == 1 and len(written) >= 2

    paths = os.pathsep.join([str(tmp_path), str(tmp_path / "tests")])
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout) and "failed" not in done.stdout
    ruff = [sys.executable, "-m", "ruff", "check", "-q", f"--config={ROOT / 'pyproject.toml'}", "--ignore=I"]
    checked = subprocess.run([*ruff, str(tmp_path / "s2i_core")], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
