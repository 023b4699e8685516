"""Entry point on a cluster: `python -m cluster.jobs plan --request s3://…/plan-request.json`.

Prints lines for `cluster.jobs.submit`, which follows them: a mark and JSON each. Exit status 2 after an error that
names its reason.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time

import ray

from cluster.jobs.capacity import await_capacity
from cluster.jobs.illustrate import illustrate
from cluster.jobs.plan import plan
from cluster.jobs.request import ERROR, PROGRESS, ErrorLine, JobInterrupted, JobRequest, Progress
from s2i_core import logs, network, tracing
from s2i_core.config import Settings
from s2i_core.errors import S2IError
from s2i_core.logs import Log
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import parse_uri

_ATTEMPTS = 3
_PAUSE_S = 2.0


def main() -> int:
    """Run one job on the cluster that this process is part of."""
    parser = argparse.ArgumentParser(prog="python -m cluster.jobs", description=__doc__)
    parser.add_argument("job", choices=("plan", "illustrate"))
    parser.add_argument("--request", required=True, help="s3:// address of the JobRequest as JSON")
    parser.add_argument("--store", help="S3Settings as JSON; by default from the environment")
    arguments = parser.parse_args()
    logs.to_stderr()
    network.spare_loopback()
    run = {"plan": plan, "illustrate": illustrate}[arguments.job]
    try:
        settings = S3Settings.model_validate_json(arguments.store) if arguments.store else S3Settings.from_env()
        request = JobRequest.model_validate_json(ObjectStore(settings).get(*parse_uri(arguments.request)))
        _connect()
        await_capacity(arguments.job, request.config.resources)
        run(request, _progress)
    except S2IError as error:
        Log("jobs", job=arguments.job).error("job failed", request=arguments.request, error=str(error))
        _say(ERROR, ErrorLine.of(error))
        return 2
    finally:
        tracing.flush()
    return 0


def _connect() -> None:
    """Join the cluster. Ray looks up its nodes among the processes of the machine, which may change meanwhile."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            ray.init(os.environ.get("RAY_ADDRESS", "auto"), log_to_driver=False, logging_level=logging.ERROR)
            return
        except ConnectionError as error:
            if not attempts_left:
                raise JobInterrupted("the cluster", f"this job cannot join it ({error})", "Run again.") from error
            time.sleep(_PAUSE_S)


def _progress(progress: Progress) -> None:
    _say(PROGRESS, progress)


def _say(mark: str, what: Settings) -> None:
    sys.stdout.write(f"{mark}{what.model_dump_json()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
