"""Jobs on a real cluster of a head and two worker nodes, through Ray's Jobs API."""

from __future__ import annotations

import threading

import pytest
from archives import check_images

from cluster.jobs.request import JobFailed, Progress
from cluster.jobs.submit import follow, running, stop, submit
from s2i_core.config import PoolConfig
from s2i_core.errors import ConfigError

# Another Ray on the same machine must not matter.
pytestmark = pytest.mark.usefixtures("ray_session")


def on_both_nodes(config):
    """One generating worker fits on each node, and both are up before the first scene is drawn."""
    generate = PoolConfig(initial=2, minimum=2, maximum=2, num_cpus=1, batch_size=1)
    return config.model_copy(update={"resources": config.resources.model_copy(update={"generate": generate})})


@pytest.mark.slow
def test_a_job_on_two_nodes_is_stopped_and_continued(
    cluster, objects, bucket, request_for, lake, config, make_scenes
) -> None:
    request = request_for(config=on_both_nodes(config))
    scenes = make_scenes(request, 12)

    drawing = submit(cluster.address, "illustrate", request)
    assert drawing == f"s2i-{request.run_id}-illustrate"
    assert submit(cluster.address, "illustrate", request) == drawing  # the same job
    assert running(cluster.address, request.run_id) == [drawing]
    told = threading.Event()
    stopper = threading.Thread(target=lambda: told.wait(500) and stop(cluster.address, drawing))
    stopper.start()
    with pytest.raises(JobFailed, match="it was stopped"):
        follow(cluster.address, drawing, request, lambda progress: told.set())
    stopper.join()
    assert not stop(cluster.address, drawing)

    # What was stopped is continued under the next name.
    again = submit(cluster.address, "illustrate", request)
    assert again == f"{drawing}-2"
    progress: list[Progress] = []
    summary = follow(cluster.address, again, request, progress.append)
    assert (progress[-1].done, progress[-1].failed, summary.failed) == (progress[-1].total, 0, 0)
    # Both nodes drew, and no other Ray of this machine did.
    assert set(summary.nodes) == set(cluster.node_ids)
    assert sorted(check_images(objects, bucket, lake)) == sorted(scene.scene_id for scene in scenes)
    # Once more under the same name: the same job, and its summary at once.
    assert submit(cluster.address, "illustrate", request) == again
    assert follow(cluster.address, again, request) == summary


@pytest.mark.slow
def test_a_job_names_its_reason(cluster, request_for) -> None:
    request = request_for(source="s3://there-is-no-such-bucket/in")
    with pytest.raises(JobFailed, match="there-is-no-such-bucket"):
        follow(cluster.address, submit(cluster.address, "plan", request), request)


def test_an_address_where_nothing_answers(request_for) -> None:
    with pytest.raises(ConfigError, match="does not answer"):
        submit("http://127.0.0.1:9", "plan", request_for())
