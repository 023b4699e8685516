"""A run hears its reference recordings anew first, and makes nothing where they come out otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_archive import SETTINGS, clip, keys
from tiny import tiny_pipeline

from flows.archive import illustrate_archive
from s2i_core.analysis.reference import DriftFound
from s2i_core.errors import ConfigError, StorageError
from s2i_core.storage.objects import ObjectStore

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(900)]


@pytest.mark.slow
def test_a_run_with_another_model_makes_nothing_until_it_is_accepted(
    objects: ObjectStore, archive: tuple[str, str], checkpoint: str, tmp_path: Path, bucket: str
) -> None:
    source, destination = archive
    objects.put(bucket, "reference/one.wav", clip("zoo-podcast.ogg", 0, 30))
    settings = SETTINGS | {"drift.reference": f"s3://{bucket}/reference", "report.write": True}
    first = illustrate_archive(source, destination, checkpoint=checkpoint, settings=settings)
    assert first.drift is not None and first.drift["baseline"] is None and first.new_images >= 2
    assert keys(objects, destination, "reference/") == []
    about = {key.rpartition("/")[2] for key in keys(objects, destination, f"runs/{first.run_id}/")}
    assert about >= {"drift.json", "reference.parquet", "report.html", "summary.json"}
    objects.put(source.removeprefix("s3://"), "new.wav", clip("zoo-podcast.ogg", 30, 42))
    second = illustrate_archive(source, destination, checkpoint=checkpoint, settings=settings)
    assert second.drift is not None and second.drift["baseline"] == first.run_id
    assert [each["found"] for each in second.drift["moved"]] == [False] * 3
    tiny_pipeline(seed=1).save_pretrained(tmp_path / "other")
    before = keys(objects, destination, "images/")
    with pytest.raises(DriftFound, match="vectors moved"):
        illustrate_archive(source, destination, checkpoint=str(tmp_path / "other"), settings=settings)
    assert keys(objects, destination, "images/") == before
    accepted = illustrate_archive(
        source, destination, checkpoint=str(tmp_path / "other"), settings=settings | {"drift.accept": True}
    )
    assert accepted.drift is not None and accepted.drift["accepted"] and accepted.new_images >= 2
    name = destination.removeprefix("s3://")
    assert json.loads(objects.get(name, "runs/baseline.json"))["run_id"] == accepted.run_id
    page = objects.get(name, f"runs/{accepted.run_id}/report.html").decode()
    assert page.count("<tr><td>2") >= 4 and "not published" in page and "accepted" in page


def test_reference_recordings_are_looked_for_before_any_work(archive: tuple[str, str], checkpoint: str) -> None:
    source, destination = archive
    with pytest.raises(StorageError, match="no such bucket"):
        illustrate_archive(source, destination, checkpoint=checkpoint, settings={"drift.reference": "s3://nowhere-x"})
    with pytest.raises(ConfigError, match="lie in each other"):
        settings = {"drift.reference": f"{destination}/reference"}
        illustrate_archive(source, destination, checkpoint=checkpoint, settings=settings)
