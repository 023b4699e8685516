"""The suite's own check at its end: what a test leaves running fails it, and is ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LEAVES = """
import subprocess

def test_leaves():
    subprocess.Popen(["sleep", "613"], start_new_session=True)

def test_leaves_nothing():
    subprocess.Popen(["sleep", "613"], start_new_session=True).kill()
"""


def test_what_is_left_running_fails_the_suite(tmp_path: Path) -> None:
    here = Path(__file__).parent
    (tmp_path / "test_it.py").write_text(LEAVES)
    (tmp_path / "conftest.py").write_text(
        "import suite_end\nfrom suite_end import pytest_sessionfinish, pytest_terminal_summary\nsuite_end._LEFT_S = 1"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}

    def run(name: str, *more: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), *more]
        command += [str(tmp_path / "test_it.py"), "-k", name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    code, said = run("test_leaves_nothing")
    assert code == 0, said
    for more in ((), ("-n", "1")):
        code, said = run("test_leaves and not nothing", *more)
        assert code == 1 and "1 passed" in said and "sleep 613" in said, said
