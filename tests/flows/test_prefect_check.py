"""What the doctor says of a Prefect server."""

from __future__ import annotations

import pytest

from flows.check import check
from flows.local_server import PrefectServer
from s2i_core.doctor import Subject
from s2i_core.errors import ConfigError


def test_a_server_with_a_login(prefect: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(check(Subject()))
    assert found[0].status == "ok"
    assert "takes the login" in found[0].detail
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "s2i:wrong")
    with pytest.raises(ConfigError, match="refuses the login"):
        list(check(Subject()))
    monkeypatch.delenv("PREFECT_API_AUTH_STRING")
    with pytest.raises(ConfigError, match="asks for a login"):
        list(check(Subject()))


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(ConfigError, match="does not answer"):
        list(check(Subject()))


def test_no_server_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert [each.status for each in check(Subject())] == ["ok"]
