"""The flow against a cluster of two nodes, through Ray's Jobs API."""

from __future__ import annotations

import pytest
from fronts import front, listings
from small_archive import SETTINGS, keys

from cluster.jobs.request import JobRequest
from cluster.jobs.submit import submit
from cluster.local import LocalCluster
from flows.archive import _current_key, illustrate_archive
from flows.work import Archive
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(600)]


@pytest.mark.slow
def test_a_flow_takes_up_the_job_of_a_killed_one_and_completes_it(
    objects: ObjectStore, cluster: LocalCluster, archive: tuple[str, str], checkpoint: str
) -> None:
    from ray.job_submission import JobSubmissionClient

    source, destination = archive
    earlier = Archive(source, destination, checkpoint=checkpoint, settings=SETTINGS)
    request = JobRequest(
        source=source,
        destination=destination,
        run_id="earlier",
        config=earlier.config,
        store=objects.settings,
    )
    # What a flow had done when it was killed: written down its run, and submitted its first job.
    objects.put(earlier.target, _current_key(earlier, None), b"earlier")
    submit(cluster.address, "plan", request)
    made = illustrate_archive(source, destination, address=cluster.address, checkpoint=checkpoint, settings=SETTINGS)
    jobs = [str(job.submission_id) for job in JobSubmissionClient(cluster.address).list_jobs()]
    jobs = [job for job in jobs if job.startswith("s2i-earlier-")]

    assert made.run_id == "earlier"
    assert [job for job in jobs if "plan" in job] == ["s2i-earlier-plan"]
    assert "s2i-earlier-illustrate" in jobs  # under a number as well, where the cluster was too busy for the first
    assert (made.totals.recordings, made.totals.failures) == (3, 1)
    assert made.totals.images == made.totals.scenes == made.new_images >= 2
    lake = Lake(objects.settings, destination)
    assert sorted(lake.images.read(["key"])["key"].to_pylist()) == keys(objects, destination, "images/")
    assert len(keys(objects, destination, "pages/")) == 2 + 2
    assert keys(objects, destination, "runs/current") == []


@pytest.mark.slow
def test_a_job_on_a_cluster_does_not_list_again(
    store: StoreInfo,
    objects: ObjectStore,
    cluster: LocalCluster,
    archive: tuple[str, str],
    checkpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, destination = archive
    with front(store.endpoint) as made:
        monkeypatch.setenv("S2I_S3_ENDPOINT", made.url)
        ran = illustrate_archive(source, destination, address=cluster.address, checkpoint=checkpoint, settings=SETTINGS)
    assert (ran.totals.recordings, ran.found.listed) == (3, 4)
    assert len(listings(made.seen, source.removeprefix("s3://"))) == 1
    requested = [target for method, target in made.seen if "/listing.parquet" in target and method != "HEAD"]
    assert len(requested) == 3  # written by the flow, read by the job, deleted by the flow
    assert not [key for key in keys(objects, destination) if key.endswith("listing.parquet")]
