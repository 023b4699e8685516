"""What the doctor says of a Ray cluster."""

from __future__ import annotations

import pytest

from cluster.check import capacity, check
from cluster.local import LocalCluster
from s2i_core.doctor import Subject
from s2i_core.errors import ConfigError


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_with_a_token(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(check(Subject(address=cluster.address)))
    assert [each.status for each in found] == ["ok", "ok"]
    assert "takes the token" in found[0].detail
    has = capacity(cluster.address)
    assert (has.nodes, has.cpus, has.gpus) == (3, 2, 0)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another-token-than-the-clusters-own")
    with pytest.raises(ConfigError, match="refuses the token"):
        list(check(Subject(address=cluster.address)))


def test_nobody_answers() -> None:
    with pytest.raises(ConfigError, match="does not answer"):
        list(check(Subject(address="http://127.0.0.1:9")))


def test_no_cluster_is_no_failure() -> None:
    assert [each.status for each in check(Subject())] == ["ok"]
