"""The Prefect server of our own: shared, and gone when nobody uses it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows import local_server
from flows.local_server import PrefectServer, ServerError, client_settings

_LINGER_S = 0.5
_HOLDER = """
import sys, time
from pathlib import Path
from flows.local_server import PrefectServer
server = PrefectServer(Path(sys.argv[1]), linger_s=float(sys.argv[2]))
server.start(); server.wait()
print("up", flush=True)
time.sleep(600)
"""


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_killed_run_leaves_no_server_behind_and_others_share_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path), str(_LINGER_S)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "up"
        state = json.loads((tmp_path / "server.json").read_text())
        assert (tmp_path / "server.json").stat().st_mode & 0o077 == 0
        with PrefectServer(tmp_path) as second:
            second.wait()
            assert second.settings()["PREFECT_API_URL"] == state["url"]
            holder.kill()
            holder.wait()
            time.sleep(_LINGER_S + 2)
            assert _alive(state["pid"]), "it ended under a living user"
    finally:
        holder.kill()
        holder.wait()
    deadline = time.monotonic() + 30
    while _alive(state["pid"]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _alive(state["pid"])
    assert not (tmp_path / "server.json").exists()


def test_a_server_whose_folder_is_gone_ends_though_somebody_uses_it(tmp_path: Path) -> None:
    """As after `make clean`, or when a temporary folder is tidied up: there is no lock left by which it would know."""
    home = tmp_path / "home"
    home.mkdir()
    watch = "import sys; from pathlib import Path; from flows.local_server import _end_when_unused as watch"
    server = subprocess.Popen([sys.executable, "-c", f"{watch}\nwatch(Path(sys.argv[1]), 600)", str(home)])
    try:
        with (home / "use.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            time.sleep(1)
            assert server.poll() is None
            shutil.rmtree(home)
            assert server.wait(timeout=30) == -signal.SIGTERM
    finally:
        server.kill()
        server.wait()


def test_a_stranger_on_the_port_is_not_taken_for_the_server(tmp_path: Path, prefect: PrefectServer) -> None:
    settings = prefect.settings()
    state = {"url": settings["PREFECT_API_URL"], "auth": "s2i:wrong"}
    assert not local_server._healthy(state)
    assert local_server._healthy(state | {"auth": settings["PREFECT_API_AUTH_STRING"]})


def test_a_server_that_cannot_start_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prefect.db").mkdir()
    server = PrefectServer(tmp_path)
    try:
        with pytest.raises(ServerError, match=r"server\.log"):
            server.start()
            server.wait(timeout_s=90)
    finally:
        server.release()


def test_nothing_is_reported_to_anybody(tmp_path: Path) -> None:
    settings = client_settings(tmp_path)
    assert settings["DO_NOT_TRACK"] == "1"
    assert settings["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert os.path.commonpath([settings["PREFECT_HOME"], tmp_path]) == str(tmp_path)
