"""What an owner allows is kept, and what is left of it goes to the next job."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cluster.jobs.attempts import limit_retries
from cluster.jobs.limits import Budget, connections, remaining, within
from s2i_core.config import LimitConfig, PoolConfig, ResourceConfig
from s2i_core.errors import StorageUnavailable
from s2i_core.records import Failure, Stage
from s2i_core.storage.objects import S3Settings


def test_a_budget_is_spent_when_one_limit_is_reached() -> None:
    budget = Budget(LimitConfig(gpu_seconds=100, cost=2.0, gpu_hour_price=36, cpu_hour_price=3.6))
    budget.use(10, cpus=4, gpus=2)
    assert (budget.cpu_s, budget.gpu_s, budget.spent) == (40, 20, None)
    assert budget.cost == pytest.approx(0.24)
    budget.use(160, cpus=0, gpus=0.49)
    assert budget.spent is None
    budget.use(10, cpus=0, gpus=1)
    assert budget.spent == "limits.gpu_seconds = 100"
    assert budget.facts(3)["stopped"] == "limits.gpu_seconds = 100"
    assert budget.facts(0)["stopped"] is None  # it was done just then
    assert Budget(LimitConfig(deadline_s=1e-9)).spent == "limits.deadline_s = 1e-09"


def test_the_next_job_has_what_is_left() -> None:
    limits = LimitConfig(deadline_s=100, gpu_seconds=50)
    left = remaining(limits, elapsed_s=40, cpu_s=1000, gpu_s=20)
    assert left is not None
    assert (left.deadline_s, left.gpu_seconds, left.cost) == (60, 30, None)
    assert remaining(limits, elapsed_s=1, cpu_s=0, gpu_s=50) is None
    assert remaining(LimitConfig(), elapsed_s=1e9, cpu_s=1e9, gpu_s=1e9) == LimitConfig()


def test_a_cost_needs_a_price() -> None:
    with pytest.raises(ValidationError, match="hour_price"):
        LimitConfig(cost=5)


def test_open_requests_are_shared_out_among_the_workers() -> None:
    resources = ResourceConfig(
        decode=PoolConfig(initial=8, maximum=64), generate=PoolConfig(initial=1, maximum=16), write_concurrency=8
    )
    assert within(resources, LimitConfig()) == resources
    some = within(resources, LimitConfig(s3_requests=32))
    assert (some.decode.maximum, some.generate.maximum, some.write_concurrency) == (32, 16, 2)
    few = within(resources, LimitConfig(s3_requests=4))
    assert (few.decode.initial, few.decode.maximum, few.generate.maximum, few.write_concurrency) == (4, 4, 4, 1)
    assert connections(S3Settings(), some).max_connections == 2


def test_what_failed_too_often_is_left_alone() -> None:
    config = ResourceConfig(max_failed_runs=3)
    passing = Failure.of(StorageUnavailable("x", "ill", "Wait."), subject="x", stage=Stage.READ, run_id="r")
    assert limit_retries(passing, 1, config) is passing
    final = limit_retries(passing, 2, config)
    assert not final.retryable
    assert "--retry-failed" in final.remedy
    assert final.remedy.startswith("Wait. It failed in 3 runs")
