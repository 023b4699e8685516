"""Micro-batches: in order, bounded in rows and time, and never lost silently."""

from __future__ import annotations

import time

import pytest

from cluster.jobs import patience
from cluster.jobs.commit import Committer
from s2i_core.config import ResourceConfig
from s2i_core.errors import StorageError, StorageUnavailable


def test_batches_by_rows() -> None:
    written: list[list[int]] = []
    with Committer(written.append, ResourceConfig(commit_rows=4, commit_s=60)) as committer:
        for number in range(10):
            committer.add(number)
    assert written == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_batches_by_time() -> None:
    written: list[list[int]] = []
    with Committer(written.append, ResourceConfig(commit_rows=100, commit_s=0.1)) as committer:
        committer.add(1)
        deadline = time.monotonic() + 10
        while not written and time.monotonic() < deadline:
            time.sleep(0.01)
        assert written == [[1]]


def test_an_error_stops_whoever_adds() -> None:
    def refuse(items: list[int]) -> None:
        raise StorageError("s3://b", "no right", "Ask for it.")

    def add_all() -> None:
        with Committer(refuse, ResourceConfig(commit_rows=1)) as committer:
            for number in range(1000):
                committer.add(number)

    with pytest.raises(StorageError, match="no right"):
        add_all()


def test_an_error_in_the_last_batch_is_not_lost() -> None:
    def refuse(items: list[int]) -> None:
        raise StorageError("s3://b", "no right", "Ask for it.")

    with pytest.raises(StorageError, match="no right"), Committer(refuse, ResourceConfig(commit_rows=9)) as committer:
        committer.add(1)


def test_an_ill_store_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_PAUSE_S", 0.01)
    calls: list[list[int]] = []

    def ill_twice(items: list[int]) -> None:
        calls.append(items)
        if len(calls) < 3:
            raise StorageUnavailable("s3://b", "slow down", "Wait.")

    with Committer(ill_twice, ResourceConfig(commit_rows=1, max_attempts=3)) as committer:
        committer.add(1)
    assert calls == [[1], [1], [1]]


def test_leaving_with_an_error_writes_nothing_more() -> None:
    written: list[list[int]] = []
    with (
        pytest.raises(KeyboardInterrupt),
        Committer(written.append, ResourceConfig(commit_rows=10, commit_s=60)) as committer,
    ):
        committer.add(1)
        raise KeyboardInterrupt
    assert written == []
