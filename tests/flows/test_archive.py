"""The flow, from a bucket of recordings to images, tables, pages, a summary and artifacts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from small_archive import SETTINGS, clip, keys

from cluster.jobs.resources import logical_cpus
from cluster.local import local_ray
from flows.archive import illustrate_archive
from flows.local_server import PrefectServer
from flows.overview import overview
from s2i_core.errors import ConfigError, StorageError
from s2i_core.presets import cpu
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(900)]


def _artifacts(run_id: str) -> dict[str, Any]:
    """The artifacts of a run, by type, as the Prefect server has them."""
    from prefect.client.orchestration import get_client

    client = get_client(sync_client=True)
    found = client.read_artifacts()
    return {artifact.type: artifact for artifact in found if artifact.key and artifact.key.endswith(run_id.lower())}


@pytest.fixture
def ray() -> Iterator[None]:
    """One Ray for the flows of a test, which saves its starts; the demo's test has the flow start its own."""
    with local_ray(logical_cpus(cpu().resources)):
        yield


@pytest.mark.usefixtures("ray")
def test_an_archive_comes_back_illustrated_and_is_not_done_again(
    objects: ObjectStore, archive: tuple[str, str], checkpoint: str
) -> None:
    source, destination = archive
    first = illustrate_archive(source, destination, checkpoint=checkpoint, settings=SETTINGS)

    totals = first.totals
    assert (totals.recordings, totals.failures) == (3, 1)
    assert totals.images == totals.scenes == first.new_images >= 2
    lake = Lake(objects.settings, destination)
    assert sorted(lake.images.read(["key"])["key"].to_pylist()) == keys(objects, destination, "images/")
    (failure,) = overview(lake).failures
    assert failure.subject == f"{source}/broken.mp3"
    assert failure.remedy

    pages = keys(objects, destination, "pages/")
    ids = set(lake.images.read(["recording_id"])["recording_id"].to_pylist())
    assert pages == sorted(["pages/index.html", "pages/manifest.json", *(f"pages/{one}.html" for one in ids)])
    bucket = destination.removeprefix("s3://")
    assert "🌊" in objects.get(bucket, "pages/index.html").decode()

    summary = json.loads(objects.get(bucket, f"runs/{first.run_id}/summary.json"))
    assert summary["totals"]["images"] == totals.images
    assert [job["job"] for job in summary["jobs"]] == ["plan", "illustrate"]

    artifacts = _artifacts(first.run_id)
    assert artifacts.keys() == {"table", "image", "progress"}
    assert artifacts["progress"].data == 100.0
    rows = json.loads(artifacts["table"].data)
    assert [row["outcome"] for row in rows] == ["failed", "ok", "ok"]
    assert artifacts["image"].data.startswith("data:image/png;base64,")

    second = illustrate_archive(source, destination, checkpoint=checkpoint, settings=SETTINGS)
    assert (second.new_images, second.pages, second.jobs) == (0, 0, [])
    assert second.totals == totals
    assert second.run_id != first.run_id

    runs = {run.run_id: run for run in overview(lake).runs}
    assert runs[first.run_id].images == first.new_images
    # A run that was killed before it entered its images leaves their files.
    for key in keys(objects, destination, "tables/images/"):
        objects.delete(bucket, key)
    objects.put(source.removeprefix("s3://"), "new.wav", clip("zoo-podcast.ogg", 0, 12))
    third = illustrate_archive(source, destination, checkpoint=checkpoint, settings=SETTINGS)
    assert third.jobs[0]["rows_in"] == 1
    assert third.adopted_images == totals.images
    assert third.new_images >= 1
    assert third.totals.images == third.adopted_images + third.new_images
    runs = {run.run_id: run for run in overview(lake).runs}
    assert runs[third.run_id].images == third.adopted_images + third.new_images


def test_a_bucket_that_is_not_there_stops_it_before_any_work(
    objects: ObjectStore, archive: tuple[str, str], checkpoint: str
) -> None:
    source, destination = archive
    with pytest.raises(StorageError, match="no such bucket"):
        illustrate_archive("s3://nowhere-at-all", destination, checkpoint=checkpoint)
    with pytest.raises(StorageError, match="no such bucket"):
        illustrate_archive(source, "s3://nowhere-at-all", checkpoint=checkpoint)
    assert keys(objects, destination) == []


def test_a_wrong_login_stops_it_before_any_work(
    objects: ObjectStore, archive: tuple[str, str], checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(StorageError, match="refused the login"):
            illustrate_archive(*archive, checkpoint=checkpoint)
    assert keys(objects, archive[1]) == []


def test_a_destination_within_the_source_is_refused(archive: tuple[str, str], checkpoint: str) -> None:
    with pytest.raises(ConfigError, match="lie in each other"):
        illustrate_archive(archive[0], f"{archive[0]}/pictures", checkpoint=checkpoint)


def test_the_server_is_ours(prefect: PrefectServer) -> None:
    from prefect.settings import PREFECT_API_URL

    assert PREFECT_API_URL.value() == prefect.settings()["PREFECT_API_URL"]
