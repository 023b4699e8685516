"""`s2i run` and `s2i status`, as a person or a program calls them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from rows_for_tests import recording
from small_archive import keys
from typer.testing import CliRunner, Result

from flows.commands import _why_nothing
from flows.overview import Found
from flows.work import Archive
from s2i_core.cli import app
from s2i_core.errors import DecodeError, StorageUnavailable
from s2i_core.listing import LeftOut
from s2i_core.records import Failure, Stage, row
from s2i_core.storage.objects import ObjectStore


def _s2i(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_bad_bucket_is_one_clear_line_and_starts_nothing(
    objects: ObjectStore, archive: tuple[str, str], checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.launch.PrefectServer", _not_now)
    asked = _s2i("run", "s3://nowhere-at-all", archive[1], "--checkpoint", checkpoint)
    assert asked.exit_code == 2
    (line,) = [line for line in asked.stderr.splitlines() if line.startswith("error:")]
    assert "s3://nowhere-at-all: there is no such bucket" in line
    as_json = _s2i("run", "s3://nowhere-at-all", archive[1], "--checkpoint", checkpoint, "--json")
    assert json.loads(as_json.stdout)["subject"] == "s3://nowhere-at-all"
    assert keys(objects, archive[1]) == []


@pytest.mark.parametrize(
    ("wrong", "reason", "remedy"),
    [
        ("region", "in region eu-central-1, not in us-east-1", "AWS_REGION=eu-central-1"),
        ("signed for another region", "in region eu-central-1, not in us-east-1", "AWS_REGION=eu-central-1"),
        ("expired", "the login has expired", "aws sso login"),
        ("account", "refused access", "another account"),
    ],
)
def test_what_aws_refuses_ends_a_run_within_seconds(
    aws: Callable[..., None],
    checkpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    reason: str,
    remedy: str,
) -> None:
    monkeypatch.setattr("flows.launch.PrefectServer", _not_now)
    aws(wrong)
    started = time.monotonic()
    asked = _s2i("run", "s3://theirs/talks", "s3://ours/out", "--checkpoint", checkpoint)
    assert time.monotonic() - started < 30
    assert asked.exit_code == 2
    (line,) = [line for line in asked.stderr.splitlines() if line.startswith("error:")]
    assert "s3://theirs" in line and reason in line and remedy in line


def _not_now(*arguments: object) -> None:
    raise AssertionError("Prefect was started")


def test_an_empty_source_has_nothing_to_do(
    objects: ObjectStore, bucket: str, archive: tuple[str, str], checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.launch.PrefectServer", _not_now)
    asked = _s2i("run", f"s3://{bucket}", archive[1], "--checkpoint", checkpoint, "--json")
    assert asked.exit_code == 0, asked.output
    facts = json.loads(asked.stdout)
    assert facts["run_id"] is None
    assert (facts["recordings"], facts["images"], facts["new_images"]) == (0, 0, 0)


def test_why_there_is_nothing_to_do_is_said(
    objects: ObjectStore, bucket: str, archive: tuple[str, str], checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.launch.PrefectServer", _not_now)
    for key in ("talks/notes.txt", "talks/._a.mp3", "talks/__MACOSX/b.mp3", "talks2/c.mp3", "talks-private/d.mp3"):
        objects.put(bucket, key, b"x")
    empty = _s2i("run", f"s3://{bucket}/talk", archive[1], "--checkpoint", checkpoint)
    assert "there is no object in the source" in empty.stderr
    asked = _s2i("run", f"s3://{bucket}/talks", archive[1], "--checkpoint", checkpoint)
    assert "none of the objects in the source is a recording" in asked.stderr
    assert "3 objects listed: 0 recordings, 3 left out (2 system files, 1 .txt), such as talks/" in asked.stderr
    assert "everything is illustrated" not in asked.stderr
    assert "page" not in asked.stderr  # no run made one
    facts = json.loads(_s2i("run", f"s3://{bucket}/talks", archive[1], "--checkpoint", checkpoint, "--json").stdout)
    assert facts["page"] is None
    found = facts["found"]
    assert (found["listed"], found["recordings"], found["left_out"]["count"]) == (3, 0, 3)
    planned = _s2i("plan", f"s3://{bucket}/talks", archive[1])
    assert "3 objects listed: 0 recordings" in planned.stdout
    assert json.loads(_s2i("plan", f"s3://{bucket}/talks", "--json").stdout)["found"] == found


def test_what_failed_for_good_is_told_with_how_to_take_it_up(
    objects: ObjectStore, archive: tuple[str, str], checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.launch.PrefectServer", _not_now)
    work = Archive(archive[0], archive[1], checkpoint=checkpoint)
    digests = {"model_digest": work.digests.encoder, "plan_digest": work.digests.plan}
    for item in work.listing:
        failed = {"source_uri": item.uri, "etag": item.etag, "status": "failed", "retryable": item.key != "broken.mp3"}
        made = recording("x", recording_id=None, reason="no audio", **failed, **digests)
        work.lake.recordings.merge([row(made)])
        error = (StorageUnavailable if made.retryable else DecodeError)(item.uri, "no audio", "Upload it again.")
        work.lake.failures.merge([row(Failure.of(error, subject=item.uri, stage=Stage.DECODE, run_id="one"))])
    for item in work.listing:
        if item.key != "broken.mp3":
            objects.delete(item.bucket, item.key)
    asked = _s2i("run", *archive, "--checkpoint", checkpoint)
    assert "Nothing to do, and not everything is illustrated: some failed for good" in asked.stderr
    assert "1 recording failed for good" in asked.stderr
    assert "--retry-failed" in asked.stderr
    facts = json.loads(_s2i("run", *archive, "--checkpoint", checkpoint, "--json").stdout)
    found = facts["found"]
    assert (found["recordings"], found["failed"], found["failed_for_good"], found["unchanged"]) == (1, 1, 1, 1)
    told = _s2i("status", archive[1]).stdout
    assert "1 failed for good" in told and "--retry-failed" in told and "2 the next run tries by itself" in told
    again = _s2i("plan", *archive, "--checkpoint", checkpoint, "--retry-failed", "--json")
    assert json.loads(again.stdout)["content"]["recordings"] == 1
    assert json.loads(_s2i("plan", *archive, "--checkpoint", checkpoint, "--json").stdout)["content"]["recordings"] == 0


def test_a_wrong_setting_is_named(archive: tuple[str, str], checkpoint: str) -> None:
    asked = _s2i("run", *archive, "--checkpoint", checkpoint, "--set", "image.stepz=4")
    assert asked.exit_code == 2
    assert "image.stepz" in asked.stderr


def test_the_status_of_an_empty_destination(archive: tuple[str, str]) -> None:
    found = json.loads(_s2i("status", archive[1], "--json").stdout)
    assert found["images"] == 0
    assert found["runs"] == []
    assert _s2i("status", "s3://nowhere-at-all").exit_code == 2


def test_not_everything_is_illustrated_where_something_waits_in_an_archive() -> None:
    """The listing of AWS tells it, so that such a run has nothing to do."""
    counts = {"listed": 2, "recordings": 2, "unchanged": 2, "ok": 1, "skipped": 0, "failed": 1, "pending": 0}
    found = Found(**counts, left_out=LeftOut(), failed_for_good=0, pictures_failed_for_good=0)
    assert "not everything is illustrated: 1 must be restored" in _why_nothing(found)
    unknown = LeftOut(count=2, not_looked_into=2, archived=2)
    none_known = replace(found, recordings=0, failed=0, ok=0, unchanged=0, left_out=unknown)
    assert "no object is known to be a recording" in _why_nothing(none_known)
