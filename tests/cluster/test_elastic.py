"""Pools and nodes together, under Ray's own autoscaler: grown under load, gone when idle, nothing lost.

Each pool begins with one worker and may have two, and a node has room for one: so a pool at its maximum is two nodes.
Jobs begin on a cluster of none. The load lasts until both workers of every pool have rows in hand (see `held`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from archives import speech

from cluster.elastic import ElasticCluster
from cluster.jobs.request import JobName, JobRequest, JobSummary
from s2i_core.config import PoolConfig
from tests.chaos.chaos_tools import accounted_for
from tests.chaos.driver import driver
from tests.cluster.held import GO, HELD

IDLE_S = 45
"""A new node must not end before a pool has found it, also on a busy machine."""
UP_S = 600
FREE, LATER = 4, 5
SCENES = 12
CPU = PoolConfig(initial=1, minimum=1, maximum=2, num_cpus=2, batch_size=1)  # more CPUs than a node with a GPU has
GPU = PoolConfig(initial=1, minimum=1, maximum=2, num_cpus=1, num_gpus=1, batch_size=1)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def elastic(store) -> Iterator[ElasticCluster]:
    with ElasticCluster(idle_timeout_s=IDLE_S, environment=store.environment(), jobs_api=False) as cluster:
        yield cluster


@pytest.fixture
def request_of_pools(request_for, config) -> JobRequest:
    """A request whose pools may grow."""
    pools = {"decode": CPU, "encode": GPU, "generate": GPU}
    return request_for(config=config.model_copy(update={"resources": config.resources.model_copy(update=pools)}))


def test_the_pools_that_decode_and_encode(elastic, objects, bucket, request_of_pools, lake) -> None:
    for number in range(FREE + LATER):
        name = "held" if number >= FREE else "free"
        objects.put(bucket, f"in/{name}-{number}.wav", speech(8, start_s=6 * number))
    pools = {"Decode": 2, "Encode": 2}
    summary = grown("plan", pools, {"cpu": 2, "gpu": 2}, elastic, objects, bucket, request_of_pools)
    assert (summary.rows_in, summary.failed, summary.left) == (FREE + LATER, 0, 0)
    assert len(lake.recordings.read().to_pylist()) == FREE + LATER


def test_the_pool_that_draws(elastic, objects, bucket, request_of_pools, make_scenes, lake) -> None:
    scenes = make_scenes(request_of_pools, SCENES)
    summary = grown("illustrate", {"Draw": 2}, {"gpu": 2}, elastic, objects, bucket, request_of_pools)
    assert (summary.rows_in, summary.ok, summary.failed, summary.left) == (SCENES, SCENES, 0, 0)
    accounted_for(objects, bucket, lake, scenes)


def grown(
    job: JobName, pools: dict[str, int], nodes: dict[str, int], elastic: ElasticCluster, objects, bucket: str, request
) -> JobSummary:
    """Run a job until its pools and the nodes of these kinds are as many as this, and then to its end; never more, and
    no node at all before and after. Ray Data may ask for nodes of another kind beside them while its CPUs are busy.
    """
    assert not elastic.nodes()
    most: Counter[str] = Counter()

    def watch(done: Callable[[], bool]) -> None:
        nonlocal most
        deadline = time.monotonic() + UP_S
        while not done():
            assert time.monotonic() < deadline, (most, elastic.nodes(), busy(), running.said[-20:])
            most |= elastic.nodes()
            time.sleep(0.25)

    def busy() -> Counter[str]:
        return Counter(one.key.split("/")[1] for one in objects.list(bucket, HELD))

    with driver(job, request, objects, elastic.gcs_address, program="tests.cluster.held") as running:
        watch(lambda: busy() == pools or running.process.poll() is not None)
        assert busy() == pools, running.said[-20:]
        objects.put(bucket, GO, b"")
        watch(lambda: running.process.poll() is not None)
        summary = running.finish(1)
    assert {kind: most[kind] for kind in nodes} == nodes
    # Rows came back from both of the nodes with a GPU.
    assert len(summary.nodes) == nodes["gpu"]
    watch(lambda: not elastic.nodes())
    return summary
