"""Commits in micro-batches while results stream in."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from cluster.jobs.patience import Patience
from s2i_core import tracing
from s2i_core.config import ResourceConfig
from s2i_core.errors import StorageUnavailable

Item = TypeVar("Item")
_WAITING_BATCHES = 4


class Committer(Generic[Item]):
    """Writes items in the order in which they are added, on a thread of its own, so that the stream continues
    meanwhile.

    An error in writing is raised by the next `add`, or on leaving the block. Leaving the block normally writes
    everything that is waiting; leaving it with an error writes nothing more.

    Args:
        write: commits some items; must be idempotent.
        config: at most `commit_rows` items and at most `commit_s` seconds between two commits; `max_attempts` and
            `outage_s` for a commit while the store does not answer.
    """

    def __init__(self, write: Callable[[list[Item]], None], config: ResourceConfig) -> None:
        self._write = tracing.carried(write)
        self._config = config
        # Bounded, so that a store slower than the workers slows them down instead of filling the memory.
        self._waiting: queue.Queue[Item | None] = queue.Queue(_WAITING_BATCHES * config.commit_rows)
        self._error: BaseException | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def add(self, item: Item) -> None:
        """Hands over an item; blocks while too many are waiting."""
        while True:
            self._check()
            try:
                return self._waiting.put(item, timeout=1.0)
            except queue.Full:
                continue

    def __enter__(self) -> Committer[Item]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._abandoned = error is not None
        while self._thread.is_alive():
            try:
                self._waiting.put(None, timeout=0.2)
                break
            except queue.Full:
                continue
        self._thread.join()
        if error is None:
            self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while self._commit_next():
                pass
        except BaseException as error:  # noqa: BLE001 -- raised again where the items come from
            self._error = error

    def _commit_next(self) -> bool:
        """Collects and commits one batch; False after the last."""
        items: list[Item] = []
        last = False
        deadline = time.monotonic() + self._config.commit_s
        while not last and len(items) < self._config.commit_rows and (left_s := deadline - time.monotonic()) > 0:
            try:
                item = self._waiting.get(timeout=left_s)
            except queue.Empty:
                break
            if item is None:
                last = True
            else:
                items.append(item)
        if items and not self._abandoned:
            self._commit(items)
        return not last

    def _commit(self, items: list[Item]) -> None:
        patience = Patience(self._config)
        while True:
            try:
                return self._write(items)
            except StorageUnavailable:
                if not patience.again():
                    raise
