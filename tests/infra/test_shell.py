"""Every shell script of the repository, by shellcheck."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


def scripts() -> list[Path]:
    """Tracked files that a shell runs, by their first line or their name."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for path in (ROOT / name for name in listed.split("\0") if name):
        if path.is_file():
            with path.open("rb") as file:
                first = file.readline(80)
            if path.suffix == ".sh" or re.match(rb"#!.*\b(ba|da)?sh\s*$", first):
                found.append(path)
    return found


def faults(*files: Path) -> str:
    command = [str(SHELLCHECK), "--severity=style", *map(str, files)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout + answer.stderr


def test_shellcheck_finds_no_fault_in_any_script() -> None:
    found = scripts()
    assert {path.name for path in found} >= {"run", "install.sh", "walk.sh", "lock.sh"}
    assert faults(*found) == ""


def test_shellcheck_finds_a_fault_where_there_is_one(tmp_path: Path) -> None:
    bad = tmp_path / "bad.sh"
    bad.write_text("#!/usr/bin/env bash\nrm -rf $1/tmp\n")
    assert "SC2086" in faults(bad)
