"""A job on a cluster that has no room for it ends with a message, within the time that it was given."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from cluster.jobs.capacity import _lacking, await_capacity
from cluster.jobs.request import JobFailed
from s2i_core.config import PoolConfig, ResourceConfig

pytestmark = pytest.mark.usefixtures("ray_session")

CPU_ONLY = ResourceConfig(decode=PoolConfig(num_cpus=1), encode=PoolConfig(num_cpus=1), wait_s=1.0)
GPU = CPU_ONLY.model_copy(update={"generate": PoolConfig(num_cpus=1, num_gpus=1)})


def test_a_cluster_that_never_gets_its_gpu() -> None:
    await_capacity("plan", GPU)
    started = time.monotonic()
    with pytest.raises(JobFailed, match="no room for a worker that holds 1 CPU and 1 GPU") as raised:
        await_capacity("illustrate", GPU)
    assert time.monotonic() - started < 30
    assert not raised.value.transient
    assert "autoscaler" in raised.value.remedy


def test_it_goes_on_as_soon_as_a_node_comes() -> None:
    nodes: list[dict[str, Any]] = [{"Alive": True, "Resources": {"CPU": 4.0}}]
    threading.Timer(0.3, lambda: nodes.append({"Alive": True, "Resources": {"CPU": 1.0, "GPU": 1.0}})).start()
    started = time.monotonic()
    await_capacity("illustrate", GPU.model_copy(update={"wait_s": 60.0}), lambda: nodes)
    assert time.monotonic() - started < 30


def test_what_is_lacking() -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 1.0, "GPU": 1.0}}, {"Alive": True, "Resources": {"CPU": 1.0}}]
    assert _lacking([{"CPU": 1}, {"CPU": 1, "GPU": 1}], nodes) is None, "the plain worker leaves the GPU's node free"
    assert _lacking([{"CPU": 1}, {"CPU": 1}, {"CPU": 1}], nodes) == "1 CPU"
    assert _lacking([{"GPU": 1}], [{**nodes[0], "Alive": False}]) == "1 GPU"
    assert _lacking([{"CPU": 2}], nodes) == "2 CPU", "two halves on two nodes are no whole"
