"""One execution of Ray Data under supervision: what it holds is metered, and if it stalls, it is abandoned.

Ray Data survives the death of a worker or a node. But it may wait for ever for results from a node that is cut off,
though Ray has declared the node dead: so the reader of the results must know when to stop waiting. What was in flight
is then handed out again, by a new execution.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import ray
from ray.data import Dataset
from ray.data._internal.execution.execution_callback import ExecutionCallback

from cluster.jobs.limits import Budget
from cluster.jobs.request import JobInterrupted
from s2i_core.config import ResourceConfig

_TICK_S = 1.0
_LOOK_S = 3.0
_WAITING_TABLES = 4
_START_S = 1800.0
"""Nodes may have to be provisioned and models fetched before the first worker is up."""
_END_S = 30.0
_SLOWEST = 3.0
"""After a node was lost, results may take this many times as long as the longest pause so far."""


class Stalled(JobInterrupted):
    """Results stopped coming, and the execution was abandoned."""


class Execution:
    """Runs a dataset and yields its tables as they come.

    Args:
        dataset: lazy; it runs when this is iterated over.
        config: `stall_s` and `lost_node_s`.
        budget: what the workers hold is charged to it.
    """

    def __init__(self, dataset: Dataset, config: ResourceConfig, budget: Budget) -> None:
        self._dataset = dataset
        self._config = config
        self._budget = budget
        self._results: queue.Queue[pa.Table | BaseException | None] = queue.Queue(_WAITING_TABLES)
        self._closed = threading.Event()
        self._executor: Any = None
        self._alive: set[str] = set()
        self._lost: set[str] = set()

    def __iter__(self) -> Iterator[pa.Table]:
        """The tables; none after the budget is spent.

        Raises:
            Stalled: none came for `stall_s` while workers were up, or, after a node was lost, for `lost_node_s`.
        """
        reader = threading.Thread(target=self._read, name="ray-data", daemon=True)
        reader.start()
        came = looked = metered = time.monotonic()
        slowest_s, begun = 0.0, False
        try:
            while True:
                spent = self._budget.spent
                try:
                    result = self._results.get(timeout=0 if spent else _TICK_S)
                except queue.Empty:
                    result = pa.table({})  # nothing yet
                    if spent:
                        return
                now = time.monotonic()
                metered = self._meter(now - metered)
                if isinstance(result, BaseException):
                    raise result
                if result is None:
                    return
                if result.num_rows:
                    slowest_s = max(slowest_s, now - came) if begun else 0.0  # the first wait is for the start
                    came, begun = now, True
                    yield result
                    came += time.monotonic() - now  # the caller's time does not count as waiting
                if now - looked > _LOOK_S:
                    looked, came = now, max(came, now if self._look() else came)
                patience_s = self._config.stall_s if self._up() else max(_START_S, self._config.stall_s)
                if self._lost:
                    patience_s = min(patience_s, max(self._config.lost_node_s, _SLOWEST * slowest_s))
                if now - came > patience_s:
                    raise self._stalled(now - came)
        finally:
            self._close(reader)

    def _read(self) -> None:
        _BEGINNING.execution = self
        try:
            for table in self._dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                if table.num_rows and not self._put(table):
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 -- raised again where the results are read
            self._put(error)

    def _put(self, result: pa.Table | BaseException | None) -> bool:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._results.put(result, timeout=_TICK_S)
                return True
        return False

    def _meter(self, elapsed_s: float) -> float:
        """Charge what the workers hold; returns the current time."""
        for operator in list(getattr(self._executor, "_topology", None) or ()):
            held = operator.current_logical_usage()
            self._budget.use(elapsed_s, held.cpu or 0, held.gpu or 0)
        return time.monotonic()

    def _pools(self) -> list[Any]:
        """The pools of workers, from the first stage to the last."""
        operators = list(getattr(self._executor, "_topology", None) or ())
        return [operator._actor_pool for operator in operators if hasattr(operator, "_actor_pool")]

    def _up(self) -> bool:
        """Whether every stage has a worker."""
        pools = self._pools()
        return bool(pools) and all(pool._running_actors for pool in pools)

    def _look(self) -> bool:
        """Whether a node was lost since the last look. One that the autoscaler removed while idle is not lost."""
        nodes = {node["NodeID"]: node for node in ray.nodes()}
        gone = {
            name
            for name in self._alive
            if name not in nodes
            or (not nodes[name]["Alive"] and "IDLE" not in str(nodes[name].get("DeathReason", "")).upper())
        }
        self._alive = {name for name, node in nodes.items() if node["Alive"]}
        self._lost |= gone
        return bool(gone)

    def _stalled(self, waited_s: float) -> Stalled:
        lost = f", after {len(self._lost)} nodes were lost" if self._lost else ""
        return Stalled(
            "the job's workers",
            f"no result came for {waited_s:.0f} s{lost}",
            "See Ray's logs for what holds them; where the rows do take that long, raise resources.stall_s.",
        )

    def _close(self, reader: threading.Thread) -> None:
        """End what still runs, without waiting for anything that may never answer."""
        self._closed.set()
        executor = self._executor
        if executor is None or not reader.is_alive():
            return
        pools = self._pools()
        workers = [worker for pool in pools for worker in (*pool._running_actors, *pool._pending_actors.values())]
        executor.shutdown(force=False)
        for worker in workers:
            with contextlib.suppress(ValueError, ray.exceptions.RayError):
                ray.kill(worker)
        # Now whatever they waited for has failed. A thread still inside Ray when Ray ends would take the process with
        # it.
        deadline = time.monotonic() + _END_S
        for thread in (executor, reader):
            thread.join(max(0.0, deadline - time.monotonic()))


_BEGINNING = threading.local()


class Introduce(ExecutionCallback):  # type: ignore[misc]
    """Makes the executor known to the `Execution` of the thread that starts it."""

    def before_execution_starts(self, executor: Any) -> None:
        """Called by Ray Data."""
        execution: Execution | None = getattr(_BEGINNING, "execution", None)
        if execution is not None:
            execution._executor = executor
