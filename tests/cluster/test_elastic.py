"""Pools and nodes together, under Ray's own autoscaler: grown under load, gone when idle, nothing lost."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from cluster.elastic import ElasticCluster
from s2i_core.config import ImageConfig, PoolConfig
from tests.chaos.chaos_tools import accounted_for
from tests.chaos.driver import driver

SCENES = 250
IDLE_S = 5


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_pool_grows_to_its_maximum_and_its_nodes_go(
    store, objects, bucket, config, request_for, make_scenes, lake
) -> None:
    pool = PoolConfig(initial=1, minimum=1, maximum=2, num_cpus=1, num_gpus=1, batch_size=1)
    resources = config.resources.model_copy(update={"generate": pool})
    image = ImageConfig(size_px=64, steps=60)  # some tenths of a second each
    request = request_for(config=config.model_copy(update={"resources": resources, "image": image}))
    scenes = make_scenes(request, SCENES)
    with ElasticCluster(idle_timeout_s=IDLE_S, environment=store.environment(), jobs_api=False) as cluster:
        assert not cluster.nodes()
        most: Counter[str] = Counter()
        with driver("illustrate", request, objects, cluster.gcs_address) as job:
            while job.process.poll() is None:
                most |= cluster.nodes()
                time.sleep(0.5)
            summary = job.finish(1)
        # Two nodes with a GPU each, both of which drew; none of the others, which nothing asked for.
        assert most == {"gpu": 2}
        assert len(summary.nodes) == 2
        assert (summary.rows_in, summary.ok, summary.failed, summary.left) == (SCENES, SCENES, 0, 0)
        assert sum(summary.nodes.values()) == SCENES
        accounted_for(objects, bucket, lake, scenes)
        deadline = time.monotonic() + 180
        while cluster.nodes() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not cluster.nodes()
