"""Jobs on a real cluster of a head and two worker nodes, through Ray's Jobs API."""

from __future__ import annotations

import threading

import pytest
from archives import check_images, speech

from cluster.jobs.request import JobFailed, Progress
from cluster.jobs.submit import follow, stop, submit
from s2i_core.config import ImageConfig, PoolConfig
from s2i_core.errors import ConfigError
from s2i_core.records import Status


def on_both_nodes(config, steps: int):
    """One generating worker fits on each node."""
    generate = PoolConfig(initial=2, minimum=2, maximum=2, num_cpus=1, batch_size=1)
    resources = config.resources.model_copy(update={"generate": generate})
    return config.model_copy(update={"resources": resources, "image": ImageConfig(size_px=64, steps=steps)})


@pytest.mark.slow
def test_both_jobs_on_two_nodes(cluster, objects, bucket, request_for, lake, config, make_scenes) -> None:
    objects.put(bucket, "in/talk.wav", speech(30))
    objects.put(bucket, "in/broken.mp3", b"no audio at all")
    request = request_for(config=on_both_nodes(config, 40))
    told: list[Progress] = []

    planning = submit(cluster.address, "plan", request)
    assert planning == f"s2i-{request.run_id}-plan"
    summary = follow(cluster.address, planning, request, told.append)
    assert (summary.rows_in, summary.ok, summary.failed) == (2, 1, 1)
    assert (told[0].done, told[-1].done) == (0, 2)
    assert set(summary.nodes) <= set(cluster.node_ids)
    # Once more under the same name: the same job, and its summary at once.
    assert submit(cluster.address, "plan", request) == planning
    assert follow(cluster.address, planning, request) == summary

    # A job that is stopped is continued under the next name.
    make_scenes(request, 30)
    drawing = submit(cluster.address, "illustrate", request)
    assert submit(cluster.address, "illustrate", request) == drawing
    moved = threading.Event()
    stopper = threading.Thread(target=lambda: moved.wait(1000) and stop(cluster.address, drawing))
    stopper.start()
    with pytest.raises(JobFailed, match="it was stopped"):
        follow(cluster.address, drawing, request, lambda progress: moved.set() if progress.done else None)
    stopper.join()
    assert not stop(cluster.address, drawing)

    again = submit(cluster.address, "illustrate", request)
    assert again == f"{drawing}-2"
    summary = follow(cluster.address, again, request)
    assert summary.failed == 0
    # Both nodes drew.
    assert set(summary.nodes) == set(cluster.node_ids)
    assert all(summary.nodes.values())
    scenes = [each["scene_id"] for each in lake.scenes.read().to_pylist() if each["status"] == Status.OK]
    assert sorted(check_images(objects, bucket, lake)) == sorted(scenes)


@pytest.mark.slow
def test_a_job_names_its_reason(cluster, request_for) -> None:
    request = request_for(source="s3://there-is-no-such-bucket/in")
    with pytest.raises(JobFailed, match="there-is-no-such-bucket"):
        follow(cluster.address, submit(cluster.address, "plan", request), request)


def test_an_address_where_nothing_answers(request_for) -> None:
    with pytest.raises(ConfigError, match="does not answer"):
        submit("http://127.0.0.1:9", "plan", request_for())
