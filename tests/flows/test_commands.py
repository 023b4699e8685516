"""`s2i run` and `s2i status`, as a person or a program calls them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from small_archive import keys
from typer.testing import CliRunner, Result

from s2i_core.cli import app
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


def test_a_wrong_setting_is_named(archive: tuple[str, str], checkpoint: str) -> None:
    asked = _s2i("run", *archive, "--checkpoint", checkpoint, "--set", "image.stepz=4")
    assert asked.exit_code == 2
    assert "image.stepz" in asked.stderr


def test_the_status_of_an_empty_destination(archive: tuple[str, str]) -> None:
    found = json.loads(_s2i("status", archive[1], "--json").stdout)
    assert found["images"] == 0
    assert found["runs"] == []
    assert _s2i("status", "s3://nowhere-at-all").exit_code == 2
