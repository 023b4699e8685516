"""Ray on one machine listens to this machine only, and asks for a token."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
import ray

from cluster.local import LocalCluster, _folder
from s2i_core import processes

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


def agents(*among: psutil.Process) -> list[psutil.Process]:
    """Those that are agents of Ray; once they run, they have titles in place of command lines."""
    named = [each for each in among if each.name().startswith(("ray::", "python"))]
    return [each for each in named if "agent" in " ".join(each.cmdline()).lower()]


RAY = """
import sys, time
import ray
from cluster.local import local_ray
with local_ray(1):
    ray.get(ray.remote(lambda: 1).remote())
    print(ray.get_runtime_context().get_temp_dir(), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_nothing_is_left_of_a_ray_nor_of_one_whose_driver_is_killed(killed: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdin and driver.stdout
        folder = Path(driver.stdout.readline().strip()).parent
        assert folder.name.startswith("s2i-ray-") and folder.stat().st_mode & 0o777 == 0o700
        assert len(agents(*map(psutil.Process, processes.marked(str(folder))))) == 2
        if killed:
            driver.kill()
        driver.stdin.close()
        driver.wait(30)
    deadline = time.monotonic() + (5 if killed else 0)
    while (folder.exists() or processes.marked(str(folder))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes.marked(str(folder)) and not folder.exists()


def test_a_node_that_is_killed_takes_its_agents_along() -> None:
    with LocalCluster((1, 1), jobs_api=False) as cluster:
        (raylet,) = [pid for pid in cluster.processes(cluster.node_ids[0]) if psutil.Process(pid).name() == "raylet"]
        theirs = agents(*psutil.Process(raylet).children())
        assert len(theirs) == 2
        cluster.kill_node(cluster.node_ids[0])
        assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in theirs)
        assert len(cluster.node_ids) == 1


def test_a_folder_is_cleared_away_when_its_owner_and_its_keeper_are_gone() -> None:
    with _folder() as ours, contextlib.ExitStack() as undo:
        left, foreign = ours.with_name("s2i-ray-test-left"), ours.with_name("s2i-ray-test-foreign")
        for folder in (left, foreign):
            folder.mkdir()
            undo.callback(subprocess.run, ["rm", "-rf", str(folder)], check=False)
        (left / "owner.lock").touch()
        sleeper = undo.enter_context(subprocess.Popen(["sleep", "600"], env=processes.marks(str(left))))
        undo.callback(sleeper.kill)
        with contextlib.suppress(PermissionError):
            os.chown(foreign, 65534, 65534)
        os.utime(foreign, (0, 0))
        with _folder() as another:
            assert not left.exists() and sleeper.wait(5) < 0
            assert ours.exists() and another.exists()
            # Without the right to give it away it is ours, and old.
            assert foreign.exists() == (os.geteuid() == 0)
        assert ours.exists()
