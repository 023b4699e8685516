"""The doctor against a real store, and against answers that only AWS gives, in the form that it documents."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import tiny_pipeline
from typer.testing import CliRunner

from s2i_core import cli, doctor
from s2i_core.doctor import Check, Subject, examine
from s2i_core.storage.embedded import EmbeddedStore
from s2i_core.storage.objects import ObjectStore, S3Settings


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.fixture
def buckets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what these tests are not about: hashing weights takes seconds."""
    monkeypatch.setattr(doctor, "_CHECKERS", {name: doctor._CHECKERS[name] for name in ("source", "destination")})
    monkeypatch.setattr(doctor, "entry_points", lambda group: ())


@pytest.mark.usefixtures("store")
def test_all_is_well_on_a_store_that_works(objects: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    objects.put(bucket, "in/talk.mp3", b"sound")
    result = CliRunner().invoke(cli.app, ["doctor", f"s3://{bucket}/in", f"s3://{bucket}/out", "--json"])
    told = json.loads(result.stdout)
    assert {check["name"]: check["status"] for check in told["checks"] if check["status"] == "fail"} == {}
    assert result.exit_code == 0
    assert told["ok"]
    assert {
        "versions",
        "weights",
        "gpu",
        "disk",
        "login",
        "store",
        "clock",
        "source",
        "destination",
        "ray",
        "prefect",
    } <= {check["name"] for check in told["checks"]}
    assert [item.key for item in objects.list(bucket)] == ["in/talk.mp3"]


@pytest.mark.parametrize(
    ("wrong", "reason", "remedy"),
    [
        ("region", "in region eu-central-1, not in us-east-1", "AWS_REGION=eu-central-1"),
        ("signed for another region", "in region eu-central-1, not in us-east-1", "AWS_REGION=eu-central-1"),
        ("expired", "the login has expired", "aws sso login"),
        ("account", "refused access", "another account"),
        ("skewed", "clock", "timedatectl"),
    ],
)
@pytest.mark.usefixtures("buckets_only")
def test_what_aws_refuses_is_said_with_its_remedy(
    aws: Callable[..., None], wrong: str, reason: str, remedy: str
) -> None:
    aws(wrong)
    started = time.monotonic()
    checks = by_name(examine(Subject("s3://theirs/talks", "s3://theirs/out")))
    assert time.monotonic() - started < 20
    for name in ("source", "destination"):
        assert checks[name].status == "fail"
        assert reason in checks[name].detail
        assert remedy in checks[name].remedy


@pytest.mark.parametrize(("ahead_s", "status"), [(0, "ok"), (200, "warn"), (-2000, "fail")])
def test_the_clock_is_held_against_the_stores(aws: Callable[..., None], ahead_s: float, status: str) -> None:
    aws("account", ahead_s)
    check = by_name(list(doctor.clock(Subject())))["clock"]
    assert check.status == status
    assert ("behind" in check.detail) == (ahead_s > 100)
    assert bool(check.remedy) == (status != "ok")


@pytest.mark.usefixtures("buckets_only")
def test_a_bucket_of_another_region_is_found_where_aws_answers_all_the_same(
    aws: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws("answered from another region")
    monkeypatch.setattr(S3Settings, "on_aws", True)
    checks = by_name(examine(Subject("s3://theirs/talks")))
    assert "in region eu-central-1, not in us-east-1" in checks["source"].detail


@pytest.mark.usefixtures("buckets_only")
def test_a_login_without_the_right_to_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real server with an identity that may read one bucket only."""
    embedded = EmbeddedStore(tmp_path)
    tmp_path.chmod(0o700)
    owner = {"accessKey": "OWNER", "secretKey": "owner-secret"}
    guest = {"accessKey": "GUEST", "secretKey": "guest-secret"}
    identities = [
        {"name": "owner", "credentials": [owner], "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
        {"name": "guest", "credentials": [guest], "actions": ["Read:mine", "List:mine"]},
    ]
    (tmp_path / "identities.json").write_text(json.dumps({"identities": identities}))
    info = embedded.up()
    try:
        for name, value in info.environment().items():
            monkeypatch.setenv(name, value)
        store = ObjectStore(info.settings())
        for name in ("mine", "theirs"):
            store.create_bucket(name)
            store.put(name, "talk.mp3", b"sound")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "GUEST")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guest-secret")
        assert [check.status for check in doctor.source(Subject("s3://mine"))] == ["ok"]
        for subject in (Subject("s3://theirs", "s3://mine"), Subject("s3://nowhere", "s3://theirs")):
            checks = by_name(examine(subject))
            assert (checks["source"].status, checks["destination"].status) == ("fail", "fail")
            assert "refused access" in checks["destination"].detail
    finally:
        embedded.down()


@pytest.mark.usefixtures("store")
def test_no_login_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    checks = by_name(examine(Subject("s3://bucket")))
    assert (checks["login"].status, checks["source"].status) == ("fail", "fail")
    assert "AWS_PROFILE" in checks["login"].remedy


def test_a_check_that_hangs_or_breaks_is_said_and_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(_: Subject) -> list[Check]:
        time.sleep(60)
        return []

    def breaks(_: Subject) -> list[Check]:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(doctor, "_CHECKERS", {"slow": hangs, "broken": breaks, "disk": doctor.disk})
    monkeypatch.setattr(doctor, "entry_points", lambda group: ())
    started = time.monotonic()
    checks = by_name(examine(Subject(), deadline_s=0.5))
    assert time.monotonic() - started < 10
    assert checks["slow"].status == checks["broken"].status == "fail"
    assert "no answer within 0.5 s" in checks["slow"].detail
    assert "ZeroDivisionError" in checks["broken"].detail
    assert "disk" in checks


def test_damaged_weights_and_weights_of_another_card_are_found(tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "whole")
    assert [check.status for check in doctor.weights(Subject(checkpoint=str(tmp_path / "whole")))] == ["ok"]
    shutil.copytree(tmp_path / "whole", tmp_path / "other")
    (tmp_path / "other" / "README.md").write_text("Digest `00000000`.")
    (other,) = doctor.weights(Subject(checkpoint=str(tmp_path / "other")))
    assert other.status == "warn"
    for name, damage in {
        "cut": lambda data: data[:-1],
        "pointer": lambda _: b"version https://git-lfs/spec/v1\n",
    }.items():
        shutil.copytree(tmp_path / "whole", tmp_path / name)
        victim = next((tmp_path / name).rglob("*.safetensors"))
        victim.write_bytes(damage(victim.read_bytes()))
        (check,) = doctor.weights(Subject(checkpoint=str(tmp_path / name)))
        assert check.status == "fail"
        assert victim.name in check.detail


def test_versions_that_were_not_meant_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [check.status for check in doctor.versions(Subject())] == ["ok"]
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy<1", "no-such-package", "nothing; extra == 'test'"])
    (check,) = doctor.versions(Subject())
    assert check.status == "fail"
    assert "numpy" in check.detail
    assert "no-such-package is missing" in check.detail
    assert "nothing" not in check.detail


@pytest.mark.usefixtures("buckets_only")
def test_for_people_each_failure_comes_with_what_to_do(aws: Callable[..., None]) -> None:
    aws("expired")
    result = CliRunner().invoke(cli.app, ["doctor", "s3://theirs"])
    assert result.exit_code == 1
    assert "fail  source" in result.stdout
    assert "→ Log in again" in result.stdout
