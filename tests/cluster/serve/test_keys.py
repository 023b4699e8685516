"""API keys: stored as hashes, found, withdrawn; quotas."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.serve import keys
from cluster.serve.keys import Keys, Quotas
from s2i_core.cli import app
from s2i_core.errors import ConfigError


def test_a_key_is_found_by_itself_alone_and_is_nowhere_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keys.json"
    key = keys.add(path, "phone", 5, 60.0)
    other = keys.add(path, "desk", 6, 70.0)
    assert key != other and len(key) > 40
    assert key not in path.read_text() and stat.S_IMODE(path.stat().st_mode) == 0o600
    known = Keys(path)
    found = known.find(key)
    assert found is not None and (found.name, found.images_per_minute) == ("phone", 5)
    assert known.find(key + "x") is None and known.find("") is None and known.find(found.sha256) is None


def test_a_withdrawn_key_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CHECK_S", 0.0)
    path = tmp_path / "keys.json"
    key = keys.add(path, "phone", 5, 60.0)
    known = Keys(path)
    assert known.find(key)
    keys.remove(path, "phone")
    assert known.find(key) is None
    with pytest.raises(ConfigError, match="none of that name"):
        keys.remove(path, "phone")


@pytest.mark.parametrize(("name", "reason"), [("a b", "match"), ("", "match"), ("taken", "taken")])
def test_names_are_checked(tmp_path: Path, name: str, reason: str) -> None:
    keys.add(tmp_path / "keys.json", "taken", 5, 60.0)
    with pytest.raises(ConfigError, match=reason):
        keys.add(tmp_path / "keys.json", name, 5, 60.0)


def test_a_missing_or_damaged_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        Keys(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        Keys(tmp_path / "bad.json")


def test_a_quota_fills_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(keys.time, "monotonic", lambda: now)
    quotas = Quotas()
    assert [quotas.spend("a", "images", 1, 2, 0.5) for _ in range(3)] == [0, 0, 2.0]
    assert quotas.spend("b", "images", 1, 2, 0.5) == 0
    now = 102.0
    assert [quotas.spend("a", "images", 1, 2, 0.5) for _ in range(2)] == [0, 2.0]
    now = 1000.0
    assert quotas.spend("a", "images", 5, 2, 0.5) == 0, "more than the quota holds waits for a full one"


def test_the_commands(tmp_path: Path) -> None:
    run, path = CliRunner(), str(tmp_path / "keys.json")
    made = json.loads(run.invoke(app, ["serve", "key", "phone", "--keys", path, "--json"]).stdout)
    assert Keys(Path(path)).find(made["key"])
    listed = run.invoke(app, ["serve", "keys", "--keys", path]).stdout
    assert "phone" in listed and made["key"] not in listed
    assert run.invoke(app, ["serve", "revoke", "phone", "--keys", path]).exit_code == 0
    assert run.invoke(app, ["serve", "revoke", "phone", "--keys", path]).exit_code == 2
