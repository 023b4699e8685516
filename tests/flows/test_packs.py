"""A run writes packs where the settings want them, also of what earlier runs illustrated."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from small_archive import SETTINGS, keys

from flows.launch import launch
from flows.overview import overview
from flows.work import Archive
from s2i_core.errors import DecodeError
from s2i_core.records import Failure, Stage, row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

if TYPE_CHECKING:
    from flows.archive import RunSummary

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(900)]


def test_packs_are_written_by_setting_and_a_failure_stands_until_its_pack_is_there(
    objects: ObjectStore, illustrated: RunSummary, checkpoint: str
) -> None:
    source, destination = illustrated.source, illustrated.destination
    assert illustrated.packs == 0 and keys(objects, destination, "packs/") == []
    settings = {**SETTINGS, "packs.write": True, "packs.film": False}
    # Every picture looks like the first one, if as little as this will do: all others are left out before the packs.
    settings |= {"selection.apply": True, "selection.repeats": "leave_out", "selection.alike": 0.0}
    archive = Archive(source, destination, checkpoint=checkpoint, settings=settings)
    count = len(archive.packs.recordings())
    assert count >= 2 and archive.pending().packs == count

    recording_id = archive.packs.recordings()[0].recording["recording_id"]
    subject = f"{destination}/packs/{recording_id}/"
    error = DecodeError("a talk", "making its pack crashed", "Run again.")
    failed = Failure.of(error, subject=subject, stage=Stage.PUBLISH, run_id="r", recording_id=recording_id)
    lake = Lake(objects.settings, destination)
    lake.failures.merge([row(failed)])
    assert subject in [each.subject for each in overview(lake).failures]

    outcome = launch(source, destination, checkpoint=checkpoint, settings=settings)
    assert outcome.run_id is not None
    bucket = destination.removeprefix("s3://")
    summary = json.loads(objects.get(bucket, f"runs/{outcome.run_id}/summary.json"))
    assert summary["packs"] == count and summary["jobs"] == []
    assert lake.decisions()["rejected"].to_pylist() == [True] * (
        lake.scenes.read(["status"])["status"].to_pylist().count("ok") - 1
    )
    assert len([key for key in keys(objects, destination, "packs/") if key.endswith("manifest.json")]) == count
    assert subject not in [each.subject for each in overview(lake).failures]
    assert archive.pending().nothing
    assert launch(source, destination, checkpoint=checkpoint, settings=settings).run_id is None
    assert dataclasses.asdict(archive.totals())["failures"] == 1
