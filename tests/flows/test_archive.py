"""The flow, from a bucket of recordings to images, tables, pages, a summary and artifacts."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest
from fronts import front, listings
from small_archive import SETTINGS, clip, keys

from flows.archive import RunSummary, illustrate_archive
from flows.launch import launch
from flows.local_server import PrefectServer
from flows.overview import overview
from s2i_core.errors import ConfigError, StorageError
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(900)]


def _artifacts(run_id: str) -> dict[str, Any]:
    """The artifacts of a run, by type, as the Prefect server has them."""
    from prefect.client.orchestration import get_client

    client = get_client(sync_client=True)
    found = client.read_artifacts()
    return {artifact.type: artifact for artifact in found if artifact.key and artifact.key.endswith(run_id.lower())}


def test_an_archive_comes_back_illustrated_and_is_not_done_again(
    objects: ObjectStore, illustrated: RunSummary, checkpoint: str
) -> None:
    first = illustrated
    source, destination = first.source, first.destination
    totals = first.totals
    assert (totals.recordings, totals.failures) == (3, 1)
    assert totals.images == totals.scenes == first.new_images >= 2
    lake = Lake(objects.settings, destination)
    assert {run.run_id: run.images for run in overview(lake).runs}[first.run_id] == first.new_images
    assert sorted(lake.images.read(["key"])["key"].to_pylist()) == keys(objects, destination, "images/")
    (failure,) = overview(lake).failures
    assert failure.subject == f"{source}/broken.mp3"
    assert failure.remedy

    pages = keys(objects, destination, "pages/")
    ids = set(lake.images.read(["recording_id"])["recording_id"].to_pylist())
    told = ("pages/faults.json", "pages/index.html", "pages/manifest.json")
    assert pages == sorted([*told, *(f"pages/{one}.html" for one in ids)])
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


def test_what_is_new_is_done_and_what_a_killed_run_left_is_entered(
    objects: ObjectStore, illustrated: RunSummary, checkpoint: str
) -> None:
    source, destination = illustrated.source, illustrated.destination
    lake = Lake(objects.settings, destination)
    before = lake.images.count()
    # A run that was killed before it entered its images leaves their files.
    for key in keys(objects, destination, "tables/images/"):
        objects.delete(destination.removeprefix("s3://").partition("/")[0], key)
    start_s = len(keys(objects, source))  # a second try must bring another recording, or it is a duplicate
    objects.put(source.removeprefix("s3://"), f"new {start_s}.wav", clip("zoo-podcast.ogg", start_s, start_s + 12))
    made = illustrate_archive(source, destination, checkpoint=checkpoint, settings=SETTINGS)
    assert made.jobs[0]["rows_in"] == 1
    assert made.pages == 1
    assert made.adopted_images == before
    assert made.new_images >= 1
    assert made.totals.images == before + made.new_images
    lake = Lake(objects.settings, destination)  # the table is another one
    assert {run.run_id: run.images for run in overview(lake).runs}[made.run_id] == before + made.new_images


@pytest.mark.slow  # `test_a_job_takes_the_listing_it_is_given` and `test_a_listing_travels_as_a_file` hold its parts
def test_a_run_lists_its_source_once(
    store: StoreInfo, archive: tuple[str, str], checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.launch._services", lambda *_: nullcontext())  # a server is there already
    source = archive[0].removeprefix("s3://")
    with front(store.endpoint) as made:
        monkeypatch.setenv("S2I_S3_ENDPOINT", made.url)
        first = launch(*archive, checkpoint=checkpoint, settings=SETTINGS)
        assert (first.totals.recordings, first.found.listed, first.found.pending) == (3, 4, 0)
        assert len(listings(made.seen, source)) == 1
        again = launch(*archive, checkpoint=checkpoint, settings=SETTINGS)
        assert (again.run_id, again.totals) == (None, first.totals)
        assert len(listings(made.seen, source)) == 2


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
