"""Fixtures for all tests: a real object store, started once a session."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import tool  # noqa: F401 -- a fixture
from refusals import aws  # noqa: F401 -- a fixture
from suite_end import pytest_sessionfinish, pytest_terminal_summary  # noqa: F401 -- hooks

from s2i_core.storage.embedded import EmbeddedStore, StoreInfo
from s2i_core.storage.objects import ObjectStore

if TYPE_CHECKING:
    from cluster.local import LocalCluster

pytest_plugins = ["side_by_side"]

# The threads of torch wait for each other by spinning, which on two cores that others work on too takes many times as
# long as the work. Here, so before torch is loaded, and for all processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_PROCESSES = ("browser", "chaos", "cluster", "e2e", "flows")
"""Folders of tests that start clusters, servers and browsers, which a busy machine can starve of time."""
_OTHER_AWS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try tests of real processes a second time; the summary at the end names those that needed it."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in _PROCESSES:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreInfo]:
    """An embedded SeaweedFS on loopback; the environment (also of child processes) leads to it."""
    embedded = EmbeddedStore(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as environment:
        for name in _OTHER_AWS:
            environment.delenv(name, raising=False)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        info = embedded.up()
        for name, value in info.environment().items():
            environment.setenv(name, value)
        try:
            yield info
        finally:
            embedded.down()


@pytest.fixture(scope="session")
def objects(store: StoreInfo) -> ObjectStore:
    """A client of the session's store."""
    return ObjectStore(store.settings())


@pytest.fixture(scope="session")
def cluster(store: StoreInfo) -> Iterator[LocalCluster]:
    """A real cluster for all: a head and two worker nodes with one CPU each, which know the session's store."""
    from cluster.local import LocalCluster

    with LocalCluster((1, 1), environment=store.environment()) as cluster:
        yield cluster


@pytest.fixture
def bucket(objects: ObjectStore) -> str:
    """The name of a fresh, empty bucket."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    objects.create_bucket(name)
    return name
