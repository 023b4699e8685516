"""Counts, runs and failures of a destination, from its tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rows_for_tests import DAY, DIGESTS, image, recording, scene

from flows.overview import Totals, outcomes, overview, totals
from s2i_core.errors import DecodeError
from s2i_core.records import (
    AudioObject,
    Failure,
    Skip,
    Stage,
    Status,
    row,
)
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake


def _failure(subject: str, run: str, **changes: object) -> Failure:
    error = DecodeError(subject, "no audio in it", "Upload it again.")
    made = Failure.of(error, subject=subject, stage=Stage.DECODE, run_id=run)
    return replace(made, **{"created_at": DAY, **changes})


@pytest.fixture
def lake(objects: ObjectStore, bucket: str) -> Lake:
    """Two runs: a, b and the broken c by the first; the rest of b, and d healed, by the second."""
    lake = Lake(objects.settings, f"s3://{bucket}/out")
    scenes = [
        scene("a", 0),
        scene("a", 1),
        scene("a", 2, status=Status.SKIPPED.value, reason=Skip.SILENCE.value),
        scene("b", 0),
        scene("b", 1),
    ]
    later = DAY + timedelta(days=1)
    lake.recordings.merge(
        [
            row(recording("a")),
            row(recording("b")),
            row(recording("c", status=Status.FAILED.value, reason="no audio in it", recording_id=None, scenes=0)),
            row(recording("d", "two", status=Status.SKIPPED.value, reason="silence", scenes=0, created_at=later)),
            row(recording("a", "other", model_digest="m2")),
        ]
    )
    lake.scenes.merge([row(each) for each in scenes])
    lake.images.merge(
        [
            row(image(scenes[0])),
            row(image(scenes[1])),
            row(image(scenes[3], "two", created_at=later)),
            row(image(scenes[0], "other", image_id="x", image_digest="another style")),
        ]
    )
    lake.failures.merge(
        [
            row(_failure("s3://in/c", "one")),
            row(_failure("s3://in/d", "one", retryable=True)),
            row(_failure("b-1", "two", scene_id="b-1", created_at=later)),
        ]
    )
    return lake


def _objects(*names: str, etag: str = "e1") -> list[AudioObject]:
    return [AudioObject("in", name, etag, 1) for name in names]


def test_totals_are_of_the_recordings_that_are_there_now(lake: Lake) -> None:
    assert totals(lake, _objects("a", "b", "c", "d"), DIGESTS) == Totals(
        recordings=4, scenes=4, images=3, skipped=2, failures=2
    )
    assert totals(lake, _objects("a"), DIGESTS) == Totals(1, 2, 2, 1, 0)
    assert totals(lake, _objects("a", etag="replaced"), DIGESTS) == Totals()
    assert totals(lake, _objects("a", "b"), replace(DIGESTS, encoder="m3", decoder="m3")) == Totals()


def test_outcomes_begin_with_what_failed(lake: Lake) -> None:
    rows = outcomes(lake, _objects("a", "b", "c", "d"), DIGESTS)
    assert [each["recording"] for each in rows] == ["s3://in/c", "s3://in/d", "s3://in/a", "s3://in/b"]
    assert [each["images"] for each in rows] == [0, 0, 2, 1]
    assert rows[0]["why"] == "no audio in it"
    assert rows[2]["length"] == "1:01"


def test_an_overview_has_all_runs_and_the_failures_that_still_stand(lake: Lake) -> None:
    found = overview(lake)
    assert found.totals == Totals(recordings=5, scenes=4, images=4, skipped=2, failures=2)
    assert found.runs[0].run_id == "two"
    runs = {run.run_id: run for run in found.runs}
    assert (runs["one"].recordings, runs["one"].scenes, runs["one"].images, runs["one"].failures) == (3, 4, 2, 2)
    assert (runs["two"].recordings, runs["two"].images, runs["two"].skipped) == (1, 1, 1)
    assert {failure.subject for failure in found.failures} == {"s3://in/c", "b-1"}
    assert found.as_json()["failed"][0]["remedy"] == "Upload it again."


def test_damage_is_told_until_the_recording_is_whole(lake: Lake) -> None:
    cut = "the data end early, after 8.5 s"
    later = DAY + timedelta(days=1)
    lake.recordings.upsert([row(recording(name, damage=cut, created_at=later)) for name in ("a", "b")])
    lake.recordings.merge([row(recording("b", etag="e2", created_at=later + timedelta(days=1)))])
    assert overview(lake).as_json()["damaged"] == [{"source_uri": "s3://in/a", "damage": cut}]
    assert [each["why"] for each in outcomes(lake, _objects("a"), DIGESTS)] == [f"damaged: {cut}"]


def test_an_empty_destination_is_empty(objects: ObjectStore, bucket: str) -> None:
    found = overview(Lake(objects.settings, f"s3://{bucket}"))
    assert found.totals == Totals()
    assert found.runs == []
