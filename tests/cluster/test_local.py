"""Ray on one machine listens to this machine only, and asks for a token."""

from __future__ import annotations

import contextlib
import os
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
import ray

from cluster.local import LocalCluster

LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def listening() -> set[str]:
    """Addresses on which this process and those below it listen."""
    found = set()
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            found |= {each.laddr.ip for each in process.net_connections() if each.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.usefixtures("ray_session")
def test_the_embedded_ray_listens_on_loopback_only() -> None:
    @ray.remote
    def environment() -> str | None:
        return os.environ.get("S2I_S3_ENDPOINT")

    assert ray.get(environment.remote()) == os.environ["S2I_S3_ENDPOINT"]
    assert "127.0.0.1" in listening() <= LOOPBACK


@pytest.mark.usefixtures("ray_session")
def test_nobody_else_comes_to_its_files() -> None:
    assert Path(ray.get_runtime_context().get_temp_dir()).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_a_cluster_asks_for_a_token(cluster: LocalCluster) -> None:
    assert listening() <= LOOPBACK
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{cluster.address}/api/jobs/", timeout=10)
