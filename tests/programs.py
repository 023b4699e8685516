"""The programs that check infrastructure; a test that needs one that cannot be had here is skipped, with the reason."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from s2i_core.corpus.sources.packages import PackageError

sys.path.insert(0, str(Path(__file__).parents[1] / "infra"))

from tools import program


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Path of a program by its name."""

    def find(name: str) -> str:
        try:
            return str(program(name))
        except PackageError as error:
            pytest.skip(f"{name} cannot be had here: {error}")

    return find
