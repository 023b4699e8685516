"""Pools ask for what the settings say, and fit on the embedded Ray."""

from __future__ import annotations

from cluster.jobs.resources import logical_cpus, pool
from s2i_core import presets
from s2i_core.config import PoolConfig, ResourceConfig


def test_all_pools_of_a_job_fit_at_once() -> None:
    for name in ("cpu", "draft"):
        resources = presets.preset(name).resources
        cpus = logical_cpus(resources)
        assert cpus >= resources.decode.maximum * resources.decode.num_cpus + resources.encode.maximum
        assert cpus >= resources.generate.maximum * resources.generate.num_cpus
    assert logical_cpus(ResourceConfig(generate=PoolConfig(maximum=7))) == 7


def test_pool() -> None:
    config = PoolConfig(initial=3, minimum=2, maximum=5, num_cpus=0.5, num_gpus=1, memory_bytes=1 << 30)
    arguments = pool(config, retries=2, concurrency=2)
    compute = arguments.pop("compute")
    assert (compute.min_size, compute.initial_size, compute.max_size) == (2, 3, 5)
    assert compute.enable_true_multi_threading
    assert arguments == {"num_cpus": 0.5, "num_gpus": 1, "memory": 1 << 30, "max_task_retries": 2}

    alone = pool(config, retries=0, concurrency=2, alone=True)["compute"]
    assert alone.max_tasks_in_flight_per_actor == alone.max_concurrent_calls_per_actor == 1
