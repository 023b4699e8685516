"""Faults in the middle of a job, on real processes: afterwards every scene has one image, and every file its row.

A killed worker, driver and flow, and a store that refuses requests, are tested in their short form where those are:
tests/cluster/jobs/test_jobs.py and tests/e2e.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from chaos_tools import accounted_for, two_at_a_time

from cluster.jobs.illustrate import illustrate
from cluster.jobs.plan import plan
from cluster.local import LocalCluster
from s2i_core.records import Scene, Status
from s2i_core.storage.embedded import EmbeddedStore, StoreInfo
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.tables import Lake
from tests.chaos.driver import driver
from tests.chaos.nodes import Network
from tests.chaos.proxy import proxy

pytestmark = pytest.mark.timeout(1800)
UP_S = 600
"""A busy machine needs long to start a worker with its model."""
SCENES = 40
RECORDINGS = [Path(__file__).parents[2] / "samples" / name for name in ("sea-animals.opus", "weather-and-seasons.m4a")]
root = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and ip")


@pytest.fixture
def nodes(store: StoreInfo) -> Iterator[LocalCluster]:
    """Two workers with one CPU each, without what takes jobs."""
    with LocalCluster((1, 1), environment=store.environment(), jobs_api=False) as cluster:
        yield cluster


@pytest.mark.slow
def test_a_store_that_refuses_every_tenth_request(ray_session, store, objects, bucket, request_for, lake) -> None:
    """503 SlowDown, in the words of S3; both jobs bear it."""
    for path in RECORDINGS:
        objects.put(bucket, f"in/{path.name}", path.read_bytes())
    with proxy(store.endpoint, refuse=0.1) as between:
        request = request_for(store=S3Settings(endpoint_url=between.endpoint))
        planned = plan(request)
        in_planning = between.refused
        drawn = illustrate(request)
    assert between.refused > in_planning > 0
    assert (planned.rows_in, planned.ok, planned.failed) == (len(RECORDINGS), len(RECORDINGS), 0)
    assert (drawn.rows_in, drawn.ok, drawn.failed) == (planned.scenes, planned.scenes, 0)
    scenes = [Scene(**each) for each in lake.scenes.read().to_pylist()]
    accounted_for(objects, bucket, lake, [each for each in scenes if each.status == Status.OK])


@pytest.mark.slow
def test_a_killed_node(nodes, objects, bucket, request_for, make_scenes, lake, config) -> None:
    request = request_for(config=two_at_a_time(config))
    scenes = make_scenes(request, SCENES)
    with driver("illustrate", request, objects, nodes.gcs_address) as job:
        job.wait_for(lambda progress: progress.done >= 4, UP_S)
        nodes.kill_node(nodes.node_ids[0])
        summary = job.finish(UP_S)
    assert (summary.ok, summary.failed) == (SCENES, 0)
    accounted_for(objects, bucket, lake, scenes)


@pytest.mark.slow
def test_a_killed_driver(nodes, objects, bucket, request_for, make_scenes, lake, config) -> None:
    request = request_for(config=two_at_a_time(config))
    scenes = make_scenes(request, SCENES)
    with driver("illustrate", request, objects, nodes.gcs_address) as job:
        # Three commits' worth, so that some are in the table: what is told as done is committed a moment later.
        job.wait_for(lambda progress: progress.done >= 12, UP_S)
        job.kill()
    with driver("illustrate", request, objects, nodes.gcs_address) as job:
        summary = job.finish(UP_S)
    assert summary.rows_in < SCENES
    accounted_for(objects, bucket, lake, scenes)


@pytest.mark.slow
def test_a_node_that_freezes(nodes, objects, bucket, request_for, make_scenes, lake, config) -> None:
    """All its processes are stopped: it is there, and answers nothing."""
    request = request_for(config=two_at_a_time(config))
    scenes = make_scenes(request, SCENES)
    frozen = [psutil.Process(pid) for pid in nodes.processes(nodes.node_ids[0])]
    with driver("illustrate", request, objects, nodes.gcs_address) as job:
        job.wait_for(lambda progress: progress.done >= 4, UP_S)
        family = [each for parent in frozen for each in (parent, *parent.children(recursive=True))]
        for each in family:
            with contextlib.suppress(psutil.Error):
                each.suspend()
        try:
            summary = job.finish(UP_S)
        finally:
            for each in family:
                with contextlib.suppress(psutil.Error):
                    each.kill()
    assert (summary.ok, summary.failed) == (SCENES, 0)
    accounted_for(objects, bucket, lake, scenes)


@pytest.mark.slow
@root
def test_a_cut_link(objects, store, bucket, request_for, make_scenes, lake, config, record_property) -> None:
    """A worker is unplugged in the middle of a job: noticed within a minute, done without it within three."""
    with Network((1, 1), store.environment()) as network, proxy(store.endpoint, host=network.host) as between:
        settings = S3Settings(endpoint_url=between.endpoint, allow_http=True, connect_timeout_s=2, read_timeout_s=5)
        request = request_for(config=two_at_a_time(config), store=settings)
        scenes = make_scenes(request_for(), SCENES)
        with driver(
            "illustrate",
            request,
            objects,
            network.gcs_address,
            S3Settings(endpoint_url=store.endpoint),
            **network.variables,
        ) as job:
            job.wait_for(lambda progress: progress.done >= 6, UP_S)
            with network.watch() as lost:
                network.cut(0)
                cut = time.monotonic()
                summary = job.finish(UP_S)
                noticed_s = lost() - cut
            done_s = time.monotonic() - cut
    record_property("cut_noticed_s", round(noticed_s, 1))
    record_property("cut_done_s", round(done_s, 1))
    assert (summary.ok, summary.failed) == (SCENES, 0)
    assert noticed_s <= 60
    assert done_s <= 180
    accounted_for(objects, bucket, lake, scenes)


@pytest.mark.slow
def test_a_store_that_is_killed_for_30_s(tmp_path, request_for, make_scenes, config, monkeypatch) -> None:
    embedded = EmbeddedStore(tmp_path)
    info = embedded.up()
    for name, value in info.environment().items():
        monkeypatch.setenv(name, value)
    objects = ObjectStore(info.settings())
    objects.create_bucket("chaos")
    request = request_for(
        source="s3://chaos/in", destination="s3://chaos/out", store=info.settings(), config=two_at_a_time(config)
    )
    scenes = make_scenes(request, SCENES)
    try:
        with (
            LocalCluster((1, 1), environment=info.environment(), jobs_api=False) as cluster,
            driver("illustrate", request, objects, cluster.gcs_address) as job,
        ):
            job.wait_for(lambda progress: progress.done >= 4, UP_S)
            os.kill(info.pid, signal.SIGKILL)
            time.sleep(30)
            assert embedded.up().endpoint == info.endpoint
            summary = job.finish(UP_S)
        assert (summary.ok, summary.failed) == (SCENES, 0)
        accounted_for(objects, "chaos", Lake(info.settings(), "s3://chaos/out"), scenes)
    finally:
        embedded.down()


@pytest.mark.slow
@root
def test_a_full_disk_on_a_worker(nodes, objects, bucket, request_for, make_scenes, lake, config) -> None:
    """A worker's folder lies on a small disk that fills up in the middle of the job."""
    folder = Path("/tmp") / f"s2i-full-{os.getpid()}"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
    try:
        full = nodes.add_node(1, folder=folder)
        request = request_for(config=two_at_a_time(config, workers=3))
        scenes = make_scenes(request, SCENES)
        with driver("illustrate", request, objects, nodes.gcs_address) as job:
            job.wait_for(lambda progress: progress.done >= 4, UP_S)
            with contextlib.suppress(OSError), (folder / "ballast").open("wb") as ballast:
                while True:
                    ballast.write(bytes(1 << 20))
                    ballast.flush()
            summary = job.finish(UP_S)
        assert (summary.ok, summary.failed) == (SCENES, 0)
        accounted_for(objects, bucket, lake, scenes)
        nodes.kill_node(full)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
