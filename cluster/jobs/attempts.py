"""How often a row may fail before it is left alone."""

from __future__ import annotations

from dataclasses import replace

from s2i_core.config import ResourceConfig
from s2i_core.errors import ObjectArchived
from s2i_core.records import Failure


def limit_retries(failure: Failure, failed_before: int, config: ResourceConfig) -> Failure:
    """The failure, made final if its subject has failed in as many runs as it may.

    Args:
        failed_before: earlier runs in which the subject failed.
    """
    runs = failed_before + 1
    if failure.error == ObjectArchived.__name__:  # until someone restores it, which may be next year
        return failure
    if not failure.retryable or runs < config.max_failed_runs:
        return failure
    remedy = (
        f"{failure.remedy} It failed in {runs} runs and is left alone now; `s2i run --retry-failed` tries it again."
    )
    return replace(failure, retryable=False, remedy=remedy)
