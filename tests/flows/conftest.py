"""A Prefect server, a tiny model and a small archive for the tests of the flows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from small_archive import SETTINGS, clip
from tiny import tiny_pipeline

from flows.local_server import PrefectServer, prefect_client
from s2i_core.storage.objects import ObjectStore

if TYPE_CHECKING:
    from flows.archive import RunSummary


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a tiny pipeline."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_pipeline().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A real Prefect server, which the flows of this process use."""
    with PrefectServer(tmp_path_factory.mktemp("prefect")) as server, prefect_client(server):
        yield server


@pytest.fixture(scope="session")
def recordings() -> dict[str, bytes]:
    """Two short recordings under awkward names, and one that is no audio."""
    return {
        "sea animals.wav": clip("sea-animals.opus", 0, 14),
        "talks/it's ../ 🌊.wav": clip("farm-morning.mp3", 0, 14),
        "broken.mp3": b"this is no audio",
        "notes.txt": b"left alone",
    }


@pytest.fixture
def archive(objects: ObjectStore, recordings: dict[str, bytes]) -> tuple[str, str]:
    """Source and destination: fresh buckets, the first filled."""
    return fresh(objects, recordings)


@pytest.fixture(scope="session")
def illustrated(
    objects: ObjectStore, recordings: dict[str, bytes], checkpoint: str, prefect: PrefectServer
) -> RunSummary:
    """An archive on which the flow has run once, with a Ray of this process."""
    from flows.archive import illustrate_archive

    return illustrate_archive(*fresh(objects, recordings), checkpoint=checkpoint, settings=SETTINGS)


def fresh(objects: ObjectStore, recordings: dict[str, bytes]) -> tuple[str, str]:
    source, destination = (f"{kind}-{uuid.uuid4().hex[:12]}" for kind in ("in", "out"))
    for name in (source, destination):
        objects.create_bucket(name)
    for key, data in recordings.items():
        objects.put(source, key, data)
    return f"s3://{source}", f"s3://{destination}"
