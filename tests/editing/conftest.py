"""A destination that another process filled."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from tiny import tiny_pipeline

from editing.drawn_elsewhere import EACH_S
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

_PROGRAM = Path(__file__).with_name("drawn_elsewhere.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the development authority is made."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2I_HOME", str(home))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_pipeline(grounded=True).save_pretrained(folder)
    return folder


def drawn_elsewhere(
    objects: ObjectStore,
    checkpoint: Path,
    home: Path,
    scenes: int,
    *,
    uri: str = "",
    name: str = "Farm talk.wav",
    each_s: float = EACH_S,
) -> Lake:
    """A destination that a process of its own filled with so many scenes of one recording."""
    uri = uri or f"s3://edit-{uuid.uuid4().hex[:12]}/out"
    objects.create_bucket(uri.split("/")[2])
    root = Path(__file__).parents[1]
    paths = os.pathsep.join([str(root), str(root.parent)])
    subprocess.run(
        [sys.executable, _PROGRAM, checkpoint, uri, str(scenes), name, str(each_s)],
        check=True,
        env=os.environ | {"PYTHONPATH": paths, "S2I_HOME": str(home), "OMP_NUM_THREADS": "1"},
    )
    return Lake(objects.settings, uri)


@pytest.fixture(scope="module")
def lake(objects: ObjectStore, checkpoint: Path, home: Path) -> Lake:
    """Eight scenes with two pictures each, a page and a pack; the tests of a module each take scenes of their own."""
    return drawn_elsewhere(objects, checkpoint, home, 8)
