"""A job's driver in a process of its own, as a cluster runs it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cluster.jobs.request import ERROR, PROGRESS, JobName, JobRequest, JobSummary, Progress
from s2i_core.storage.artifacts import join, run_key
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import parse_uri

ROOT = Path(__file__).parents[2]


class Driver:
    """`python -m cluster.jobs`, and what it says.

    Args:
        job: which.
        request: what to do.
        objects: the store as this process reaches it.
        environment: of the process; `RAY_ADDRESS` is the cluster's.
        store: the store as the cluster reaches it.
        program: the module that is run.
    """

    def __init__(
        self,
        job: JobName,
        request: JobRequest,
        objects: ObjectStore,
        environment: Mapping[str, str],
        store: S3Settings | None = None,
        program: str = "cluster.jobs",
    ) -> None:
        self.job, self.request, self.objects = job, request, objects
        self.progress: list[Progress] = []
        self.said: list[str] = []
        self._told = threading.Condition()
        bucket, prefix = parse_uri(request.destination)
        self._bucket, self._prefix = bucket, prefix
        key = join(prefix, run_key(request.run_id, f"{job}-request.json"))
        objects.put(bucket, key, request.model_dump_json().encode())
        settings = (store or request.store).model_dump_json(exclude_defaults=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", program, job, "--request", f"s3://{bucket}/{key}", "--store", settings],
            env={"PYTHONPATH": str(ROOT), **environment},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, holds: Callable[[Progress], bool], timeout_s: float) -> Progress:
        """The first progress of which this holds."""
        deadline = time.monotonic() + timeout_s
        with self._told:
            while True:
                if found := next(filter(holds, self.progress), None):
                    return found
                if self.process.poll() is not None or not self._told.wait(deadline - time.monotonic()):
                    raise AssertionError("".join(self.said[-40:]))

    def finish(self, timeout_s: float) -> JobSummary:
        """Wait for its end, and fetch its summary."""
        try:
            assert self.process.wait(timeout_s) == 0, "".join(self.said[-40:])
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it runs after {timeout_s} s:\n{''.join(self.said[-40:])}") from None
        key = join(self._prefix, run_key(self.request.run_id, f"{self.job}.json"))
        return JobSummary.model_validate_json(self.objects.get(self._bucket, key))

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._told:
                if line.startswith(PROGRESS):
                    self.progress.append(Progress.model_validate_json(line.removeprefix(PROGRESS)))
                else:
                    self.said.append(line.removeprefix(ERROR))
                self._told.notify_all()
        with self._told:
            self._told.notify_all()


@contextlib.contextmanager
def driver(
    job: JobName,
    request: JobRequest,
    objects: ObjectStore,
    address: str,
    store: S3Settings | None = None,
    *,
    program: str = "cluster.jobs",
    **env: str,
) -> Iterator[Driver]:
    """A driver on the cluster at a GCS address; killed at the end of the block if it still runs."""
    running = Driver(job, request, objects, {**os.environ, **env, "RAY_ADDRESS": address}, store, program)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                running.process.send_signal(signal.SIGKILL)
        running.process.wait()
