"""Runs the jobs on a cluster through Ray's Jobs API, from anywhere that reaches its address.

The login of the object store and the checkpoint are the cluster's own; the request travels through the bucket and holds
no secret. A job's name is made of run and job, so that whoever restarts after a crash finds the running job.
"""

from __future__ import annotations

import asyncio
import os
import queue
import shlex
import threading
import time
from typing import TYPE_CHECKING

import aiohttp

from cluster.jobs.report import Watcher
from cluster.jobs.request import (
    ERROR,
    PROGRESS,
    ErrorLine,
    JobFailed,
    JobInterrupted,
    JobName,
    JobRequest,
    JobSummary,
    Progress,
)
from s2i_core.errors import ConfigError
from s2i_core.network import spare_loopback, trust
from s2i_core.storage.artifacts import join, run_key
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import parse_uri

if TYPE_CHECKING:
    from ray.job_submission import JobStatus, JobSubmissionClient

_POLL_S = 2.0
_UNREACHABLE_S = 120.0
_STOP_S = 30.0
_TAIL_LINES = 15


def submit(address: str, job: JobName, request: JobRequest, *, store: ObjectStore | None = None) -> str:
    """Start a job, or find it if it was started before; returns its submission id.

    A job of this run that failed or was stopped is started anew under the next number; one that succeeded is found
    again, and `follow` returns its summary at once.

    Args:
        address: that of the cluster's Jobs API, such as `http://127.0.0.1:8265`.
        job: `plan` or `illustrate`.
        request: what to do; its `store` is the object store as the cluster reaches it.
        store: the object store as this process reaches it, if that differs.

    Raises:
        ConfigError: nothing answers at the address.
        StorageError: the request cannot be written to the destination.
    """
    client = _client(address)
    store = store or ObjectStore(request.store)
    bucket, prefix = parse_uri(request.destination)
    number = 0
    while True:
        number += 1
        submission_id = f"s2i-{request.run_id}-{job}" + (f"-{number}" if number > 1 else "")
        status = _status(client, submission_id)
        if status is not None:
            if status in {"FAILED", "STOPPED"}:
                continue
            return submission_id
        key = join(prefix, run_key(request.run_id, f"{job}-request.json"))
        store.put(bucket, key, request.model_dump_json(indent=2).encode(), "application/json")
        settings = request.store.model_dump_json(exclude_defaults=True)
        command = ["python", "-m", "cluster.jobs", job, "--request", f"s3://{bucket}/{key}", "--store", settings]
        try:
            return str(client.submit_job(entrypoint=shlex.join(command), submission_id=submission_id))
        except RuntimeError as error:
            if _status(client, submission_id) is None:
                raise JobFailed(
                    submission_id, f"the cluster did not take the job ({error})", "See the log of the cluster's head."
                ) from error
            number -= 1  # someone else was faster: look again


def follow(
    address: str,
    submission_id: str,
    request: JobRequest,
    watcher: Watcher | None = None,
    *,
    store: ObjectStore | None = None,
) -> JobSummary:
    """Follow a job to its end; returns what it did. Leaving early (Ctrl-C, an error) leaves the job running: see
    `stop`.

    Raises:
        JobFailed: it ended without a summary; reason and remedy are the job's own, if it named them.
        JobInterrupted: the same, if trying again may help.
        ConfigError: nothing answers at the address.
    """
    client = _client(address)
    log = _Log(client, submission_id, watcher)
    answered = time.monotonic()
    while True:
        log.read(_POLL_S)
        if log.ended:  # the job is over, or the connection broke
            time.sleep(_POLL_S / 4)
        try:
            status = client.get_job_status(submission_id)
            answered = time.monotonic()
        except Exception as error:  # requests' errors, or a RuntimeError with the answer
            if time.monotonic() - answered > _UNREACHABLE_S:
                raise JobFailed(
                    submission_id,
                    f"the cluster at {address} does not answer any more ({error})",
                    "Look after the cluster, and run again: what was committed stays.",
                ) from error
            continue
        if status.is_terminal():
            break
        if log.ended:
            log = _Log(client, submission_id, watcher)
    log.read(_POLL_S)
    if status == "SUCCEEDED":
        bucket, prefix = parse_uri(request.destination)
        job = submission_id.removeprefix(f"s2i-{request.run_id}-").partition("-")[0]
        key = join(prefix, run_key(request.run_id, f"{job}.json"))
        return JobSummary.model_validate_json((store or ObjectStore(request.store)).get(bucket, key))
    if log.error is not None:
        failed = JobInterrupted if log.error.transient else JobFailed
        raise failed(log.error.subject, log.error.reason, log.error.remedy)
    if status == "STOPPED":
        raise JobFailed(submission_id, "it was stopped", "Run again: it goes on where it was.")
    info = client.get_job_info(submission_id)
    tail = "\n".join(client.get_job_logs(submission_id).splitlines()[-_TAIL_LINES:])
    raise JobInterrupted(submission_id, f"it failed ({info.message}); its log ends:\n{tail}", "Run again: it goes on.")


def stop(address: str, submission_id: str) -> bool:
    """Stop a job and wait until it is over; returns whether it was running. What it committed stays.

    Raises:
        ConfigError: nothing answers at the address.
        JobFailed: it does not stop.
    """
    client = _client(address)
    status = client.get_job_status(submission_id)
    if status.is_terminal():
        return False
    client.stop_job(submission_id)
    deadline = time.monotonic() + _STOP_S
    while time.monotonic() < deadline:
        if client.get_job_status(submission_id).is_terminal():
            return True
        time.sleep(0.2)
    raise JobFailed(submission_id, f"it does not stop within {_STOP_S:g} s", "Look after the cluster.")


def running(address: str, run_id: str) -> list[str]:
    """Submission ids of a run's jobs that have not ended.

    Raises:
        ConfigError: nothing answers at the address.
    """
    jobs = _client(address).list_jobs()
    mine = (job for job in jobs if (job.submission_id or "").startswith(f"s2i-{run_id}-"))
    return [str(job.submission_id) for job in mine if not job.status.is_terminal()]


class _Log:
    """The job's log as it grows, read by a thread of its own."""

    def __init__(self, client: JobSubmissionClient, submission_id: str, watcher: Watcher | None) -> None:
        self.error: ErrorLine | None = None
        """The reason that the job itself gave."""
        self._client = client
        self._id = submission_id
        self._watcher = watcher
        self._texts: queue.Queue[str | None] = queue.Queue()
        self._rest = ""
        self.ended = False
        """Whether nothing more will come."""
        threading.Thread(target=lambda: asyncio.run(self._tail()), name="job-log", daemon=True).start()

    def read(self, wait_s: float) -> None:
        """Process what comes within that time."""
        deadline = time.monotonic() + wait_s
        while not self.ended and (left_s := deadline - time.monotonic()) > 0:
            try:
                text = self._texts.get(timeout=left_s)
            except queue.Empty:
                return
            if text is None:
                self.ended = True
                return
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._line(line)

    def _line(self, line: str) -> None:
        if line.startswith(PROGRESS) and self._watcher is not None:
            self._watcher(Progress.model_validate_json(line.removeprefix(PROGRESS)))
        elif line.startswith(ERROR):
            self.error = ErrorLine.model_validate_json(line.removeprefix(ERROR))

    async def _tail(self) -> None:
        try:
            async for text in self._client.tail_job_logs(self._id):
                self._texts.put(text)
        except (RuntimeError, OSError, aiohttp.ClientError):
            pass  # the reader sees the end, asks for the job's status, and reconnects
        finally:
            self._texts.put(None)


def _client(address: str) -> JobSubmissionClient:
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    spare_loopback()
    trust()
    try:
        # It uses both `requests` and aiohttp; each takes certificates from where it is told.
        return JobSubmissionClient(address, verify=os.environ.get("REQUESTS_CA_BUNDLE") or True)
    except (OSError, RuntimeError, AuthenticationError) as error:  # those of requests are OSErrors
        raise ConfigError(
            f"cluster {address}",
            f"its Jobs API does not answer ({error})",
            "Give the address of the head's dashboard, such as http://head:8265, and RAY_AUTH_TOKEN where it asks.",
        ) from error


def _status(client: JobSubmissionClient, submission_id: str) -> JobStatus | None:
    """None where there is no such job."""
    try:
        return client.get_job_status(submission_id)
    except RuntimeError as error:
        if "404" in str(error):
            return None
        raise
